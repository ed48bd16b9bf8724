"""Read a tracks file, which anybody may have written: its size is checked, then every field."""

import os
import re
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError
from crsr_video.files import open_regular
from crsr_video.track.tracks_file.json_document import JsonDocument, Node
from crsr_video.track.tracks_file.recording import (
    FARTHEST,
    FORMAT,
    HUNDREDTHS,
    MAX_BYTES,
    MAX_LISTS,
    MAX_VALUES,
    SHARES,
    VERSION,
    Integers,
    Recording,
    TrackColumns,
    TrackingSettings,
    TrackSummary,
    Units,
    VideoFacts,
)

_KEYS = (
    *("format", "version", "generator", "video", "settings"),
    *("people", "reasons", "cuts", "times", "tracks"),
)
_VIDEO_KEYS = ("frames", *(field.name for field in fields(VideoFacts)))
_SUMMARY_KEYS = tuple(field.name for field in fields(TrackSummary) if field.name != "person")
_TRACK_KEYS = tuple(field.name for field in fields(TrackColumns))
_MAX_EXACT_INTEGER = 1 << 53
"""Not every reader of JSON represents larger whole numbers exactly."""
_MAX_ID = 1 << 31
_MAX_REASONS = 1000
_MAX_THUMBNAIL = 1 << 20
"""Maximum length of a thumbnail in characters."""


def read(
    path: str | Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_values: int = MAX_VALUES,
    max_lists: int = MAX_LISTS,
) -> Recording:
    """Read a tracks file.

    Args:
        path: The file.
        max_bytes: The greatest size that is accepted.
        max_values: The greatest number of values in all lists.
        max_lists: The greatest number of lists and objects.

    Raises:
        TracksError: The file cannot be read, is too large, is not a tracks file, has another
            version, or has a wrong value in a field, which the message names.
    """
    path = Path(path)
    text = _load(path, max_bytes, max_values, max_lists)
    found = JsonDocument(text, str(path)).members({"tracks": _track})
    head = {key: Node(str(path), key, found.get(key)) for key in ("format", "version")}
    if head["format"].value != FORMAT:
        head["format"].fail(f'"{FORMAT}"')
    if head["version"].value != VERSION or type(head["version"].value) is not int:
        advice = "another version of crsr-video wrote the file: run 'crsr-video tracks' again"
        head["version"].fail(f"{VERSION} ({advice})")
    # The version is checked before the tracks, because other versions may have other tracks.
    for track in found.get("tracks", ()) if isinstance(found.get("tracks"), list) else ():
        if isinstance(track, TracksError):
            raise track
    # Files of older versions of the program have no signatures.
    signatures = Node(str(path), "pictures", found.pop("pictures", ""))
    recording = _recording(Node(str(path), "", found))
    return replace(recording, signatures=signatures.text(MAX_BYTES))


