"""Where to look for faces next: everywhere when a scene begins, then a little at a time.

A face that is tracked needs no detector, and a new one can only appear where something changes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.cuts import Luma
from crsr_video.track.detect import Look, Model
from crsr_video.track.pyramid import levels, whole
from crsr_video.track.view import Region, View

_COST: dict[Model, float] = {"full_range": 1.0, "short_range": 0.4}
"""Of one look, in looks of the full-range model."""
_AT_ONCE = 16.0
"""Cost of a frame's looks at most, soon after a cut."""
_ROUND = 140
"""Frames over which all looks are spread later on, if there is change everywhere."""
_RATES = 0.2, 5.0
"""Cost of a frame's looks later on that is affordable for the smallest and the largest frames."""
_CHANGED = 5.0
"""Levels by which a thumbnail's pixel must differ from the last look to be worth another."""
_LEAST = 8.0
"""Width in pixels of the smallest face that can be asked for."""
_STALE = 90
"""Frames after which a tile is looked at again though nothing seems to have changed."""


class Patrol:
    """Spreads the looks over the frames, so that each frame costs about the same."""

    def __init__(self, sweep_every: int, *, least: float = 16.0) -> None:
        """Start.

        Args: sweep_every: frames between two looks at the whole frame; tiles come in between.
              least: width in pixels of the smallest face to be found.
        """
        self._every = sweep_every
        self._least = max(least, _LEAST)
        self._beats: list[_Beat] = []
        self._rate = self._saved = 0.0
        self._start = 0

    def begin(self, view: View, luma: Luma, index: int) -> list[Look]:
        """Looks of a new scene's first frame: the large tiles, and as many more as may be."""
        pyramid = levels(view, self._least)[1:]
        self._beats = [_Beat(tiles, m, view, luma, index) for m in _COST for tiles in pyramid]
        self._rate = float(np.clip(sum(beat.cost for beat in self._beats) / _ROUND, *_RATES))
        self._start, self._saved = index, 0.0
        everything = [Look(whole(view)), Look(whole(view), "short_range")]
        return everything + self._first_looks(luma, index, _AT_ONCE - _cost(everything), [])

    def next(self, view: View, luma: Luma, index: int, known: Sequence[Region] = ()) -> list[Look]:
        """Looks of a later frame.

        Args: known: regions of faces that are followed anyway: what changes there says nothing.
        """
        since = index - self._start
        looks: list[Look] = []
        if since % self._every == 0:
            looks.append(Look(whole(view)))
            # Every second time for a face that fills the picture, which the other model misses.
            if since // self._every % 2 == 0:
                looks.append(Look(whole(view), "short_range"))
        first = self._first_looks(luma, index, _AT_ONCE - _cost(looks), known)
        return looks + (first or self._turns(luma, index, known, _apart_from(known, view, luma)))

    def _first_looks(
        self, luma: Luma, index: int, room: float, known: Sequence[Region]
    ) -> list[Look]:
        """Tiles not yet seen in this scene by the model for small faces, the large ones first."""
        looks: list[Look] = []
        for beat in self._beats:
            if beat.model == "full_range" and (beat.when < 0).any():
                unseen = np.flatnonzero((beat.when < 0) & ~beat.within(known))
                unseen = unseen[: max(0, int(room - _cost(looks)))]
                looks += [beat.visit(int(tile), luma, index) for tile in unseen]
        return looks

    def _turns(
        self, luma: Luma, index: int, known: Sequence[Region], counts: NDArray[np.float32]
    ) -> list[Look]:
        """The tiles that are most worth a look, as many as have been saved for."""
        self._saved = min(self._saved + self._rate, self._rate + 1)
        waiting: list[tuple[float, int, int]] = []
        for number, beat in enumerate(self._beats):
            hidden = beat.within(known)
            urgent = beat.most_urgent(luma, index, counts, 1 + int(3 * self._rate))
            waiting += [(urgency, number, tile) for urgency, tile in urgent if not hidden[tile]]
        looks: list[Look] = []
        for _, number, tile in sorted(waiting, key=lambda turn: -turn[0]):
            beat = self._beats[number]
            if self._saved < _COST[beat.model]:
                break
            self._saved -= _COST[beat.model]
            looks.append(beat.visit(tile, luma, index))
        return looks


