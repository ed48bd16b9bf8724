"""Where to look for faces next: everywhere when a scene begins, then a little at a time.

A face that is tracked needs no detector, and a new one can only appear where something changes.
What a camera brings into view by turning is a change; what it only moves about is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.track.camera import Camera
from crsr_video.track.cuts import Luma
from crsr_video.track.detect import Look, Model
from crsr_video.track.pyramid import levels, whole
from crsr_video.track.view import Region, View

_COST: dict[Model, float] = {"full_range": 1.0, "short_range": 0.4}
"""Of one look, in looks of the full-range model."""
_AT_ONCE = 16.0
"""Cost of a frame's looks at most, soon after a cut."""
_ROUND = 200
"""Frames over which all looks are spread later on, if there is change everywhere."""
_RATES = 0.2, 5.0
"""Cost of a frame's looks later on that is affordable for the smallest and the largest frames."""
_CHANGED = 5.0
"""Levels by which a thumbnail's pixel must differ from the last look to be worth another."""
_NEW = 4 * _CHANGED
"""As good as a change of so many levels: what was never looked at."""
_LEAST = 8.0
"""Width in pixels of the smallest face that can be asked for."""
_STALE = (90, 450)
"""Frames after which a tile is looked at again though nothing seems to have changed: the first,
but the more the more tiles there are, up to the second."""
_IDLE_RATE = 0.4
"""Cost of a frame's looks that these are worth."""
_SOONEST, _SOONEST_BESIDE = 12, 24
"""Frames after which a tile that goes on changing is looked at again at the earliest; the second
where all that changes is beside a known face, which is mostly the same person's hair and body."""
_BESIDE = 0.5
"""How far that reaches, over the side of the known face's region."""
_ENTERED = 0.3
"""Of a tile's side, the strip that must have come into view to be worth a look."""
_TURN = 6
"""Frames over which tiles are checked for change."""
_ON, _NEAR, _AWAY = range(3)
"""On a known face, beside one, and elsewhere."""
_AT_REST = 0.1
"""Pixels of the thumbnail by which a camera at rest seems to move at most."""


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
        self._camera = Camera()

    def begin(self, view: View, luma: Luma, index: int) -> list[Look]:
        """Looks of a new scene's first frame: the large tiles, and as many more as may be."""
        pyramid = levels(view, self._least)[1:]
        cost = sum(_COST[model] * len(tiles) for model in _COST for tiles in pyramid)
        stale = int(np.clip(cost / _IDLE_RATE, *_STALE))
        self._beats = [_Beat(tiles, m, view, luma, stale) for m in _COST for tiles in pyramid]
        self._rate = float(np.clip(cost / _ROUND, *_RATES))
        self._start, self._saved = index, 0.0
        self._camera = Camera()
        seen = _Seen.of(luma, self._camera.push(luma))
        everything = [Look(whole(view)), Look(whole(view), "short_range")]
        return everything + self._first_looks(seen, index, _AT_ONCE - _cost(everything), [])

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
        seen = _Seen.of(luma, self._camera.push(luma))
        first = self._first_looks(seen, index, _AT_ONCE - _cost(looks), known)
        return looks + (first or self._turns(seen, index, known, _places(known, view, luma)))

    def _first_looks(
        self, seen: "_Seen", index: int, room: float, known: Sequence[Region]
    ) -> list[Look]:
        """Tiles not yet seen in this scene by the model for small faces, the large ones first."""
        looks: list[Look] = []
        for beat in self._beats:
            if beat.model == "full_range" and (beat.when < 0).any():
                unseen = np.flatnonzero((beat.when < 0) & ~beat.within(known))
                unseen = unseen[: max(0, int(room - _cost(looks)))]
                looks += [beat.visit(int(tile), seen, index) for tile in unseen]
        return looks

    def _turns(
        self, seen: "_Seen", index: int, known: Sequence[Region], places: NDArray[np.uint8]
    ) -> list[Look]:
        """The tiles that are most worth a look, as many as have been saved for."""
        self._saved = min(self._saved + self._rate, self._rate + 1)
        waiting: list[tuple[float, int, int]] = []
        for number, beat in enumerate(self._beats):
            beat.check(seen, index, places)
            hidden = beat.within(known)
            urgent = beat.most_urgent(index, self._start, ~hidden, 1 + int(3 * self._rate))
            waiting += [(urgency, number, tile) for urgency, tile in urgent]
        looks: list[Look] = []
        for _, number, tile in sorted(waiting, key=lambda turn: -turn[0]):
            beat = self._beats[number]
            if self._saved < _COST[beat.model]:
                break
            self._saved -= _COST[beat.model]
            looks.append(beat.visit(tile, seen, index))
        return looks


@dataclass(frozen=True, slots=True)
class _Seen:
    """A thumbnail, to be compared with later ones."""

    place: NDArray[np.float64]
    """Of the camera; see `Camera.push`."""
    levels: NDArray[np.uint8]
    """(3, H * W): the picture, and the least and the most of what is beside each of its pixels."""

    @classmethod
    def of(cls, luma: Luma, place: NDArray[np.float64]) -> "_Seen":
        picture = np.rint(luma).astype(np.uint8)
        beside = np.ones((3, 3), np.uint8)
        around = cv2.erode(picture, beside), cv2.dilate(picture, beside)
        return cls(place, np.stack([picture, *around]).reshape(3, -1))


