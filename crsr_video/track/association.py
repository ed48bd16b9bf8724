"""Associate detections with tracks, and decide which of two tracks keeps a shared face."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import intersection_over_union
from crsr_video.track.detection import Detection
from crsr_video.track.landmarks import REGION_PER_FACE, Observation
from crsr_video.track.regions import Region
from crsr_video.track.tracks import DETECTED_FACE_SCORE, SEARCH_FRAMES, Track

_SAME_FACE = 0.5
"""Share of the smaller face above which two overlapping regions show one face."""
_SAME_PLACE_IOU = 0.45
_CLEARLY_BETTER = 0.3
_EYES_AGREE, _EYES_DISAGREE = (0.05, 0.09), (0.14, 0.22)
"""Distances between the eye positions of two models, in face sizes. Over the first range, agreement
falls from full to none. Over the second, the score falls to zero."""
_UNLIKE = 0.15
"""Difference in similarity above which the track with the lower similarity loses a shared face."""
_NEAR = 0.5
"""Distance in face sizes within which a face counts as being at its expected position."""
_SPREAD = 0.1
"""Increase of that distance for each frame in which the face was not observed."""
_FARTHEST = 2.5
"""Distance in face sizes from which a lost face is not searched for."""
_YOUNG = 12
"""Number of frames in which a new track may be recognised as a lost one."""
_RECOGNISED = 0.55
"""Similarity above which a new track is recognised as a lost one."""
_LEAST_SIMILARITY = (0.2, 0.45)
"""Least similarity of a face that was just lost, and of one that was lost longer ago."""


def match_detections(expected: list[Region], found: list[Detection]) -> list[tuple[int, int]]:
    """Match faces in view with detections so that they overlap most and lie closest in total.

    Args:
        expected: The region of each track in this frame.
        found: The detections.

    Returns:
        Pairs of indices (track, detection), each index at most once.
    """
    if not expected or not found:
        return []
    tracked = np.array([_face_box(region) for region in expected])
    detected = np.array([_face_box(face.region) for face in found])
    overlap = intersection_over_union(tracked, detected)
    far = np.array([[distance(a, b.region) for b in found] for a in expected])
    return _cheapest(np.where(far < _NEAR, far - overlap, np.inf))


def match_lost(lost: list[Track], index: int, found: list[Observation]) -> list[tuple[int, int]]:
    """Match lost faces with observations that belong to no track, by place and by appearance.

    The longer a face has been lost, the farther it may have gone, and the more similar its
    appearance must be.

    Returns:
        Pairs of indices (track, observation), each index at most once.
    """
    cost = np.array([[_cost_of_return(track, index, seen) for seen in found] for track in lost])
    return _cheapest(cost) if cost.size else []


def recognised(tracks: list[Track], index: int) -> list[tuple[Track, Track]]:
    """Return lost tracks that came back as new ones, as pairs (lost, new).

    A face that is half covered when it comes back may be recognised once it is in plain view.
    """
    lost = [track for track in tracks if track.confirmed and track.last < index]
    here = [(track, *track.birth) for track in tracks if track.last == index and track.birth]
    young = [born for born in here if index - born[1] <= _YOUNG]
    cost = np.full((len(lost), len(young)), np.inf)
    for row, old in enumerate(lost):
        for column, (new, born, seen) in enumerate(young):
            if old.last < born and old.similarity(new.latest) > _RECOGNISED:
                cost[row, column] = _cost_of_return(old, born, seen, 0.0)
    return [(lost[i], young[j][0]) for i, j in _cheapest(cost)] if cost.size else []


def _cost_of_return(
    track: Track, index: int, seen: Observation, least_similarity: float | None = None
) -> float:
    """Return the cost of matching an observation with a lost face, infinite if they cannot match.

    By default, the similarity must be higher the longer ago the face was lost.
    """
    away = index - track.last
    last = track.region or track.latest.region
    # The face may have gone on as before, or stopped anywhere on the way.
    steps = [track.camera_shift + track.velocity * away * s for s in (0, 0.25, 0.5, 0.75, 1)]
    far = min(distance(last.moved(*step), seen.region) for step in steps)
    like = track.similarity(seen)
    if least_similarity is None:
        least_similarity = float(np.interp(away, (1, SEARCH_FRAMES), _LEAST_SIMILARITY))
    if far >= min(_NEAR + _SPREAD * away, _FARTHEST) or like < least_similarity:
        return np.inf
    return far / 2 - like


def _cheapest(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the assignment of least total cost, without pairs of infinite cost."""
    # SciPy loads slowly, so simple cases are solved without it.
    if min(cost.shape) == 1:
        row, column = np.unravel_index(int(cost.argmin()), cost.shape)
        return [(int(row), int(column))] if np.isfinite(cost[row, column]) else []
    nearest = cost.argmin(1)
    matched = [row for row, column in enumerate(nearest) if np.isfinite(cost[row, column])]
    if len({int(nearest[row]) for row in matched}) == len(matched):
        return [(row, int(nearest[row])) for row in matched]  # No two rows want the same column.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, 1e3))
    pairs = zip(rows, columns, strict=True)
    return [(int(i), int(j)) for i, j in pairs if np.isfinite(cost[i, j])]


