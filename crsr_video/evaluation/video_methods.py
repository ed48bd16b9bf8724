"""Every method on one degraded clip, frame by frame, as the product itself would do it."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.evaluation.variants import variants
from crsr_video.imaging.upscaling import enlarge
from crsr_video.pipeline import Pipeline
from crsr_video.types import Frame, TrackedFrame

DEGRADED, BICUBIC = "degraded", "bicubic"
"""The input itself: as it is, and enlarged. Every other method is measured against it."""


def baseline(scale: int) -> str:
    """Name of the row that shows the input."""
    return DEGRADED if scale == 1 else BICUBIC


class Methods(Closing):
    """The product's pipelines, one for each model, and the input itself; to be closed.

    Faces are tracked once for all of them.
    Args:   models: as `variant` reads them; a super-resolver alone is no product, and left out.
    Raises: ConfigError: a model is named twice, or the scale is none of the product's.
            DeviceError, FaceModelError, WeightsError.
    """

    def __init__(self, models: Sequence[str], scale: int, *, device: str = "auto") -> None:
        self.scale = scale
        configs = {
            name: EnhancerConfig.from_options(
                model=one.model,
                texture=one.texture,
                scale=scale,
                device=device,
            )
            for name, one in variants(models).items()
            if not one.alone
        }
        with ExitStack() as stack:
            self._pipelines: dict[str, Pipeline] = {
                name: stack.enter_context(pipeline.build(config))
                for name, config in configs.items()
            }
            self._open = stack.pop_all()
        self.names = (baseline(scale), *self._pipelines)

    def close(self) -> None:
        """Release detectors."""
        self._open.close()

    def run(self, frames: Iterable[Frame]) -> Iterator[dict[str, Frame]]:
        """What every method makes of each frame; holds back what the pipelines hold back."""
        for line in self._pipelines.values():
            line.reset()
        waiting: deque[Frame] = deque()
        done: dict[str, deque[Frame]] = {name: deque() for name in self._pipelines}
        for item in self._tracked(frames):
            if item is not None:
                waiting.append(item.frame)
            for name, line in self._pipelines.items():
                done[name] += line.restore(item)
            while waiting and all(done.values()):
                made = {name: queue.popleft() for name, queue in done.items()}
                large = enlarge(waiting.popleft(), self.scale, "cubic")
                yield {baseline(self.scale): large, **made}

    def _tracked(self, frames: Iterable[Frame]) -> Iterator[TrackedFrame | None]:
        """Frames with faces, then None; nobody needs the faces if there is no pipeline."""
        tracker = next(iter(self._pipelines.values()), None)
        for frame in frames:
            yield from tracker.track(frame) if tracker else [TrackedFrame(frame)]
        if tracker:
            yield from tracker.track(None)
        yield None