def _load(path: Path, max_bytes: int, max_values: int, max_lists: int) -> str:
    try:
        if path.exists() and not path.is_file():
            raise TracksError(f"{path}: not a regular file")
        with open_regular(path, follow_links=True) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise TracksError(f"{path}: larger than {max_bytes >> 20} MiB")
            data = file.read(size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TracksError(f"{path}: cannot be read: {reason}") from error
    if data.count(b",") > max_values:
        raise TracksError(f"{path}: holds more than {max_values} values")
    if data.count(b"[") + data.count(b"{") > max_lists:
        raise TracksError(f"{path}: holds more than {max_lists} lists and objects")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TracksError(f"{path}: not a JSON file: not UTF-8 at byte {error.start}") from error


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
    min_face, lookahead = settings.members("min_face", "lookahead")
    recording = Recording(
        generator=generator.text(200),
        video=facts,
        settings=TrackingSettings(min_face.number(0, FARTHEST), lookahead.integer(0, 1000)),
        summaries=tuple(_summary(item, frames) for item in people.items()),
        times=ticks,
        cuts=cuts.ascending(),
        reasons=tuple(item.text(200) for item in reasons.items()),
        tracks=tuple(item.value for item in tracks.items()),
    )
    if len(recording.reasons) > _MAX_REASONS:
        reasons.fail(f"at most {_MAX_REASONS} items")
    _check_references(recording, document.file)
    return recording


def _video(node: Node) -> tuple[VideoFacts, int]:
    """Return the facts about the video, and its number of frames."""
    frames, width, height, base, rotation, aspect, size, seconds, digest = node.members(
        *_VIDEO_KEYS
    )
    if not re.fullmatch("[0-9a-f]{64}", digest.text(64)):
        digest.fail("64 hexadecimal digits")
    facts = VideoFacts(
        width=width.integer(1, 1 << 20),
        height=height.integer(1, 1 << 20),
        time_base=_fraction(base),
        rotation=rotation.integer(0, 359),
        sample_aspect=_fraction(aspect),
        bytes=size.integer(1, _MAX_EXACT_INTEGER),
        seconds=seconds.number(0, 1e12),
        sha256=digest.value,
    )
    return facts, frames.integer(0, _MAX_EXACT_INTEGER)


def _fraction(node: Node) -> Fraction:
    parts = node.integers(1, _MAX_EXACT_INTEGER).tolist()
    if len(parts) != 2:
        node.fail("2 whole numbers (numerator, denominator)")
    return Fraction(parts[0], parts[1])


def _summary(node: Node, frames: int) -> TrackSummary:
    # Files of older versions of the program have no people.
    person = node.optional("person")
    key, first, last, start, end, seen, size, thumbnail = node.members(*_SUMMARY_KEYS)
    return TrackSummary(
        id=key.integer(1, _MAX_ID),
        person=person.integer(1, _MAX_ID) if person else key.value,
        first_frame=first.integer(0, frames),
        last_frame=last.integer(0, frames),
        first_seconds=start.number(-1e12, 1e12),
        last_seconds=end.number(-1e12, 1e12),
        frames=seen.integer(1, max(1, frames)),
        size=size.number(0, FARTHEST),
        thumbnail=None if thumbnail.value is None else thumbnail.text(_MAX_THUMBNAIL),
    )


def _track(node: Node) -> TrackColumns:
    key, pts, landmarks, boxes, confidence, presence, skipped = node.members(*_TRACK_KEYS)
    track_id, times = key.integer(1, _MAX_ID), pts.ascending()
    count = len(times)
    if not count:
        pts.fail("at least 1 item")
    return TrackColumns(
        id=track_id,
        pts=times,
        landmarks=_in_units(landmarks.rows(10, "x and y of 5 points", FARTHEST, count), HUNDREDTHS),
        boxes=_in_units(boxes.rows(4, "x0, y0, x1, y1", FARTHEST, count), HUNDREDTHS),
        confidence=_in_units(confidence.numbers(0, 1, count), SHARES),
        presence=_in_units(presence.numbers(0, 1, count), SHARES),
        skipped=skipped.integers(0, _MAX_REASONS, count).astype(np.int32),
    )


def _in_units(values: NDArray[np.float64], units: int) -> Units:
    whole: Units = np.rint(values * units).astype(np.int32)
    return whole


def _check_references(recording: Recording, file: str) -> None:
    """Check that the IDs, times and reasons that other fields refer to exist."""
    _check_ids([summary.id for summary in recording.summaries], f"{file}: people")
    _check_ids([track.id for track in recording.tracks], f"{file}: tracks")
    known = {track.id for track in recording.tracks}
    for index, summary in enumerate(recording.summaries):
        if summary.id not in known:
            raise TracksError(f"{file}: people[{index}].id: there is no track {summary.id}")
    known = {summary.id for summary in recording.summaries}
    if not _all_in(recording.cuts, recording.times):
        raise TracksError(f"{file}: cuts: holds a time that is not in times")
    for index, track in enumerate(recording.tracks):
        place = f"{file}: tracks[{index}]"
        if track.id not in known:
            raise TracksError(f"{place}.id: people has no {track.id}")
        if not _all_in(track.pts, recording.times):
            raise TracksError(f"{place}.pts: holds a time that is not in times")
        if (track.skipped > len(recording.reasons)).any():
            raise TracksError(f"{place}.skipped: holds a number that is not in reasons")


def _all_in(values: Integers, times: Integers) -> bool:
    """Return whether all values are among the times, which ascend."""
    if not len(values) or not len(times):
        return not len(values)
    places = np.minimum(np.searchsorted(times, values), len(times) - 1)
    return bool((times[places] == values).all())


def _check_ids(ids: list[int], place: str) -> None:
    for index, key in enumerate(ids):
        if index and key <= ids[index - 1]:
            raise TracksError(
                f"{place}[{index}].id: expected more than {ids[index - 1]}, found {key}"
            )
