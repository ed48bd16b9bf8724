"""Which face is which: detections find their tracks, and two tracks do not share a face."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.detect import Detection, iou
from crsr_video.track.landmarks import REGION_PER_FACE, Sighting
from crsr_video.track.tracks import BACKED, PATIENCE, Track, centre
from crsr_video.track.view import Region

_SAME_FACE = 0.5
_SAME_PLACE = 0.45
_CLEARLY = 0.3
_TOGETHER, _APART = (0.05, 0.09), (0.14, 0.22)
"""Distance between eyes as two models see them, in face sizes: all but none, and too much."""
_UNLIKE = 0.15
_NEAR = 0.5
"""Face sizes within which a face is where it is expected."""
_SPREAD = 0.1
"""Likewise, added for each frame in which it was not seen,"""
_FARTHEST = 2.5
"""and up to this."""
_YOUNG = 12
"""Frames in which a new track may yet turn out to be a lost one,"""
_RECOGNISED = 0.55
"""if it looks so much alike."""
_ALIKE = (0.2, 0.45)
"""Least likeness of a face that was just lost, and of one that was lost for longer."""


def assign(expected: list[Region], found: list[Detection]) -> list[tuple[int, int]]:
    """Match faces in view with detections, each at most once: the overlap is largest in all.

    Args:    expected: region of each track in this frame. found: the detections.
    Returns: pairs of indices, (track, detection).
    """
    if not expected or not found:
        return []
    faces = [_face_box(region) for region in expected]
    overlap = iou(np.array(faces), np.array([_face_box(face.region) for face in found]))
    far = np.array([[apart(a, b.region) for b in found] for a in expected])
    return _cheapest(np.where(far < _NEAR, far - overlap, np.inf))


def reunite(lost: list[Track], index: int, found: list[Sighting]) -> list[tuple[int, int]]:
    """Match lost faces with those that are nobody's yet: by where they may be, and by their looks.

    The longer a face has been away, the farther it may have gone, and the more it must look like
    itself.
    Returns: pairs of indices, (track, sighting).
    """
    cost = np.array([[_estrangement(track, index, seen) for seen in found] for track in lost])
    return _cheapest(cost) if cost.size else []


def recognised(tracks: list[Track], index: int) -> list[tuple[Track, Track]]:
    """Lost faces that came back as a new track, being half covered then: (lost, new) pairs.

    What could not be recognised at first may be once it is in plain view.
    """
    lost = [track for track in tracks if track.confirmed and track.last < index]
    here = [(track, *track.birth) for track in tracks if track.last == index and track.birth]
    young = [born for born in here if index - born[1] <= _YOUNG]
    cost = np.full((len(lost), len(young)), np.inf)
    for row, old in enumerate(lost):
        for column, (new, born, seen) in enumerate(young):
            if old.last < born and old.like(new.latest) > _RECOGNISED:
                cost[row, column] = _estrangement(old, born, seen, 0.0)
    return [(lost[i], young[j][0]) for i, j in _cheapest(cost)] if cost.size else []


def _estrangement(track: Track, index: int, seen: Sighting, alike: float | None = None) -> float:
    """Cost of taking a sighting for a lost face; infinite if it cannot be.

    Args: alike: least likeness; None: the longer ago, the more.
    """
    away = index - track.last
    last = track.region or track.latest.region
    # It may have gone on as it went before, or stopped anywhere on the way.
    steps = [track.drift + track.velocity * away * share for share in (0, 0.25, 0.5, 0.75, 1)]
    ways = [last.moved(*step) for step in steps]
    far = min(apart(way, seen.region) for way in ways)
    like = track.like(seen)
    if alike is None:
        alike = float(np.interp(away, (1, PATIENCE), _ALIKE))
    if far >= min(_NEAR + _SPREAD * away, _FARTHEST) or like < alike:
        return np.inf
    return far / 2 - like


def _cheapest(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The assignment of least cost in all, without pairs that cost infinitely much."""
    if min(cost.shape) == 1:  # One of them is alone: no need for what takes long to import.
        row, column = np.unravel_index(int(cost.argmin()), cost.shape)
        return [(int(row), int(column))] if np.isfinite(cost[row, column]) else []
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e3))
    pairs = zip(rows, columns, strict=True)
    return [(int(i), int(j)) for i, j in pairs if np.isfinite(cost[i, j])]


def vouched(face: Detection, sighting: Sighting) -> Sighting:
    """A mesh that was placed where a detector saw a face, believed as far as the two agree.

    Measured as the distance of the eyes over the face's size: up to 0.14 where both are right,
    beyond 0.2 where the mesh lies on hair or beside a profile.
    """
    off = float(np.linalg.norm(sighting.points[:2] - face.eyes, axis=1).max()) / sighting.size
    backing = BACKED * float(np.interp(off, _TOGETHER, (1, 0)))
    flag = sighting.flag * float(np.interp(off, _APART, (1, 0)))
    return replace(sighting, flag=max(flag, backing))


def same_face(a: Region, b: Region) -> bool:
    """Whether the faces in two regions of one frame are one: half of the smaller is in both."""
    first, second = _face_box(a), _face_box(b)
    shared = np.clip(np.minimum(first, second)[2:] - np.maximum(first, second)[:2], 0, None).prod()
    return bool(shared > _SAME_FACE * min(a.side, b.side) ** 2 / REGION_PER_FACE**2)


def same_place(a: Region, b: Region) -> bool:
    """Whether two regions show one face about alike."""
    return bool(iou(a.box[None], b.box[None])[0, 0] > _SAME_PLACE)


def worse(a: Track, b: Track, index: int) -> Track:
    """Which of two tracks that have come to lie on one face in this frame does not belong there."""
    like = [track.like(track.sightings[index]) for track in (a, b)]
    if abs(like[0] - like[1]) > _UNLIKE:
        return a if like[0] < like[1] else b
    trust = [track.score * (1 + track.sightings[index].flag) for track in (a, b)]
    if abs(trust[0] - trust[1]) > _CLEARLY:
        return a if trust[0] < trust[1] else b
    # Equally good, so one has slipped from a face that was covered: the one that has strayed.
    return max(a, b, key=lambda track: (surprise(track, index), track.id))


def surprise(track: Track, index: int) -> float:
    """How far a track seen in this frame is from where its past leads, in face sizes."""
    past = [i for i in track.sightings if index - PATIENCE <= i < index - 2]
    if len(past) < 2:
        return np.inf  # a newcomer on another's face is the one to go
    a, b = track.sightings[past[0]], track.sightings[past[-1]]
    start, end = centre(a.region), centre(b.region)
    due = end + (end - start) / (past[-1] - past[0]) * (index - past[-1])
    return float(np.hypot(*(centre(track.sightings[index].region) - due))) / b.size


def _face_box(region: Region) -> NDArray[np.float64]:
    half = region.side / REGION_PER_FACE / 2
    return np.array([region.x - half, region.y - half, region.x + half, region.y + half])


def apart(a: Region, b: Region) -> float:
    """Distance between centres, in sizes of the smaller face, more if the sizes differ."""
    sizes = sorted((a.side / REGION_PER_FACE, b.side / REGION_PER_FACE))
    between = float(np.hypot(*(centre(a) - centre(b))))
    return between / sizes[0] + max(0.0, sizes[1] / sizes[0] - 1.6)
