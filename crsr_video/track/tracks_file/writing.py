"""Write a recording: a line for every person and track, and never a half file under its name."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crsr_video.errors import TracksError
from crsr_video.files import replacing
from crsr_video.track.tracks_file.recording import (
    FORMAT,
    HUNDREDTHS,
    MAX_BYTES,
    SHARES,
    VERSION,
    Hundredths,
    Person,
    Recording,
    TrackColumns,
)


def write(recording: Recording, path: Path) -> None:
    """Write a tracks file; the same recording gives the same bytes.

    Raises: TracksError: it cannot be written, or would be too large; nothing is left then.
    """
    write_whole(path, (piece.encode() for piece in pieces(recording)), MAX_BYTES)


def write_whole(path: Path, chunks: Iterable[bytes], most: int | None = None) -> None:
    """Write a file under a hidden name first, so that no half of it is ever there.

    Args:   most: bytes that it may have.
    Raises: TracksError: it cannot be written, or is larger.
    """
    size = 0
    try:
        with replacing(path) as temporary, temporary.open("xb") as file:
            for chunk in chunks:
                size += file.write(chunk)
                if most is not None and size > most:
                    raise TracksError(f"{path}: not written, for it would exceed {most >> 20} MiB")
    except OSError as error:
        raise TracksError(f"{path}: cannot be written: {error.strerror}") from error


def pieces(recording: Recording) -> Iterator[str]:
    """The text of a tracks file, part by part; keys in the order of ``format.md``."""
    video = recording.video
    facts = {
        "width": video.width,
        "height": video.height,
        "frames": len(recording.times),
        "time_base": [video.time_base.numerator, video.time_base.denominator],
        "rotation": video.rotation,
        "sample_aspect": [video.sample_aspect.numerator, video.sample_aspect.denominator],
        "bytes": video.bytes,
        "seconds": video.seconds,
        "sha256": video.sha256,
    }
    settings = recording.settings
    yield "{\n"
    yield f'"format": {_text(FORMAT)},\n"version": {VERSION},\n'
    yield f'"generator": {_text(recording.generator)},\n'
    yield f'"video": {_text(facts)},\n'
    yield '"settings": '
    yield f"{_text({'min_face': settings.min_face, 'lookahead': settings.lookahead})},\n"
    yield from _lines("people", (_person(person) for person in recording.people))
    yield f'"reasons": {_text(list(recording.reasons))},\n'
    yield f'"cuts": {_text(recording.cuts.tolist())},\n'
    yield f'"times": {_text(recording.times.tolist())},\n'
    if recording.pictures:
        yield f'"pictures": {_text(recording.pictures)},\n'
    yield from _lines("tracks", (_track(track) for track in recording.tracks), last=True)
    yield "}\n"


def _lines(key: str, items: Iterable[str], *, last: bool = False) -> Iterator[str]:
    """A list with a line for every item."""
    yield f'"{key}": ['
    between = "\n"
    for item in items:
        yield between + item
        between = ",\n"
    yield "\n]\n" if last else "\n],\n"


def _person(person: Person) -> str:
    return _text(
        {
            "id": person.id,
            "first_frame": person.first_frame,
            "last_frame": person.last_frame,
            "first_seconds": person.first_seconds,
            "last_seconds": person.last_seconds,
            "frames": person.frames,
            "size": person.size,
            "thumbnail": person.thumbnail,
        }
    )


def _track(track: TrackColumns) -> str:
    return _text(
        {
            "id": track.id,
            "pts": track.pts.tolist(),
            "landmarks": _decimals(track.landmarks, HUNDREDTHS),
            "boxes": _decimals(track.boxes, HUNDREDTHS),
            "confidence": _decimals(track.confidence, SHARES),
            "presence": _decimals(track.presence, SHARES),
            "skipped": track.skipped.tolist(),
        }
    )


def _decimals(values: Hundredths, parts: int) -> Any:
    """As decimal fractions.

    A whole number over a power of ten is the nearest double to one, which Python writes with no
    more digits than it needs.
    """
    return (values / parts).tolist()


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
