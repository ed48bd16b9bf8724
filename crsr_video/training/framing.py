"""High-resolution faces cut the way another data set cuts them."""

import math
from pathlib import Path

from crsr_video.training.data import Bytes, Faces
from crsr_video.training.genuine import NPZ_FRAME, framed


class FramedFaces(Faces):
    """Faces of a pack that show as much of the head as the research data (see `genuine`)."""

    def __init__(self, path: Path, split: str, *, kind: str | None = None) -> None:
        """Open the pack; see `Faces`."""
        super().__init__(path, split, kind=kind)
        self._whole = Faces(path, split, kind=kind)
        self._cut: dict[tuple[int, int], Bytes] = {}

    def count(self, size: int) -> int:
        """How many pictures give at least `size` pixels when cut."""
        return self._whole.count(_before(size))

    def at(self, number: int, size: int) -> Bytes:
        """Picture `number` of those, uint8 (S, S, 3), S being `size` or twice that."""
        if (number, size) not in self._cut:
            picture = self._whole.at(number, _before(size))
            # Larger than asked for where it can be, so that being turned softens nothing.
            larger = size * min(2, int(picture.shape[0] * NPZ_FRAME.scale / size))
            self._cut[number, size] = framed(picture, larger)
        return self._cut[number, size]


def _before(size: int) -> int:
    """Side that a picture needs before it is cut."""
    return math.ceil(size / NPZ_FRAME.scale)
