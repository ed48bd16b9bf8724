"""The frame as square tiles of several sizes, so that every face is large enough in one of them.

Measured on real faces pasted into real scenes at known sizes: of those a tenth of a tile wide the
full-range model finds 96 of 100, of those an eleventh to an eighth at least 90, and nearly all up
to half of it; the short-range model from an eighth on, but then however they are tilted. It is the
share of the tile that counts: enlarging 16-pixel faces costs neither model anything.
"""

import numpy as np

from crsr_video.track.view import Region, View

TILE_PER_FACE = 12.5
"""Side of the smallest tiles over the width of the smallest face to be found."""
_OVERLAP = 0.25
_STEP = 0.3
"""Part of an octave by which the sizes may lie farther apart than by a factor of two."""


def whole(view: View) -> Region:
    """All of the frame."""
    return Region((view.width - 1) / 2, (view.height - 1) / 2, view.width, view.height)


def levels(view: View, least: float) -> list[list[Region]]:
    """Tiles that cover the frame, by size: the whole frame alone, then from large to small.

    Args: least: width in pixels of the smallest face to be found.
    """
    longest, finest = max(view.width, view.height), TILE_PER_FACE * least
    octaves = max(0, int(np.ceil(np.log2(longest / finest) - _STEP)))
    sides = np.geomspace(longest, finest, octaves + 1)[1:]
    return [[whole(view)], *(tiles(view, float(side)) for side in sides)]


def tiles(view: View, side: float) -> list[Region]:
    """Overlapping squares of one size that cover the frame; row by row."""
    xs, ys = _centres(view.width, side), _centres(view.height, side)
    return [Region(x, y, side, side) for y in ys for x in xs]


def _centres(length: float, side: float) -> list[float]:
    if length <= side:
        return [length / 2 - 0.5]
    count = max(1, int(np.ceil((length / side - _OVERLAP) / (1 - _OVERLAP) - 1e-6)))
    return [float(c) for c in np.linspace(side / 2, length - side / 2, count) - 0.5]