class _Beat:
    """Tiles of one size, looked at by one model."""

    def __init__(
        self, tiles: list[Region], model: Model, view: View, luma: Luma, start: int
    ) -> None:
        self.tiles, self.model = tiles, model
        self._start = start
        self.cost = len(tiles) * _COST[model]
        self.when = np.full(len(tiles), -1)
        """Frame of the last look at each tile; -1: none yet."""
        self._cells = np.stack([_cells(tile, view, luma) for tile in tiles])
        self._seen = np.zeros(self._cells.shape, np.float32)
        """Thumbnail's pixels at the last look."""
        self._boxes = np.array([tile.box for tile in tiles])
        # A large tile is worth more than a small one, since its faces are; and most heads are held
        # upright enough for either model.
        self._worth = tiles[0].side * (1.0 if model == "full_range" else 0.5)

    def within(self, known: Sequence[Region]) -> NDArray[np.bool_]:
        """Which tiles lie wholly in a face that is known, so that there is no other in them."""
        if not known:
            return np.zeros(len(self.tiles), bool)
        boxes = np.array([region.box for region in known])
        above = (self._boxes[:, None, :2] >= boxes[:, :2]).all(2)
        below = (self._boxes[:, None, 2:] <= boxes[:, 2:]).all(2)
        return np.asarray(np.any(above & below, axis=1))

    def visit(self, tile: int, luma: Luma, index: int) -> Look:
        """Have a look."""
        self.when[tile] = index
        self._seen[tile] = luma.ravel()[self._cells[tile]]
        return Look(self.tiles[tile], self.model)

    def most_urgent(
        self, luma: Luma, index: int, counts: NDArray[np.float32], most: int
    ) -> list[tuple[float, int]]:
        """Tiles worth a look, with how urgent it is; the most urgent first.

        Args: counts: 1 where a change of the thumbnail counts, else 0, flat.
        """
        moved = np.abs(luma.ravel()[self._cells] - self._seen) * counts[self._cells]
        difference = np.where(self.when < 0, 4 * _CHANGED, moved.max(1))
        age = index - np.where(self.when < 0, self._start - _STALE, self.when)
        worth = (difference >= _CHANGED) | (age >= _STALE)
        urgency = worth * age * np.clip(difference, 1, 4 * _CHANGED) * self._worth
        best = np.argsort(-urgency, kind="stable")[:most]
        return [(float(urgency[i]), int(i)) for i in best if urgency[i] > 0]


def _cost(looks: list[Look]) -> float:
    return sum(_COST[look.model] for look in looks)


def _cells(tile: Region, view: View, luma: Luma) -> NDArray[np.intp]:
    """Which pixels of a thumbnail, flat, a tile covers; as many for all tiles of one size."""
    size = np.array(luma.shape[::-1])
    scale = size / (view.width, view.height)
    span = np.minimum(np.ceil(tile.side * scale).astype(int) + 1, size)
    corner = np.floor((tile.box[:2] + 0.5) * scale).astype(int)
    x0, y0 = np.clip(corner, 0, size - span)
    rows, columns = np.arange(y0, y0 + span[1]), np.arange(x0, x0 + span[0])
    cells: NDArray[np.intp] = (rows[:, None] * size[0] + columns).ravel()
    return cells


def _apart_from(known: Sequence[Region], view: View, luma: Luma) -> NDArray[np.float32]:
    """1 for the thumbnail's pixels where none of those regions is, else 0; flat."""
    counts = np.ones(luma.shape, np.float32)
    for region in known:
        scale = np.tile(np.array(luma.shape[::-1]) / (view.width, view.height), 2)
        x0, y0, x1, y1 = np.clip(np.rint((region.box + 0.5) * scale), 0, None).astype(int)
        counts[y0:y1, x0:x1] = 0
    return counts.ravel()
