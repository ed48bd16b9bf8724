"""The stages whose work is pictures of faces, as a pipeline builds them."""

from typing import Any

from crsr_video.runtime.batches import Predictor
from crsr_video.stages.align import Aligner
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.carry import Carrier
from crsr_video.stages.consistify import consistify
from crsr_video.stages.effort import Effort
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import super_resolve
from crsr_video.types import Frame, Stage, TrackedFrame

Step = Stage[TrackedFrame, TrackedFrame]


class Steps:
    """With all pictures in numpy; networks may be anywhere."""

    together = False
    """All faces of a live frame go through the networks at once: on a processor one by one is
    as fast, and shows the same bits whoever else is in view."""

    def align(self, **options: Any) -> Step:
        """See `align.Aligner`."""
        return Aligner(**options)

    def consistify(self, predict: Predictor, batch: int, lookahead: int) -> Step:
        """See `consistify.consistify`."""
        return consistify(predict, batch=batch, lookahead=lookahead)

    def super_resolve(self, predict: Predictor, batch: int, lookahead: int) -> Step:
        """See `superres.super_resolve`."""
        return super_resolve(predict, batch=batch, lookahead=lookahead)

    def smooth(self, *, causal: bool) -> Step:
        """See `smooth.Smoother`."""
        return Smoother(causal=causal)

    def back_off(self) -> Step:
        """See `backoff.BackOff`."""
        return BackOff()

    def carry(self, effort: Effort) -> Step:
        """See `carry.Carrier`."""
        return Carrier(effort)

    def paste(self, *options: Any) -> Stage[TrackedFrame, Frame]:
        """See `paste.Paster`."""
        return Paster(*options)
