"""Schedule the search for faces: the whole frame when a scene begins, then a few tiles per frame.

A tracked face needs no detector, and a new face can only appear where the picture changes. Content
that a camera movement brings into view counts as a change. Content that the movement only shifts
within the frame does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.track.detection import DetectorName, DetectorRun
from crsr_video.track.regions import Region, UprightView, tile_levels, upside_down
from crsr_video.track.scenes import CameraPath, Luma

_COST: dict[DetectorName, float] = {"full_range": 1.0, "short_range": 0.4}
"""Cost of one run of each detector, relative to a run of the full-range detector."""
_MAX_COST_AFTER_CUT = 16.0
"""Maximum cost per frame soon after a cut, until every tile has been searched."""
_ROUND_FRAMES = 200
"""Frames over which one run on every tile is spread later in a scene, if all tiles change."""
_COST_RATES = 0.2, 5.0
"""Lowest and highest cost per frame later in a scene. The larger the frame, the higher it is."""
_CHANGED = 5.0
"""Grey levels by which a pixel of the thumbnail must have changed to justify another run."""
_NEW = 4 * _CHANGED
"""Change in grey levels that is assumed for content that has come into view."""
_SMALLEST_FACE = 8.0
"""Width in pixels of the smallest face that can be searched for."""
_STALE = (90, 450)
"""Minimum and maximum number of frames after which a tile is searched again although nothing seems
to have changed. The more tiles there are, the larger the number is."""
_STALE_COST_RATE = 0.4
"""Maximum average cost per frame of these repeated searches, before `_STALE` limits them."""
_UPSIDE_DOWN_EVERY = 8
"""One in this many searches of the whole frame also looks for upside-down faces, which are rare.
Tiles are searched for such faces less often by the same factor."""
_SOONEST, _SOONEST_BESIDE_FACE = 12, 24
"""Minimum number of frames between two runs on a tile that keeps changing. The second one applies
if only the surroundings of tracked faces change, which are mostly their own hair and body."""
_BESIDE_FACE = 0.5
"""Width of these surroundings, as a fraction of the side of the face's region."""
_ENTERED = 0.3
"""Part of a tile's side that must have come into view to justify a run."""
_CHECK_EVERY = 6
"""Frames between two checks of a tile for change. The checks of all tiles are spread over them."""
_ON_FACE, _NEAR_FACE, _ELSEWHERE = range(3)
_AT_REST = 0.1
"""Largest apparent movement of a camera at rest, in pixels of the thumbnail."""


