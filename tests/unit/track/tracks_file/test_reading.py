"""Tracks files have the same bytes for the same content, and wrong content is refused."""

import json
import re
import tracemalloc

import numpy as np
import pytest

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file import (
    Recorder,
    Recording,
    TrackColumns,
    TrackSummary,
    read,
    write,
)
from tests.support.frames import make_face, tracked
from tests.support.paths import ROOT
from tests.support.tracks_files import FACTS, SETTINGS, document, frame, recording


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.json"


def error_of(path, text):
    """Return the one line with which a file is refused."""
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(TracksError) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    assert len(line) < len(str(path)) + 200
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_endings_of_any_system_are_read(path, newline):
    write(recording(), path)
    expected = read(path)
    indented = json.dumps(document(path), indent=1)
    path.write_text(indented, newline=newline)
    assert read(path).summaries == expected.summaries


def test_a_recording_is_the_same_after_writing_and_reading(path):
    made = recording()
    write(made, path)
    found = read(path)
    assert found.video == FACTS
    assert found.settings == SETTINGS
    assert found.summaries == made.summaries
    assert found.reasons == ("smaller than 16 px",)
    assert found.times.tolist() == [0, 2, 4, 6]
    assert found.cuts.tolist() == [0, 4]
    for mine, theirs in zip(made.tracks, found.tracks, strict=True):
        for column in ("pts", "landmarks", "boxes", "confidence", "presence", "skipped"):
            np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))


def test_the_same_content_gives_the_same_bytes(path, tmp_path):
    write(recording(), path)
    write(read(path), tmp_path / "again.json")
    assert path.read_bytes() == (tmp_path / "again.json").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_faces_are_exact_to_half_a_hundredth_of_a_pixel(path):
    write(recording(), path)
    first, second = read(path).tracks
    original = make_face(30 + 1 / 3, 30, 32, degrees=7, track=1, confidence=0.875)
    face = first.face(1, ())
    assert np.abs(face.landmarks - original.landmarks).max() <= 0.005 + 1e-9
    assert face.box == pytest.approx(original.box, abs=0.0051)
    assert (face.track, face.confidence, face.presence, face.skipped) == (1, 0.875, 1.0, None)
    assert second.face(0, ("why",)).skipped is None
    assert second.face(1, ("why",)).skipped == "why"


def test_summaries_of_the_tracks():
    one, three = recording().summaries
    assert (one.person, three.person) == (1, 3)
    assert (one.id, one.first_frame, one.last_frame, one.frames) == (1, 0, 3, 4)
    assert (three.first_seconds, three.last_seconds) == (0.16, 0.24)
    assert one.size == pytest.approx(32 / 1.9, abs=0.1)
    assert one.thumbnail is not None
    assert three.thumbnail is None


def test_any_layout_and_order_of_keys_is_read(path):
    whole = document(path)
    path.write_text(json.dumps(whole, indent=3, sort_keys=True))
    assert read(path).summaries == recording().summaries


def test_a_video_without_faces_and_frames_can_be_recorded(path):
    write(Recorder().recording(FACTS, SETTINGS, "test"), path)
    assert read(path).tracks == ()


def test_failed_writing_leaves_no_file(tmp_path):
    with pytest.raises(TracksError, match="gone"):
        write(recording(), tmp_path / "gone" / "t.json")
    with pytest.raises(TracksError, match="exceed"):
        write(recording(), tmp_path / "t.json", max_bytes=1000)
    assert not list(tmp_path.iterdir())


def test_faces_at_impossible_positions_are_not_recorded():
    made = Recorder()
    face = make_face(track=1)
    lost = make_face(track=2, landmarks=np.full((5, 2), np.nan))
    far = make_face(track=3, box=(0.0, 0.0, 1e9, 1.0))
    made.add(tracked(frame(0), face, lost, far))
    assert [t.id for t in made.recording(FACTS, SETTINGS, "test").tracks] == [1]


def test_more_faces_than_a_file_may_hold_are_an_error(monkeypatch):
    monkeypatch.setattr("crsr_video.track.tracks_file.recording.MAX_FACES", 3)
    made = Recorder()
    made.add(tracked(frame(0), *(make_face(track=k) for k in (1, 2, 3))))
    with pytest.raises(TracksError, match="more than 3 faces"):
        made.add(tracked(frame(1), make_face(track=1)))