def confirmed_by(face: Detection, observation: Observation) -> Observation:
    """Return an observation of a detected face, with its score adjusted to how far both agree.

    The measure is the distance between their eye positions, divided by the size of the face. It is
    at most 0.14 where both are right, and above 0.2 where the mesh lies on hair or beside a
    profile.
    """
    offset = np.linalg.norm(observation.points[:2] - face.eyes, axis=1).max()
    off = float(offset) / observation.size
    least = DETECTED_FACE_SCORE * float(np.interp(off, _EYES_AGREE, (1, 0)))
    score = observation.face_score * float(np.interp(off, _EYES_DISAGREE, (1, 0)))
    return replace(observation, face_score=max(score, least))


def is_same_face(a: Region, b: Region) -> bool:
    """Return whether two regions of one frame overlap by half of the smaller face."""
    first, second = _face_box(a), _face_box(b)
    shared = np.clip(np.minimum(first, second)[2:] - np.maximum(first, second)[:2], 0, None).prod()
    return bool(shared > _SAME_FACE * min(a.side, b.side) ** 2 / REGION_PER_FACE**2)


def is_same_place(a: Region, b: Region) -> bool:
    """Return whether two regions show one face in about the same frame."""
    return bool(intersection_over_union(a.box[None], b.box[None])[0, 0] > _SAME_PLACE_IOU)


def worse_track(a: Track, b: Track, index: int) -> Track:
    """Return the track that should lose a face that two tracks share in this frame."""
    like = [track.similarity(track.observations[index]) for track in (a, b)]
    if abs(like[0] - like[1]) > _UNLIKE:
        return a if like[0] < like[1] else b
    trust = [t.detector_score * (1 + t.observations[index].face_score) for t in (a, b)]
    if abs(trust[0] - trust[1]) > _CLEARLY_BETTER:
        return a if trust[0] < trust[1] else b
    # Both fit equally well, so the one that has strayed farther slipped off a covered face.
    return max(a, b, key=lambda track: (surprise(track, index), track.id))


def surprise(track: Track, index: int) -> float:
    """Return the distance of a track from the position that its past predicts, in face sizes."""
    past = [i for i in track.observations if index - SEARCH_FRAMES <= i < index - 2]
    if len(past) < 2:
        return np.inf  # A new track on the face of another track must yield.
    a, b = track.observations[past[0]], track.observations[past[-1]]
    start, end = a.region.centre, b.region.centre
    due = end + (end - start) / (past[-1] - past[0]) * (index - past[-1])
    return float(np.hypot(*(track.observations[index].region.centre - due))) / b.size


def _face_box(region: Region) -> NDArray[np.float64]:
    half = region.side / REGION_PER_FACE / 2
    return np.array([region.x - half, region.y - half, region.x + half, region.y + half])


def distance(a: Region, b: Region) -> float:
    """Return the distance of two faces in sizes of the smaller, plus a penalty if sizes differ."""
    sizes = sorted((a.side / REGION_PER_FACE, b.side / REGION_PER_FACE))
    between = float(np.hypot(*(a.centre - b.centre)))
    return between / sizes[0] + max(0.0, sizes[1] / sizes[0] - 1.6)
