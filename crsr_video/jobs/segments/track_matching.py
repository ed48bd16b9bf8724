"""Find out which tracks of neighbouring segments show the same person.

Each segment numbers its tracks independently. The last frames of a segment are also the end of the
next segment's warm-up, so the same faces have the same boxes there.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import count

import numpy as np

from crsr_video.imaging.geometry import intersection_over_union
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
        tracks, others = [*now[pts]], [*before[pts]]
        boxes = (np.array([*by_track[pts].values()]).reshape(-1, 4) for by_track in (now, before))
        overlap = intersection_over_union(*boxes)
        for row, column in np.argwhere(overlap > _MIN_IOU):
            votes[tracks[row], others[column]] += float(overlap[row, column])
    pairs: dict[int, int] = {}
    for (track, other), _ in sorted(votes.items(), key=lambda vote: (-vote[1], vote[0])):
        if track not in pairs and other not in pairs.values():
            pairs[track] = other
    return pairs
