"""Where to look for faces next: everywhere when a scene begins, then a little at a time.

A face that is tracked needs no detector, and a new one can only appear where something changes.
"""

import numpy as np

from crsr_video.track.cuts import Luma
from crsr_video.track.detect import Look
from crsr_video.track.view import Region, View

_OVERLAP = 0.25
_SMALLEST = 128.0
"""Pixels; at this size the detector sees more pixels than the frame has."""
_CHANGED = 10.0
"""Levels by which a thumbnail's pixel must differ from the last look to be worth another."""
_STALE = 90
"""Frames after which a tile is looked at again though nothing seems to have changed."""


def whole(view: View) -> Region:
    """All of the frame."""
    return Region((view.width - 1) / 2, (view.height - 1) / 2, view.width, view.height)


def tiles(view: View) -> list[Region]:
    """Overlapping squares, two to the shorter side, that cover the frame; row by row.

    They do not get smaller than `_SMALLEST`: a narrow strip would else have thousands.
    """
    side = max(min(view.width, view.height) / (2 - _OVERLAP), _SMALLEST)
    xs, ys = _centres(view.width, side), _centres(view.height, side)
    return [Region(x, y, side, side) for y in ys for x in xs]


def _centres(length: float, side: float) -> list[float]:
    if length <= side:
        return [length / 2 - 0.5]
    count = max(1, int(np.ceil((length / side - _OVERLAP) / (1 - _OVERLAP) - 1e-6)))
    return [float(c) for c in np.linspace(side / 2, length - side / 2, count) - 0.5]


class Patrol:
    """Spreads the looks over the frames, so that each frame costs about the same."""

    def __init__(self, sweep_every: int) -> None:
        """Start.

        Args: sweep_every: frames between two looks at the whole frame; tiles come in between.
        """
        self._every = sweep_every
        self._step = max(1, sweep_every // 4)
        self._tiles: list[Region] = []
        self._seen: list[Luma] = []
        """For each tile: the thumbnail when it was last looked at."""
        self._when: list[int] = []
        self._start = 0

    def begin(self, view: View, luma: Luma, index: int) -> list[Look]:
        """All looks of a new scene's first frame."""
        self._tiles = tiles(view)
        self._seen = [luma] * len(self._tiles)
        self._when = [index] * len(self._tiles)
        self._start = index
        everything = whole(view)
        return [
            Look(everything),
            Look(everything, "short_range"),
            *(Look(tile) for tile in self._tiles),
        ]

    def next(self, view: View, luma: Luma, index: int) -> list[Look]:
        """Looks of a later frame."""
        since = index - self._start
        if since % self._every == 0:
            # Every fourth time for a face that fills the picture, which the other model misses.
            near = since // self._every % 4 == 0
            return [Look(whole(view), "short_range" if near else "full_range")]
        if since % self._step:
            return []
        tile = self._most_changed(view, luma, index)
        if tile is None:
            return []
        self._seen[tile], self._when[tile] = luma, index
        return [Look(self._tiles[tile])]

    def _most_changed(self, view: View, luma: Luma, index: int) -> int | None:
        """The tile that is most worth a look, if one is."""
        urgency = []
        for tile, before, when in zip(self._tiles, self._seen, self._when, strict=True):
            scale = luma.shape[1] / view.width
            x0, y0, x1, y1 = np.clip(np.rint((tile.box + 0.5) * scale), 0, None).astype(int)
            difference = float(np.abs(luma - before)[y0:y1, x0:x1].max(initial=0))
            age = index - when
            changed = difference >= _CHANGED or age >= _STALE
            urgency.append(age * min(difference, 4 * _CHANGED) if changed else 0.0)
        best = int(np.argmax(urgency)) if urgency else 0
        return best if urgency and urgency[best] > 0 else None
