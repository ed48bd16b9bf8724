"""Which face is which: detections find their tracks, and two tracks do not share a face."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crsr_video.track.detect import Detection, iou
from crsr_video.track.landmarks import REGION_PER_FACE
from crsr_video.track.tracks import PATIENCE, Track, centre
from crsr_video.track.view import Region

_SAME_FACE = 0.5
_SAME_PLACE = 0.45
_CLEARLY = 0.3


def assign(
    expected: list[Region], lost: list[int], found: list[Detection]
) -> list[tuple[int, int]]:
    """Match tracks with detections, each at most once, so that the overlap is largest in all.

    Args:    expected: region of each track in this frame. lost: frames since each was seen; the
             longer, the farther it may have gone. found: the detections.
    Returns: pairs of indices, (track, detection).
    """
    if not expected or not found:
        return []
    faces = [_face_box(region) for region in expected]
    overlap = iou(np.array(faces), np.array([_face_box(face.region) for face in found]))
    far = np.array([[_distance(a, b.region) for b in found] for a in expected])
    reach = 0.5 + 0.05 * np.minimum(lost, PATIENCE)[:, None]
    cost = np.where(far < reach, far - overlap, 10.0)
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 10]


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


def _distance(a: Region, b: Region) -> float:
    """Between centres, in sizes of the smaller face, more if the sizes differ."""
    sizes = sorted((a.side / REGION_PER_FACE, b.side / REGION_PER_FACE))
    apart = float(np.hypot(*(centre(a) - centre(b))))
    return apart / sizes[0] + max(0.0, sizes[1] / sizes[0] - 1.6)