class _Beat:
    """Tiles of one size, looked at by one model."""

    def __init__(
        self, tiles: list[Region], model: Model, view: View, luma: Luma, stale: int
    ) -> None:
        self.tiles, self.model = tiles, model
        self._stale = stale
        self.when = np.full(len(tiles), -1)
        """Frame of the last look at each tile; -1: none yet."""
        self._shape = luma.shape
        self._cells = np.stack([_cells(tile, view, luma) for tile in tiles])
        """(N, K, 2): x and y of the thumbnail's pixels."""
        self._places = np.zeros((len(tiles), 2))
        self._levels = np.zeros((len(tiles), 3, luma.size), np.uint8)
        """The camera's place and the whole thumbnail at the last look, as of `_Seen`."""
        self._entered = max(1.0, _ENTERED * float(np.ptp(self._cells[0, :, 0]) + 1))
        self._difference, self._beside = np.full((2, len(tiles)), _CHANGED)
        """Greatest change since the last look: in all, and of that beside known faces."""
        self._boxes = np.array([tile.box for tile in tiles])
        # A large tile is worth more than a small one, since its faces are; and most heads are held
        # upright enough for either model.
        self._worth = np.sqrt(tiles[0].side) * (1.0 if model == "full_range" else 0.5)

    def within(self, known: Sequence[Region]) -> NDArray[np.bool_]:
        """Which tiles lie wholly in a face that is known, so that there is no other in them."""
        if not known:
            return np.zeros(len(self.tiles), bool)
        boxes = np.array([region.box for region in known])
        above = (self._boxes[:, None, :2] >= boxes[:, :2]).all(2)
        below = (self._boxes[:, None, 2:] <= boxes[:, 2:]).all(2)
        return np.asarray(np.any(above & below, axis=1))

    def visit(self, tile: int, seen: _Seen, index: int) -> Look:
        """Have a look."""
        self.when[tile] = index
        self._places[tile], self._levels[tile] = seen.place, seen.levels
        self._difference[tile] = self._beside[tile] = 0.0
        return Look(self.tiles[tile], self.model)

    def check(self, seen: _Seen, index: int, places: NDArray[np.uint8]) -> None:
        """Measure by how much the tiles whose turn it is have changed.

        Args: places: for each of the thumbnail's pixels `_ON`, `_NEAR` or `_AWAY`.
        """
        turn = np.arange(index % _TURN, len(self.tiles), _TURN)
        turn = turn[(self.when[turn] >= 0) & (index - self.when[turn] >= _SOONEST - _TURN)]
        if not len(turn):
            return
        height, width = self._shape
        moved = seen.place - self._places[turn]
        cells = self._cells[turn]
        then = cells - np.rint(moved).astype(int)[:, None]
        known = ((then >= 0) & (then < (width, height))).all(2)
        at = np.where(known, then[..., 1] * width + then[..., 0], 0)
        here = cells[..., 1] * width + cells[..., 0]
        # Pixels of a camera that moves lie between those of before, and take on what is beside.
        rests = np.abs(moved).max(1) < _AT_REST
        rows = turn[:, None]
        low = self._levels[rows, np.where(rests, 0, 1)[:, None], at].astype(np.int16)
        high = self._levels[rows, np.where(rests, 0, 2)[:, None], at].astype(np.int16)
        now = seen.levels[0][here].astype(np.int16)
        much = np.abs(moved).max(1) >= self._entered
        change = np.maximum(low - now, now - high)
        change = np.where(known, change, np.where(much, round(_NEW), 0)[:, None])
        where = places[here]
        self._difference[turn] = (change * (where == _AWAY)).max(1)
        self._beside[turn] = (change * (where == _NEAR)).max(1)

    def most_urgent(
        self, index: int, start: int, among: NDArray[np.bool_], most: int
    ) -> list[tuple[float, int]]:
        """Tiles worth a look, with how urgent it is; the most urgent first.

        Args: start: the scene's first frame. among: which tiles, (N,).
        """
        age = index - np.where(self.when < 0, start - _STALE[0], self.when)
        changed = (self._difference >= _CHANGED) & (age >= _SOONEST)
        changed |= (self._beside >= _CHANGED) & (age >= _SOONEST_BESIDE)
        worth = among & (changed | (self.when < 0) | (age >= self._stale))
        difference = np.maximum(self._difference, self._beside)
        urgency = worth * age**2 * np.clip(difference, 1, _NEW) * self._worth
        best = np.argsort(-urgency, kind="stable")[:most]
        return [(float(urgency[i]), int(i)) for i in best if urgency[i] > 0]


def _cost(looks: list[Look]) -> float:
    return sum(_COST[look.model] for look in looks)


def _cells(tile: Region, view: View, luma: Luma) -> NDArray[np.intp]:
    """Which pixels of a thumbnail a tile covers, (K, 2); as many for all tiles of one size."""
    size = np.array(luma.shape[::-1])
    scale = size / (view.width, view.height)
    span = np.minimum(np.ceil(tile.side * scale).astype(int) + 1, size)
    corner = np.floor((tile.box[:2] + 0.5) * scale).astype(int)
    x0, y0 = np.clip(corner, 0, size - span)
    x, y = np.meshgrid(np.arange(x0, x0 + span[0]), np.arange(y0, y0 + span[1]))
    cells: NDArray[np.intp] = np.stack([x.ravel(), y.ravel()], 1)
    return cells


def _places(known: Sequence[Region], view: View, luma: Luma) -> NDArray[np.uint8]:
    """For each of the thumbnail's pixels whether a known face is there, or near; flat."""
    places = np.full(luma.shape, _AWAY, np.uint8)
    scale = np.tile(np.array(luma.shape[::-1]) / (view.width, view.height), 2)
    for place, reach in ((_NEAR, _BESIDE), (_ON, 0.0)):
        for region in known:
            margin = reach * region.side * np.array([-1, -1, 1, 1])
            corners = np.rint((region.box + margin + 0.5) * scale)
            x0, y0, x1, y1 = np.clip(corners, 0, None).astype(int)
            places[y0:y1, x0:x1] = place
    return places.ravel()
