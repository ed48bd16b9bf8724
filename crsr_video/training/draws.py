"""The pictures of each training step, made ahead of time by threads.

Every draw has its own random generator, seeded by the run's seed and the step. Step k of a run
therefore sees the same pictures, however often the run was interrupted and however many threads
there are.
"""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces, Tier, batch, choose_tier
from crsr_video.training.degrade import FACTOR, clean, degrade
from crsr_video.training.genuine import Genuine


@dataclass(frozen=True)
class Draw:
    """Pictures for one step, in [0, 1], on the run's device."""

    target: Tensor
    """y, (N, 3, fT, fT), f being a factor: the high-resolution pictures."""
    artificial: Tensor
    """a, (N, 3, T, T): y after shrinking."""
    degraded: Tensor | None
    """d, (N, 3, T, T): y after simulation of a camera and a codec."""
    genuine: Tensor | None
    """g, (N, 3, T, T): other people in genuine footage."""
    noise: Tensor
    """Normally distributed noise for the reverse network, (N, 2, T, T)."""
    photographs: int = 0
    """Number of pictures at the beginning of the batch that are known to be photographs."""
    face: int = 0
    """Side of the whole LR face, which is larger than T if only a patch is shown."""


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """Parts of each draw that a method needs."""

    tiers: tuple[Tier, ...]
    degraded: bool = False
    genuine: bool = False
    photographs: bool = False
    """Whether the first half of each batch must be photographs."""
    varied: bool = False
    """Whether skin tones and iris colours are balanced, and changed in some pictures."""
    extra: float = 0.0
    """Share of pictures that get one of the degradations in `degradations.EXTRA_KINDS`."""
    factors: tuple[int, ...] = (FACTOR,)
    """Ratios of the sides of HR and LR pictures, one of which is drawn for each step."""


class DrawSource:
    """Makes the draw of any step of a run."""

    def __init__(
        self,
        faces: Faces,
        genuine: Genuine | None,
        settings: DrawSettings,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        photographs: Faces | None = None,
    ) -> None:
        """Create a source.

        Args:
            faces: High-resolution faces.
            genuine: Low-resolution faces, if the method needs them.
            settings: Parts of the draws that the method needs.
            seed: Seed of every draw.
            device: Device of the pictures.
            photographs: The photographs among `faces`, if the method needs them.

        Raises:
            TrainingError: The method needs genuine faces, and there are none.
        """
        if settings.genuine and genuine is None:
            raise TrainingError("this method needs genuine low-resolution faces: use --genuine")
        self._faces, self._genuine, self._settings = faces, genuine, settings
        self._photographs = photographs
        self._seed, self._device = seed, torch.device(device)

    def at(self, step: int) -> Draw:
        """Make the draw of a step."""
        settings, photographs = self._settings, self._photographs
        rng = np.random.default_rng((self._seed, step))
        tier = choose_tier(self._faces, rng, settings.tiers)
        if photographs is not None and not photographs.count(tier.face * FACTOR):
            photographs = None
        pictures = batch(self._faces, tier, rng, photographs=photographs, varied=settings.varied)
        target = pictures.to(self._device)
        count, side = len(target), tier.patch
        factor = settings.factors[0]
        if len(settings.factors) > 1:
            factor = settings.factors[int(rng.integers(len(settings.factors)))]
            top, left = (int(rng.integers(0, (FACTOR - factor) * side + 1)) for _ in range(2))
            target = target[..., top : top + factor * side, left : left + factor * side]
        genuine = None
        if settings.genuine and self._genuine is not None:
            genuine = self._genuine.batch(side, count, rng).to(self._device)
        noise = torch.from_numpy(rng.standard_normal((count, 2, side, side), np.float32))
        return Draw(
            target,
            clean(target, factor),
            degrade(target, rng, extra=settings.extra, factor=factor)
            if settings.degraded
            else None,
            genuine,
            noise.to(self._device),
            photographs=0 if photographs is None else count // 2,
            face=tier.face,
        )


def prefetch(make: Callable[[int], Draw], first: int, workers: int) -> Generator[Draw]:
    """Yield the draws of steps `first`, `first` + 1, ...

    Args:
        make: Makes the draw of a step.
        first: First step.
        workers: Number of threads that make draws ahead of time until the iterator is closed. With
            0, draws are made on demand.
    """
    if workers == 0:
        while True:
            yield make(first)
            first += 1
    with ThreadPoolExecutor(workers, thread_name_prefix="draw") as pool:
        waiting: deque[Future[Draw]] = deque()
        try:
            while True:
                while len(waiting) < 2 * workers:
                    waiting.append(pool.submit(make, first))
                    first += 1
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