class SearchSchedule:
    """Spreads detector runs over the frames, so that each frame costs about the same."""

    def __init__(self, sweep_every: int, *, min_face: float = 16.0) -> None:
        """Create the schedule.

        Args:
            sweep_every: Frames between two runs on the whole frame. Tiles are searched in between.
            min_face: Width in pixels of the smallest face to be found.
        """
        self._sweep_every = sweep_every
        self._min_face = max(min_face, _SMALLEST_FACE)
        self._levels: list[_TileLevel] = []
        self._cost_rate = self._saved_cost = 0.0
        self._start = 0
        self._camera = CameraPath()

    def begin(self, view: UprightView, luma: Luma, index: int) -> list[DetectorRun]:
        """Return the runs for the first frame of a scene.

        They search the whole frame, and then as many tiles as the cost limit allows.
        """
        pyramid = tile_levels(view, self._min_face)
        cost = sum(_COST[detector] * len(tiles) for detector in _COST for tiles in pyramid)
        stale = int(np.clip(cost / _STALE_COST_RATE, *_STALE))
        self._levels = [_TileLevel(t, name, view, luma, stale) for name in _COST for t in pyramid]
        # The smallest tiles are most of the work, and faces upside down are seldom in them.
        turned = ([upside_down(tile) for tile in tiles] for tiles in pyramid[:-1])
        self._levels += [
            _TileLevel(t, "full_range", view, luma, stale, _UPSIDE_DOWN_EVERY) for t in turned
        ]
        self._cost_rate = float(np.clip(cost / _ROUND_FRAMES, *_COST_RATES))
        self._start, self._saved_cost = index, 0.0
        self._camera = CameraPath()
        seen = _Snapshot.of(luma, self._camera.push(luma))
        sweep = [DetectorRun(view.whole), DetectorRun(view.whole, "short_range")]
        sweep.append(DetectorRun(upside_down(view.whole)))
        return sweep + self._first_runs(seen, index, _MAX_COST_AFTER_CUT - _cost(sweep), [])

    def next(
        self, view: UprightView, luma: Luma, index: int, tracked: Sequence[Region] = ()
    ) -> list[DetectorRun]:
        """Return the runs for a later frame.

        Args:
            view: The view of the frame.
            luma: The thumbnail of the frame.
            index: The number of the frame.
            tracked: Regions of tracked faces. Changes inside them do not hint at new faces.
        """
        since = index - self._start
        runs: list[DetectorRun] = []
        if since % self._sweep_every == 0:
            runs.append(DetectorRun(view.whole))
            # full_range misses a face that fills the picture, so short_range runs too, but
            # only every second time.
            if since // self._sweep_every % 2 == 0:
                runs.append(DetectorRun(view.whole, "short_range"))
            if since // self._sweep_every % _UPSIDE_DOWN_EVERY == 1:
                runs.append(DetectorRun(upside_down(view.whole)))
        seen = _Snapshot.of(luma, self._camera.push(luma))
        first = self._first_runs(seen, index, _MAX_COST_AFTER_CUT - _cost(runs), tracked)
        if first:
            return runs + first
        return runs + self._most_useful_runs(seen, index, tracked, _zones(tracked, view, luma))

    def _first_runs(
        self, seen: "_Snapshot", index: int, budget: float, tracked: Sequence[Region]
    ) -> list[DetectorRun]:
        """Return runs on tiles that full_range has not searched yet, the large ones first."""
        runs: list[DetectorRun] = []
        for level in self._levels:
            if level.is_first and (level.last_run < 0).any():
                unseen = np.flatnonzero((level.last_run < 0) & ~level.within(tracked))
                unseen = unseen[: max(0, int(budget - _cost(runs)))]
                runs += [level.run(int(tile), seen, index) for tile in unseen]
        return runs

    def _most_useful_runs(
        self,
        seen: "_Snapshot",
        index: int,
        tracked: Sequence[Region],
        zones: NDArray[np.uint8],
    ) -> list[DetectorRun]:
        """Return runs on the most urgent tiles, as many as the unspent cost allows."""
        self._saved_cost = min(self._saved_cost + self._cost_rate, self._cost_rate + 1)
        waiting: list[tuple[float, int, int]] = []
        for number, level in enumerate(self._levels):
            level.measure_change(seen, index, zones)
            free = ~level.within(tracked)
            urgent = level.most_urgent(index, self._start, free, 1 + int(3 * self._cost_rate))
            waiting += [(urgency, number, tile) for urgency, tile in urgent]
        runs: list[DetectorRun] = []
        for _, number, tile in sorted(waiting, key=lambda entry: -entry[0]):
            level = self._levels[number]
            if self._saved_cost < _COST[level.detector]:
                break
            self._saved_cost -= _COST[level.detector]
            runs.append(level.run(tile, seen, index))
        return runs


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A thumbnail that is compared with later ones."""

    camera: NDArray[np.float64]
    """Position of the camera, as `CameraPath.push` returns it."""
    levels: NDArray[np.uint8]
    """(3, height * width): each pixel, and the minimum and maximum of the 3x3 pixels around it."""

    @classmethod
    def of(cls, luma: Luma, camera: NDArray[np.float64]) -> "_Snapshot":
        picture = np.rint(luma).astype(np.uint8)
        kernel = np.ones((3, 3), np.uint8)
        around = cv2.erode(picture, kernel), cv2.dilate(picture, kernel)
        return cls(camera, np.stack([picture, *around]).reshape(3, -1))


class _TileLevel:
    """Tiles of one size, searched by one detector."""

    def __init__(
        self,
        tiles: list[Region],
        detector: DetectorName,
        view: UprightView,
        luma: Luma,
        stale: int,
        rarity: int = 1,
    ) -> None:
        self.tiles, self.detector = tiles, detector
        self.is_first = detector == "full_range" and rarity == 1
        """Whether all tiles are searched as soon as a scene begins."""
        self._stale, self._rarity = stale * rarity, rarity
        self.last_run = np.full(len(tiles), -1)
        """Frame of the last run on each tile; -1 if there was none."""
        self._shape = luma.shape
        self._cells = np.stack([_cells(tile, view, luma) for tile in tiles])
        """(N, K, 2): x and y of the K pixels of the thumbnail in each of N tiles."""
        self._cameras = np.zeros((len(tiles), 2))
        self._snapshots = np.zeros((len(tiles), 3, luma.size), np.uint8)
        """The `_Snapshot` at the last run on each tile."""
        self._entered = max(1.0, _ENTERED * float(np.ptp(self._cells[0, :, 0]) + 1))
        self._change, self._change_near_faces = np.full((2, len(tiles)), _CHANGED)
        """Greatest change per tile since its last run, away from tracked faces and near them."""
        self._boxes = np.array([tile.box for tile in tiles])
        # A large tile is worth more than a small one, because larger faces matter more. A run of
        # short_range is worth less, because most heads are upright enough for full_range too.
        self._worth = np.sqrt(tiles[0].side) * (1.0 if self.is_first else 0.5) / rarity

    def within(self, tracked: Sequence[Region]) -> NDArray[np.bool_]:
        """Return which tiles lie inside a tracked face and so cannot contain another one."""
        if not tracked:
            return np.zeros(len(self.tiles), bool)
        boxes = np.array([region.box for region in tracked])
        above = (self._boxes[:, None, :2] >= boxes[:, :2]).all(2)
        below = (self._boxes[:, None, 2:] <= boxes[:, 2:]).all(2)
        return np.asarray(np.any(above & below, axis=1))

    def run(self, tile: int, seen: _Snapshot, index: int) -> DetectorRun:
        """Return a run on a tile, and record that the tile has been searched."""
        self.last_run[tile] = index
        self._cameras[tile], self._snapshots[tile] = seen.camera, seen.levels
        self._change[tile] = self._change_near_faces[tile] = 0.0
        return DetectorRun(self.tiles[tile], self.detector)

    def measure_change(self, seen: _Snapshot, index: int, zones: NDArray[np.uint8]) -> None:
        """Measure the change of the tiles whose turn it is in this frame.

        Args:
            seen: Snapshot of the current frame.
            index: The number of the frame.
            zones: `_ON_FACE`, `_NEAR_FACE` or `_ELSEWHERE` for each pixel of the thumbnail.
        """
        turn = np.arange(index % _CHECK_EVERY, len(self.tiles), _CHECK_EVERY)
        age = index - self.last_run[turn]
        turn = turn[(self.last_run[turn] >= 0) & (age >= _SOONEST - _CHECK_EVERY)]
        if not len(turn):
            return
        height, width = self._shape
        moved = seen.camera - self._cameras[turn]
        cells = self._cells[turn]
        then = cells - np.rint(moved).astype(int)[:, None]
        was_in_view = ((then >= 0) & (then < (width, height))).all(2)
        at = np.where(was_in_view, then[..., 1] * width + then[..., 0], 0)
        here = cells[..., 1] * width + cells[..., 0]
        # If the camera has moved, a pixel lies between pixels of the earlier thumbnail: any value
        # between the minimum and the maximum of these counts as unchanged.
        rests = np.abs(moved).max(1) < _AT_REST
        rows = turn[:, None]
        low = self._snapshots[rows, np.where(rests, 0, 1)[:, None], at].astype(np.int16)
        high = self._snapshots[rows, np.where(rests, 0, 2)[:, None], at].astype(np.int16)
        now = seen.levels[0][here].astype(np.int16)
        much_entered = np.abs(moved).max(1) >= self._entered
        change = np.maximum(low - now, now - high)
        change = np.where(was_in_view, change, np.where(much_entered, round(_NEW), 0)[:, None])
        zone = zones[here]
        self._change[turn] = (change * (zone == _ELSEWHERE)).max(1)
        self._change_near_faces[turn] = (change * (zone == _NEAR_FACE)).max(1)

    def most_urgent(
        self, index: int, start: int, among: NDArray[np.bool_], most: int
    ) -> list[tuple[float, int]]:
        """Return (urgency, tile) of the tiles that justify a run, the most urgent first.

        Args:
            index: The number of the frame.
            start: The first frame of the scene.
            among: (N,) mask of the tiles that may be chosen.
            most: Maximum number of tiles to return.
        """
        age = index - np.where(self.last_run < 0, start - _STALE[0], self.last_run)
        soonest, beside_face = self._rarity * _SOONEST, self._rarity * _SOONEST_BESIDE_FACE
        changed = (self._change >= _CHANGED) & (age >= soonest)
        changed |= (self._change_near_faces >= _CHANGED) & (age >= beside_face)
        worth = among & (changed | (self.last_run < 0) | (age >= self._stale))
        change = np.maximum(self._change, self._change_near_faces)
        urgency = worth * age**2 * np.clip(change, 1, _NEW) * self._worth
        best = np.argsort(-urgency, kind="stable")[:most]
        return [(float(urgency[i]), int(i)) for i in best if urgency[i] > 0]


def _cost(runs: list[DetectorRun]) -> float:
    return sum(_COST[run.detector] for run in runs)


def _cells(tile: Region, view: UprightView, luma: Luma) -> NDArray[np.intp]:
    """Return the (K, 2) pixels of a thumbnail in a tile. All tiles of one size have the same K."""
    size = np.array(luma.shape[::-1])
    scale = size / (view.width, view.height)
    span = np.minimum(np.ceil(tile.side * scale).astype(int) + 1, size)
    corner = np.floor((tile.box[:2] + 0.5) * scale).astype(int)
    x0, y0 = np.clip(corner, 0, size - span)
    x, y = np.meshgrid(np.arange(x0, x0 + span[0]), np.arange(y0, y0 + span[1]))
    cells: NDArray[np.intp] = np.stack([x.ravel(), y.ravel()], 1)
    return cells


def _zones(tracked: Sequence[Region], view: UprightView, luma: Luma) -> NDArray[np.uint8]:
    """Return `_ON_FACE`, `_NEAR_FACE` or `_ELSEWHERE` for each pixel, as a flat array."""
    zones = np.full(luma.shape, _ELSEWHERE, np.uint8)
    scale = np.tile(np.array(luma.shape[::-1]) / (view.width, view.height), 2)
    for zone, reach in ((_NEAR_FACE, _BESIDE_FACE), (_ON_FACE, 0.0)):
        for region in tracked:
            margin = reach * region.side * np.array([-1, -1, 1, 1])
            corners = np.rint((region.box + margin + 0.5) * scale)
            x0, y0, x1, y1 = np.clip(corners, 0, None).astype(int)
            zones[y0:y1, x0:x1] = zone
    return zones.ravel()
