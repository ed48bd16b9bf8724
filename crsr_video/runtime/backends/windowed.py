"""A network run on the part of a crop that is used: two thirds of it.

Beyond the mask nothing is pasted, so nothing need be computed. What lies there is shown as a
network would that has nothing to add.
"""

from collections.abc import Callable, Collection

from torch import Tensor

from crsr_video.imaging.masks import window
from crsr_video.networks.shuffle import phases, shuffled

Forward = Callable[[Tensor], Tensor]


class Windowed:
    """A forward pass from float32 (N, 3, S, S) to (N, 3, fS, fS).

    Args: forward: for pictures of any shape whose sides are multiples of four.
          factor: f, 1 or 4.
          sides: S of the crops of which only the window is computed.
    """

    def __init__(self, forward: Forward, factor: int, sides: Collection[int]) -> None:
        self._forward, self._factor, self._sides = forward, factor, frozenset(sides)

    def __call__(self, picture: Tensor) -> Tensor:
        """Forward pass."""
        if picture.shape[-1] not in self._sides:
            return self._forward(picture)
        rows, columns = window(picture.shape[-1])
        part = self._forward(picture[..., rows, columns].contiguous())
        rows, columns = window(picture.shape[-1] * self._factor)
        whole = self._plain(picture)
        whole[..., rows, columns] = part
        return whole

    def _plain(self, picture: Tensor) -> Tensor:
        if self._factor == 1:
            return picture.clone()
        return shuffled(phases(picture, self._factor), self._factor)
