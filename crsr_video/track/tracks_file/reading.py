"""Read a tracks file that anyone may have written: bounded first, and checked field by field."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file.document import Document
from crsr_video.track.tracks_file.node import Node
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    FORMAT,
    HUNDREDTHS,
    MAX_BYTES,
    MAX_LISTS,
    MAX_VALUES,
    SHARES,
    VERSION,
    Hundredths,
    Integers,
    Person,
    Recording,
    Settings,
    TrackColumns,
    VideoFacts,
)

_KEYS = (
    "format",
    "version",
    "generator",
    "video",
    "settings",
    "people",
    "reasons",
    "cuts",
    "times",
    "tracks",
)
_LARGEST = 1 << 53
"""Whole numbers beyond are not the same to every reader of JSON."""
_MAX_ID = 1 << 31
_MAX_REASONS = 1000
_THUMBNAIL = 1 << 20
"""Characters at most."""


def read(path: str | Path) -> Recording:
    """Read a tracks file.

    Raises: TracksError: it cannot be read, is too large, no tracks file, of another version, or
            wrong in some field, which is named.
    """
    path = Path(path)
    text = _load(path)
    found = Document(text, str(path)).members({"tracks": _track})
    head = {key: Node(str(path), key, found.get(key)) for key in ("format", "version")}
    if head["format"].value != FORMAT:
        head["format"].fail(f'"{FORMAT}"')
    if head["version"].value != VERSION or type(head["version"].value) is not int:
        told = "another version of crsr-video wrote it; make it anew"
        head["version"].fail(f"{VERSION} ({told})")
    # Complaints about tracks come only now: those of another version may look otherwise.
    for track in found.get("tracks", ()) if isinstance(found.get("tracks"), list) else ():
        if isinstance(track, TracksError):
            raise track
    # Files of older versions of the program have none.
    pictures = Node(str(path), "pictures", found.pop("pictures", ""))
    return replace(_recording(Node(str(path), "", found)), pictures=pictures.text(MAX_BYTES))


def _load(path: Path) -> str:
    """The text, if it is within bounds."""
    try:
        if path.exists() and not path.is_file():
            raise TracksError(f"{path}: is no regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TracksError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
        with path.open("rb") as file:
            data = file.read(size)
    except (OSError, ValueError) as error:
        raise TracksError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if data.count(b",") > MAX_VALUES:
        raise TracksError(f"{path}: holds more than {MAX_VALUES} values")
    if data.count(b"[") + data.count(b"{") > MAX_LISTS:
        raise TracksError(f"{path}: holds more than {MAX_LISTS} lists and objects")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TracksError(f"{path}: is no JSON file: not UTF-8 at byte {error.start}") from error


def _recording(document: Node) -> Recording:
    _, _, generator, video, settings, people, reasons, cuts, times, tracks = document.members(
        *_KEYS
    )
    facts, frames = _video(video)
    ticks = times.ascending()
    if len(ticks) != frames:
        raise TracksError(
            f"{times.file}: times: expected {frames} items, as video.frames says, "
            f"found {len(ticks)}"
        )
    least, lookahead = settings.members("min_face", "lookahead")
    recording = Recording(
        generator=generator.text(200),
        video=facts,
        settings=Settings(least.number(0, FARTHEST), lookahead.integer(0, 1000)),
        people=tuple(_person(item, frames) for item in people.items()),
        times=ticks,
        cuts=cuts.ascending(),
        reasons=tuple(item.text(200) for item in reasons.items()),
        tracks=tuple(item.value for item in tracks.items()),
    )
    if len(recording.reasons) > _MAX_REASONS:
        reasons.fail(f"at most {_MAX_REASONS} items")
    _check_whole(recording, document.file)
    return recording


def _video(node: Node) -> tuple[VideoFacts, int]:
    width, height, frames, base, rotation, aspect, size, seconds, digest = node.members(
        "width",
        "height",
        "frames",
        "time_base",
        "rotation",
        "sample_aspect",
        "bytes",
        "seconds",
        "sha256",
    )
    if not re.fullmatch("[0-9a-f]{64}", digest.text(64)):
        digest.fail("64 hexadecimal digits")
    facts = VideoFacts(
        width=width.integer(1, 1 << 20),
        height=height.integer(1, 1 << 20),
        time_base=_fraction(base),
        rotation=rotation.integer(0, 359),
        sample_aspect=_fraction(aspect),
        bytes=size.integer(1, _LARGEST),
        seconds=seconds.number(0, 1e12),
        sha256=digest.value,
    )
    return facts, frames.integer(0, _LARGEST)


def _fraction(node: Node) -> Fraction:
    parts = node.integers(1, _LARGEST).tolist()
    if len(parts) != 2:
        node.fail("2 whole numbers (numerator, denominator)")
    return Fraction(parts[0], parts[1])


def _person(node: Node, frames: int) -> Person:
    key, first, last, start, end, seen, size, thumbnail = node.members(
        "id",
        "first_frame",
        "last_frame",
        "first_seconds",
        "last_seconds",
        "frames",
        "size",
        "thumbnail",
    )
    return Person(
        id=key.integer(1, _MAX_ID),
        first_frame=first.integer(0, frames),
        last_frame=last.integer(0, frames),
        first_seconds=start.number(-1e12, 1e12),
        last_seconds=end.number(-1e12, 1e12),
        frames=seen.integer(1, max(1, frames)),
        size=size.number(0, FARTHEST),
        thumbnail=None if thumbnail.value is None else thumbnail.text(_THUMBNAIL),
    )


def _track(node: Node) -> TrackColumns:
    key, pts, landmarks, boxes, confidence, presence, skipped = node.members(
        "id", "pts", "landmarks", "boxes", "confidence", "presence", "skipped"
    )
    identity, times = key.integer(1, _MAX_ID), pts.ascending()
    count = len(times)
    if not count:
        pts.fail("at least 1 item")
    return TrackColumns(
        id=identity,
        pts=times,
        landmarks=_parts(landmarks.rows(10, "x and y of 5 points", FARTHEST, count), HUNDREDTHS),
        boxes=_parts(boxes.rows(4, "x0, y0, x1, y1", FARTHEST, count), HUNDREDTHS),
        confidence=_parts(confidence.numbers(0, 1, count), SHARES),
        presence=_parts(presence.numbers(0, 1, count), SHARES),
        skipped=skipped.integers(0, _MAX_REASONS, count).astype(np.int32),
    )


def _parts(values: Any, parts: int) -> Hundredths:
    whole: Hundredths = np.rint(values * parts).astype(np.int32)
    return whole


def _check_whole(recording: Recording, file: str) -> None:
    """Check what one field says of another.

    Raises: TracksError.
    """
    _check_ids([person.id for person in recording.people], f"{file}: people")
    _check_ids([track.id for track in recording.tracks], f"{file}: tracks")
    known = {track.id for track in recording.tracks}
    for index, person in enumerate(recording.people):
        if person.id not in known:
            raise TracksError(f"{file}: people[{index}].id: there is no track {person.id}")
    known = {person.id for person in recording.people}
    if not _among(recording.cuts, recording.times):
        raise TracksError(f"{file}: cuts: there is a time that times does not have")
    for index, track in enumerate(recording.tracks):
        told = f"{file}: tracks[{index}]"
        if track.id not in known:
            raise TracksError(f"{told}.id: people has no {track.id}")
        if not _among(track.pts, recording.times):
            raise TracksError(f"{told}.pts: there is a time that times does not have")
        if (track.skipped > len(recording.reasons)).any():
            raise TracksError(f"{told}.skipped: there is a reason that reasons does not have")


def _among(values: Integers, times: Integers) -> bool:
    """Whether all values are among the times, which ascend."""
    if not len(values) or not len(times):
        return not len(values)
    places = np.minimum(np.searchsorted(times, values), len(times) - 1)
    return bool((times[places] == values).all())


def _check_ids(ids: list[int], told: str) -> None:
    for index, key in enumerate(ids):
        if index and key <= ids[index - 1]:
            raise TracksError(
                f"{told}[{index}].id: expected more than {ids[index - 1]}, found {key}"
            )
