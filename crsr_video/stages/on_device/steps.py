"""The stages of this package, as a pipeline builds them."""

from typing import Any

import torch

from crsr_video.runtime.batches import Predictor
from crsr_video.stages.align import Aligner
from crsr_video.stages.effort import Effort
from crsr_video.stages.on_device.align import Looker
from crsr_video.stages.on_device.backoff import DeviceBackOff
from crsr_video.stages.on_device.batches import consistify, super_resolve
from crsr_video.stages.on_device.carry import DeviceCarrier
from crsr_video.stages.on_device.copies import copies
from crsr_video.stages.on_device.paste import DevicePaster
from crsr_video.stages.on_device.smooth import Averager
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.steps import Step, Steps
from crsr_video.types import Frame, Stage, TrackedFrame


class DeviceSteps(Steps):
    """With all pictures on one device, from align to paste.

    Only consistify waits for a batch; what it lets go together stays together from there on.
    """

    together = True

    def __init__(self, device: torch.device) -> None:
        self._ways = copies(device)

    def align(self, **options: Any) -> Step:
        """Crops are put off until consistify looks at them."""
        return Aligner(**options, look=Looker(self._ways))

    def consistify(self, predict: Predictor, batch: int, lookahead: int) -> Step:
        """Of all frames that have waited."""
        return consistify(predict, self._ways, batch=batch, lookahead=lookahead)

    def super_resolve(self, predict: Predictor, batch: int, lookahead: int) -> Step:
        """Of all frames that come together."""
        del lookahead
        return super_resolve(predict, self._ways, batch=batch)

    def smooth(self, *, causal: bool) -> Step:
        """Averages are put off until back-off or paste looks at them."""
        return Smoother(causal=causal, average=Averager(self._ways))

    def back_off(self) -> Step:
        """Figures of all frames that come together are fetched at once."""
        return DeviceBackOff(self._ways)

    def carry(self, effort: Effort) -> Step:
        """What was added stays on the device."""
        return DeviceCarrier(effort, self._ways)

    def paste(self, *options: Any) -> Stage[TrackedFrame, Frame]:
        """Of all frames that come together."""
        return DevicePaster(self._ways, *options)
