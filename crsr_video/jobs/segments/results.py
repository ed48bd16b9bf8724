"""Results of segments, which workers return and the journal stores, and how their tracks match."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import count
from typing import Any

import numpy as np

from crsr_video.imaging.geometry import intersection_over_union
from crsr_video.report import Observations
from crsr_video.types import RunStatistics

Boxes = dict[int, tuple[float, float, float, float]]
"""Boxes (x0, y0, x1, y1) in frame pixels, by track ID."""


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """A finished segment. Times are in ticks of the source's video stream, on its own clock."""

    number: int
    name: str
    """Name of the file in the work folder, or empty if the segment has no frame."""
    size: int
    """Size of the file in bytes."""
    sha256: str
    frames: int
    first: int
    """Time of the first frame, which is zero in the file."""
    durations: tuple[tuple[int, int], ...]
    """Run lengths (count, ticks) of durations in presentation order. NUT does not store them."""
    delay: int
    """Number of frames by which decoding precedes presentation."""
    statistics: RunStatistics
    """Statistics of the segment's own frames. Its people may also appear in other segments."""
    entering: dict[int, Boxes]
    """Faces in the last warm-up frames, by timestamp."""
    leaving: dict[int, Boxes]
    """Faces in the last frames of the segment, by timestamp."""
    tracks: tuple[int, ...]
    concealed: int = 0
    """Number of frames that the decoder repaired."""
    damaged: int = 0
    """Number of packets that could not be decoded."""
    notes: tuple[str, ...] = ()
    """Notices from reading the source."""
    observed: Observations | None = None
    """Observations for the report, if one was requested."""


def add_statistics(parts: Iterable[RunStatistics], tracks: int) -> RunStatistics:
    """Return the sum of statistics.

    Args:
        parts: Statistics of the parts.
        tracks: Number of tracks in the whole, which may differ from the sum.
    """
    total: dict[str, Any] = {}
    for part in parts:
        for field in fields(part):
            total[field.name] = _plus(total.get(field.name), getattr(part, field.name), 1)
    return RunStatistics(**total | {"tracks": tracks, "people": int(tracks == 1)})


def subtract_statistics(now: RunStatistics, before: RunStatistics, tracks: int) -> RunStatistics:
    """Return the difference between the statistics of two moments.

    Args:
        now: The later statistics.
        before: The earlier statistics.
        tracks: Number of tracks in between, which may differ from the difference of counts.
    """
    grown = {f.name: _plus(getattr(now, f.name), getattr(before, f.name), -1) for f in fields(now)}
    return RunStatistics(**grown | {"tracks": tracks, "people": int(tracks == 1)})


def _plus(total: Any, more: Any, sign: int) -> Any:
    """Add or subtract two numbers, or two tables of numbers key by key."""
    if not isinstance(more, Mapping):
        return (total or 0) + sign * more
    table = dict(total or {})
    for key, value in more.items():
        table[key] = table.get(key, 0) + sign * value
    return {key: value for key, value in table.items() if value}


OVERLAP_FRAMES = 8
"""Number of frames that are compared."""
_MIN_IOU = 0.4
"""Two boxes with at least this intersection over union show the same face."""


def match_tracks(results: Iterable[SegmentResult]) -> list[dict[int, int]]:
    """Return, for each segment in order, a mapping of its track IDs to those of the whole video.

    Each segment numbers its tracks independently. The last frames of a segment are also the end of
    the next segment's warm-up, so the same faces have the same boxes there.
    """
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
