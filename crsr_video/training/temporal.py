"""The memory: several frames of a face know more than one. Beyond the paper.

Trained on sequences y_1 .. y_F made from stills, degraded as one clip d_1 .. d_F:

    L = pix(p_t, y_t) + w |(p_t - p_t-1) - (y_t - y_t-1)|,   p_t = psi(phi(d_t), memory of t-1)

The consistifier stays as it is, the super-resolver may learn along, slowly. The first frame of each
sequence has no past, so psi goes on learning what it must do alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crsr_video.networks import SuperResolver
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.losses import charbonnier, temporal
from crsr_video.training.method import Method, values
from crsr_video.training.run import Part, Run


@dataclass(frozen=True, kw_only=True)
class Recurrence(Method):
    """Train the memory, and the super-resolver to use it."""

    name: ClassVar[str] = "temporal"
    frames: int = 5
    """Of a sequence."""
    steadiness: float = 0.5
    """Weight of the temporal term."""
    along: float = 0.2
    """Learning rate of the super-resolver over the memory's; 0: it stays as it is."""

    @property
    def wanted(self) -> Wanted:
        """Degraded sequences."""
        return Wanted(tiers=self.tiers, degraded=True, frames=self.frames)

    def parts(self) -> dict[str, Part]:
        """Phi as it is, psi along, and the memory."""
        channels = self._size.superresolver.get("channels", (48, 96, 192))[0]
        return {
            "consistifier": self._consistifier(rate=0),
            "superresolver": self._superresolver(rate=self.along),
            "memory": Part("memory", {"channels": channels}),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        assert draw.degraded is not None
        with run.autocast():
            with torch.no_grad():
                flat = run["consistifier"](draw.degraded.flatten(0, 1))
                consistent = flat.clamp(0, 1).unflatten(0, draw.degraded.shape[:2])
            made = unrolled(run, draw.degraded, consistent)
        terms = {
            "pixel": charbonnier(made, draw.target),
            "temporal": self.steadiness * temporal(made, draw.target),
        }
        run.update(terms, rate=rate, clip=self.clip)
        return values(terms)


def unrolled(run: Run, seen: Tensor, consistent: Tensor) -> Tensor:
    """Frame after frame with memory; both (N, F, 3, T, T), to (N, F, 3, 4T, 4T).

    Args: seen: crops as they were filmed. consistent: phi of them, in [0, 1].
    """
    psi, memory = run["superresolver"], run["memory"]
    assert isinstance(psi, SuperResolver)
    made: list[Tensor] = []
    hint = features = None
    frames = consistent.unbind(1)
    for number, frame in enumerate(frames):
        present = frame.contiguous(memory_format=torch.channels_last)
        if features is not None:
            hint = memory(features, frames[number - 1], present, seen[:, number])
        features = psi.features(present, hint)
        made.append(psi.draw(present, features))
    return torch.stack(made, 1)
