"""Who is who on both sides of a joint: faces in the frames that two segments have both looked at.

Each segment counts its faces by itself. The last frames of one are the end of the next one's
warm-up, so the same faces lie there in the same places.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import count

from crsr_video.jobs.segments.results import Boxes, SegmentResult

OVERLAP = 8
"""Frames that are compared."""
_SAME_PLACE = 0.4
"""Overlap of two boxes, intersection over union, from which they are one face."""


def stitch(results: Iterable[SegmentResult]) -> list[dict[int, int]]:
    """For each segment, in order: its own numbers of faces to those of the whole video."""
    fresh, tables = count(1), []
    leaving: dict[int, Boxes] = {}
    known: dict[int, int] = {}
    for result in results:
        same = match(result.entering, leaving)
        table: dict[int, int] = {}
        for track in result.tracks:
            table[track] = known[same[track]] if same.get(track) in known else next(fresh)
        tables.append(table)
        leaving, known = result.leaving, table
    return tables


def match(now: dict[int, Boxes], before: dict[int, Boxes]) -> dict[int, int]:
    """Pair the faces of two looks at the same frames, each at most once, the surest first."""
    votes: defaultdict[tuple[int, int], float] = defaultdict(float)
    for pts in now.keys() & before.keys():
        for track, box in now[pts].items():
            for other, place in before[pts].items():
                shared = _overlap(box, place)
                votes[track, other] += shared if shared > _SAME_PLACE else 0.0
    pairs: dict[int, int] = {}
    for (track, other), weight in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if weight > 0 and track not in pairs and other not in pairs.values():
            pairs[track] = other
    return pairs


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0
