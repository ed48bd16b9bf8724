"""What came of a segment, as the journal keeps it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from crsr_video.pipeline import Statistics

Boxes = dict[int, tuple[float, float, float, float]]
"""By track: x0, y0, x1, y1 in frame pixels."""


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """A finished segment. Times are in ticks of the source's video, on its own clock."""

    number: int
    name: str
    """Of its file, inside the folder of the work; empty if there was no frame."""
    size: int
    """Of the file in bytes."""
    sha256: str
    """Of the file."""
    frames: int
    first: int
    """Time of the first frame, which is zero in the file."""
    durations: tuple[tuple[int, int], ...]
    """Of the frames in order of presentation, as (how many, ticks): NUT does not keep them."""
    delay: int
    """Frames by which decoding runs ahead of presentation."""
    statistics: Statistics
    """Of the segment's own frames; `tracks` counts people that may be in other segments too."""
    entering: dict[int, Boxes]
    """Faces in the last frames of the warm-up, by the frame's time."""
    leaving: dict[int, Boxes]
    """Likewise in the last frames of the segment."""
    tracks: tuple[int, ...]
    """All faces of the segment itself."""
    concealed: int = 0
    """Frames that the decoder had to patch up."""
    damaged: int = 0
    """Packets that could not be decoded."""
    notes: tuple[str, ...] = ()
    """Of the decoder."""
    observed: dict[str, Any] | None = None
    """What a report tells of it, as `report.as_record` has it; None: no report was asked for."""

    def as_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> "SegmentResult":
        """Back from `as_json`.

        Raises: KeyError, TypeError, ValueError: the record is of another kind.
        """
        names = [field.name for field in fields(SegmentResult)]
        given = {name: record[name] for name in names}
        given["durations"] = tuple((int(n), int(d)) for n, d in given["durations"])
        given["statistics"] = Statistics(**given["statistics"])
        for name in ("entering", "leaving"):
            given[name] = {int(pts): _boxes(boxes) for pts, boxes in given[name].items()}
        given["tracks"] = tuple(map(int, given["tracks"]))
        given["notes"] = tuple(given["notes"])
        return SegmentResult(**given)


def _boxes(record: Mapping[str, Any]) -> Boxes:
    return {int(track): _box(box) for track, box in record.items()}


def _box(values: Iterable[float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = map(float, values)
    return x0, y0, x1, y1


def added(parts: Iterable[Statistics], tracks: int) -> Statistics:
    """Statistics of a whole from those of its parts.

    Args: tracks: how many people there are in the whole, which no sum tells.
    """
    total: dict[str, Any] = {}
    for part in parts:
        for field in fields(part):
            total[field.name] = _plus(total.get(field.name), getattr(part, field.name), 1)
    return Statistics(**total | {"tracks": tracks})


def since(before: Statistics, now: Statistics, tracks: int) -> Statistics:
    """What was added to statistics between two moments.

    Args: tracks: as in `added`.
    """
    grown = {f.name: _plus(getattr(now, f.name), getattr(before, f.name), -1) for f in fields(now)}
    return Statistics(**grown | {"tracks": tracks})


def _plus(total: Any, more: Any, sign: int) -> Any:
    """Add (or take away) numbers, and tables of numbers entry by entry."""
    if not isinstance(more, Mapping):
        return (total or 0) + sign * more
    table = dict(total or {})
    for key, value in more.items():
        table[key] = table.get(key, 0) + sign * value
    return {key: value for key, value in table.items() if value}
