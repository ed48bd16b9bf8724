"""What each step of a run sees, made ahead of time by threads.

Step k of a run sees the same pictures however often the run was interrupted and however many
threads there are: every draw has a random generator of its own, made from the seed and k.
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
    """Pictures for one step; in [0, 1], on the run's device."""

    target: Tensor
    """y, (N, 3, 4T, 4T)."""
    artificial: Tensor
    """a, (N, 3, T, T): y shrunk."""
    degraded: Tensor | None
    """d, as large: y as a bad camera and a codec would show it."""
    genuine: Tensor | None
    """g, (N, 3, T, T): faces of other people from real footage."""
    noise: Tensor
    """(N, 2, T, T), normally distributed: for the reverse network."""
    photographs: int = 0
    """How many of the first pictures are sure to be photographs."""
    face: int = 0
    """Side of the whole LR face; larger than T if only a piece is shown."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a method needs to see."""

    tiers: tuple[Tier, ...]
    degraded: bool = False
    genuine: bool = False
    photographs: bool = False
    """Whether the first half of each batch must be photographs."""
    varied: bool = False
    """Whether skin tones and iris colours are balanced and changed."""
    extra: float = 0.0
    """Share of pictures with a degradation of `spoiling.EXTRA_KINDS`."""


class Source:
    """Makes draws.

    Args:   faces: high-resolution faces.
            genuine: low-resolution faces, if the method needs them.
            photographs: those of `faces` that are photographs, likewise.
    Raises: TrainingError: the method needs genuine faces, and there are none.
    """

    def __init__(
        self,
        faces: Faces,
        genuine: Genuine | None,
        wanted: Wanted,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        photographs: Faces | None = None,
    ) -> None:
        if wanted.genuine and genuine is None:
            raise TrainingError("this way of training needs genuine low-resolution faces")
        self._faces, self._genuine, self._wanted = faces, genuine, wanted
        self._photographs = photographs
        self._seed, self._device = seed, torch.device(device)

    def at(self, step: int) -> Draw:
        """The draw of a step."""
        rng = np.random.default_rng((self._seed, step))
        tier = choose_tier(self._faces, rng, self._wanted.tiers)
        photographs = self._photographs
        if photographs is not None and not photographs.count(tier.face * FACTOR):
            photographs = None
        target = batch(
            self._faces, tier, rng, photographs=photographs, varied=self._wanted.varied
        ).to(self._device)
        n, side = len(target), tier.patch
        genuine = None
        if self._wanted.genuine and self._genuine is not None:
            genuine = self._genuine.batch(side, n, rng).to(self._device)
        noise = torch.from_numpy(rng.standard_normal((n, 2, side, side), np.float32))
        degraded = None
        if self._wanted.degraded:
            degraded = degrade(target, rng, extra=self._wanted.extra)
        return Draw(
            target,
            clean(target),
            degraded,
            genuine,
            noise.to(self._device),
            photographs=0 if photographs is None else n // 2,
            face=tier.face,
        )


def ahead(make: Callable[[int], Draw], first: int, workers: int) -> Generator[Draw]:
    """The draws of steps `first`, `first` + 1, ..., made by `workers` threads; 0: when asked.

    The threads end when the iterator is closed.
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
