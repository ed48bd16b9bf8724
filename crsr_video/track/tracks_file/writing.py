"""Write a tracks file, with one line per person and per track."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crsr_video.errors import TracksError
from crsr_video.files import write_file, writing
from crsr_video.records import to_json
from crsr_video.track.tracks_file.recording import (
    FORMAT,
    HUNDREDTHS,
    MAX_BYTES,
    SHARES,
    VERSION,
    Recording,
    TrackColumns,
    Units,
)


def write(recording: Recording, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Write a tracks file. The same recording always gives the same bytes.

    Args:
        recording: The content.
        path: The file, which appears under this name only when it is complete.
        max_bytes: Largest size that the file may have.

    Raises:
        TracksError: The file cannot be written, or would be too large.
    """
    with writing(path, TracksError):
        write_file(path, _bounded(_pieces(recording), path, max_bytes))


def _bounded(pieces: Iterable[str], path: Path, max_bytes: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        data = piece.encode()
        size += len(data)
        if size > max_bytes:
            raise TracksError(f"{path}: not written, because it would exceed {max_bytes >> 20} MiB")
        yield data


def _pieces(recording: Recording) -> Iterator[str]:
    """Yield the JSON text in parts, with the keys in the order of `docs/tracks-file.md`."""
    video = recording.video
    facts = {
        "width": video.width,
        "height": video.height,
        "frames": len(recording.times),
        "time_base": video.time_base.as_integer_ratio(),
        "rotation": video.rotation,
        "sample_aspect": video.sample_aspect.as_integer_ratio(),
        "bytes": video.bytes,
        "seconds": video.seconds,
        "sha256": video.sha256,
    }
    yield "{\n"
    yield f'"format": {_text(FORMAT)},\n"version": {VERSION},\n'
    yield f'"generator": {_text(recording.generator)},\n'
    yield f'"video": {_text(facts)},\n'
    yield f'"settings": {_text(to_json(recording.settings))},\n'
    yield from _lines("people", map(to_json, recording.summaries))
    yield f'"reasons": {_text(list(recording.reasons))},\n'
    yield f'"cuts": {_text(recording.cuts.tolist())},\n'
    yield f'"times": {_text(recording.times.tolist())},\n'
    if recording.signatures:
        yield f'"pictures": {_text(recording.signatures)},\n'
    yield from _lines("tracks", map(_track, recording.tracks), is_last=True)
    yield "}\n"


def _lines(key: str, items: Iterable[Any], *, is_last: bool = False) -> Iterator[str]:
    """Yield a list with one line per item."""
    yield f'"{key}": ['
    between = "\n"
    for item in items:
        yield between + _text(item)
        between = ",\n"
    yield "\n]\n" if is_last else "\n],\n"


def _track(track: TrackColumns) -> dict[str, Any]:
    return {
        "id": track.id,
        "pts": track.pts.tolist(),
        "landmarks": _decimals(track.landmarks, HUNDREDTHS),
        "boxes": _decimals(track.boxes, HUNDREDTHS),
        "confidence": _decimals(track.confidence, SHARES),
        "presence": _decimals(track.presence, SHARES),
        "skipped": track.skipped.tolist(),
    }


def _decimals(values: Units, units: int) -> Any:
    """Convert whole units, such as hundredths, to decimal fractions.

    Dividing a whole number by a power of ten gives the double nearest to the decimal fraction, and
    Python writes that double with no more digits than needed.
    """
    return (values / units).tolist()


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
