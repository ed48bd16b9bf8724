"""Find out which tracks of neighbouring segments show the same person.

Each segment numbers its tracks independently. The last frames of a segment are also the end of the
next segment's warm-up, so the same faces have the same boxes there.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import count

from crsr_video.jobs.segments.results import Boxes, SegmentResult

OVERLAP_FRAMES = 8
"""Number of frames that are compared."""
_MIN_IOU = 0.4
"""Two boxes with at least this intersection over union show the same face."""


def match_tracks(results: Iterable[SegmentResult]) -> list[dict[int, int]]:
    """Return, for each segment in order, a mapping of its track IDs to those of the whole video."""
    new_ids, tables = count(1), []
    leaving: dict[int, Boxes] = {}
    known: dict[int, int] = {}
    for result in results:
        same = _match(result.entering, leaving)
        table: dict[int, int] = {}
        for track in result.tracks:
            table[track] = known[same[track]] if same.get(track) in known else next(new_ids)
        tables.append(table)
        leaving, known = result.leaving, table
    return tables


def _match(now: dict[int, Boxes], before: dict[int, Boxes]) -> dict[int, int]:
    """Pair the tracks of two segments in the frames they share, the best match first."""
    votes: defaultdict[tuple[int, int], float] = defaultdict(float)
    for pts in now.keys() & before.keys():
        for track, box in now[pts].items():
            for other, other_box in before[pts].items():
                iou = _intersection_over_union(box, other_box)
                votes[track, other] += iou if iou > _MIN_IOU else 0.0
    pairs: dict[int, int] = {}
    for (track, other), weight in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if weight > 0 and track not in pairs and other not in pairs.values():
            pairs[track] = other
    return pairs


def _intersection_over_union(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0