def _set(*keys, to):
    def change(whole):
        part = whole
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = to

    return change


def _drop(*keys):
    def change(whole):
        part = whole
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_set("format", to="tracks"), 'format: expected "crsr-video tracks"'),
        (_set("version", to=2), "version: expected 1 (another version"),
        (_set("version", to=True), "version: expected 1"),
        (_drop("version"), "version: expected 1"),
        (_drop("video"), "video: is missing"),
        (_set("colour", to=1), "colour: unknown key"),
        (_set("x" * 10**6, to=1), "xxx"),
        (_set("a\n\ud800", to=1), "'a\\n\\ud800': unknown key"),
        (_set("video", to=[]), "video: expected an object, found an empty list"),
        (_drop("video", "width"), "video.width: is missing"),
        (_set("video", "width", to=-5), "video.width: expected a whole number from 1"),
        (_set("video", "width", to=80.5), "video.width: expected a whole number"),
        (_set("video", "frames", to=9), "times: expected 9 items, as video.frames says, found 4"),
        (_set("video", "time_base", to=[1, 0]), "video.time_base[1]: expected a whole number"),
        (_set("video", "time_base", to=[1]), "video.time_base: expected 2 whole numbers"),
        (_set("video", "sha256", to="xyz"), "video.sha256: expected 64 hexadecimal digits"),
        (_set("video", "seconds", to=float("nan")), "video.seconds: expected a number"),
        (_set("settings", "min_face", to="16"), "settings.min_face: expected a number"),
        (_set("people", to={}), "people: expected a list, found an object"),
        (_set("people", 0, "id", to=-1), "people[0].id: expected a whole number from 1"),
        (_set("people", 1, "id", to=1), "people[1].id: expected more than 1, found 1"),
        (_set("people", 1, "id", to=4), "people[1].id: there is no track 4"),
        (_drop("people", 1), "tracks[1].id: people has no 3"),
        (_set("people", 0, "thumbnail", to=7), "people[0].thumbnail: expected text"),
        (
            _set("people", 0, "thumbnail", to="x" * (1 << 21)),
            "people[0].thumbnail: expected at most",
        ),
        (_set("reasons", 0, to=None), "reasons[0]: expected text, found null"),
        (_set("reasons", to=["x"] * 2000), "reasons: expected at most 1000 items"),
        (_set("times", 2, to=2), "times[2]: expected more than 2, found 2"),
        (_set("times", 2, to="4"), "times[2]: expected a whole number"),
        (_set("times", 2, to=10**30), "times[2]: expected a whole number"),
        (_set("cuts", 1, to=5), "cuts: holds a time that is not in times"),
        (_set("tracks", to=None), "tracks: expected a list, found null"),
        (_set("tracks", 0, to=3), "tracks[0]: expected an object, found 3"),
        (_set("tracks", 1, "id", to=-3), "tracks[1].id: expected a whole number from 1"),
        (_set("tracks", 1, "id", to=1), "tracks[1].id: expected more than 1, found 1"),
        (_set("tracks", 0, "colour", to=1), "tracks[0].colour: unknown key"),
        (_drop("tracks", 0, "landmarks"), "tracks[0].landmarks: is missing"),
        (_set("tracks", 1, "pts", to=[]), "tracks[1].pts: expected at least 1 item"),
        (_set("tracks", 1, "pts", 0, to=3), "tracks[1].pts: holds a time that is not in times"),
        (_set("tracks", 0, "pts", 3, to=0), "tracks[0].pts[3]: expected more than 4, found 0"),
        (_drop("tracks", 0, "boxes", 3), "tracks[0].boxes: expected 4 items, as many as frames"),
        (
            _set("tracks", 0, "landmarks", 2, to=[1, 2, 3, 4, 5, 6, 7, 8]),
            "tracks[0].landmarks[2]: expected 10 numbers (x and y of 5 points), found 8 of them",
        ),
        (_set("tracks", 0, "landmarks", 2, 4, to=None), "tracks[0].landmarks[2][4]: expected a"),
        (_set("tracks", 0, "landmarks", 2, 4, to=True), "tracks[0].landmarks[2][4]: expected a"),
        (_set("tracks", 0, "landmarks", 2, 4, to=float("nan")), "[2][4]: expected a number"),
        (_set("tracks", 0, "landmarks", 2, 4, to=float("-inf")), "[2][4]: expected a number"),
        (_set("tracks", 0, "landmarks", 2, 4, to=10**400), "[2][4]: expected a number"),
        (_set("tracks", 0, "boxes", 1, to=[0, 0, 1e7, 1]), "tracks[0].boxes[1][2]: expected a"),
        (_set("tracks", 0, "confidence", 1, to=1.5), "tracks[0].confidence[1]: expected a number"),
        (_set("tracks", 0, "presence", 1, to=-0.5), "tracks[0].presence[1]: expected a number"),
        (
            _set("tracks", 1, "skipped", 0, to=2),
            "tracks[1].skipped: holds a number that is",
        ),
        (_set("tracks", 1, "skipped", 0, to=0.5), "tracks[1].skipped[0]: expected a whole number"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_an_error_names_the_wrong_field(path, change, line):
    whole = document(path)
    change(whole)
    assert line in error_of(path, whole)


def test_another_version_is_reported_before_its_differences(path):
    whole = {"tracks": [{"new": 1}], **document(path), "version": 2, "colours": 7}
    whole["tracks"] = [{"new": 1}]
    assert error_of(path, whole).startswith("version: expected 1")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_an_error(path, share):
    document(path)
    text = path.read_text()
    line = error_of(path, text[: int(share * len(text))])
    assert "cut off" in line or "not a valid JSON at line" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "cut off"),
        ("[]", "not a valid JSON object at line 1"),
        ("null", "not a valid JSON object"),
        ("{}", "format: expected"),
        ("{1: 2}", "at line 1, column 3"),
        ('{"a": 1} x', "at line 1, column 10"),
        ('{"a" 1}', "at line 1"),
        ('{"a": 1, "a": 2}', "a: the key appears twice"),
        ('{"\\n": 1, "\\n": 2}', "'\\n': the key appears twice"),
        ('{"a": {"b": 1, "b": 2}}', "b: the key appears twice"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"tracks": [' + '{"a":' * 100_000, "nested too deeply"),
        ('{"tracks": [[' + "9" * 10_000 + "]]}", "too many digits"),
        ('{"a": "\ud800"}', None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_other_files_are_errors(path, text, line):
    if line is None:
        path.write_bytes(b'{"a": "\xff"}')
        with pytest.raises(TracksError, match="not UTF-8"):
            read(path)
    else:
        assert line in error_of(path, text)


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        ({"max_values": 20}, "holds more than 20 values"),
        ({"max_lists": 20}, "holds more than 20 lists"),
        ({"max_bytes": 20}, "larger than 0 MiB"),
    ],
)
def test_sizes_are_checked_before_the_content(path, limit, line):
    document(path)
    with pytest.raises(TracksError, match=line):
        read(path, **limit)


def test_an_enormous_file_is_an_error_at_once(path):
    with path.open("wb") as file:  # A sparse file: as long as such a list, and nothing on disk.
        file.write(b'{"tracks": [')
        file.truncate(2_000_000_000)
    with pytest.raises(TracksError, match="larger than 256 MiB"):
        read(path)


def test_missing_files_and_folders_are_errors(tmp_path):
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(TracksError, match=f"^{re.escape(str(path))}: "):
            read(path)


def test_reading_needs_memory_for_one_track_at_a_time(path, rng):
    """Python's numbers take ten times the memory of the columns."""
    frames, ids = 1000, range(1, 21)
    times = np.arange(frames)

    def column(*shape):
        return rng.integers(0, 10_000, (frames, *shape), dtype=np.int32)

    tracks = [
        TrackColumns(k, times, column(10), column(4), column(), column(), 0 * column()) for k in ids
    ]
    people = [TrackSummary(k, k, 0, frames - 1, 0.0, 1.0, frames, 30.0, None) for k in ids]
    made = Recording("test", FACTS, SETTINGS, tuple(people), times, times[:1], (), tuple(tracks))
    write(made, path)
    tracemalloc.start()
    try:
        read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The text twice, the columns, and one track of 16 numbers of 32 bytes: 20 tracks need 10 MB.
    assert peak < 2.1 * path.stat().st_size + 20 * frames * 80 + 1_500_000


def test_the_documentation_names_every_key(path):
    whole = document(path)
    page = (ROOT / "docs" / "tracks-file.md").read_text()
    for part in (whole, whole["video"], whole["people"][0], whole["tracks"][0]):
        for key in part:
            assert f"`{key}`" in page
    assert f"version {whole['version']}" in page
