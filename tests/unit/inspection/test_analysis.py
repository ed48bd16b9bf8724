"""Analysis of real faces: tracks files, portraits, overlays, and enhancing with tracks files."""

import base64
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

import crsr_video
from crsr_video import Config, PersonSettings, analyse
from crsr_video.errors import ConfigError, InputError, OutputError, TracksError
from crsr_video.inspection.drawing import Overlay
from crsr_video.io.reader import Reader
from crsr_video.pipeline import replay_for
from crsr_video.stages.people import OFF
from crsr_video.track import tracks_file
from crsr_video.track.tracks_file.fingerprint import fingerprint_of
from crsr_video.types import Frame, TrackedFrame
from tests.support.paths import CLIPS, PORTRAIT
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")

SIZE = (320, 180)
FRAMES = 12


@pytest.fixture(scope="module")
def portrait():
    """Return the first frames of the portrait clip as RGB, at half size."""
    with av.open(str(PORTRAIT)) as file:
        frames = [f for f, _ in zip(file.decode(video=0), range(FRAMES), strict=False)]
    return [frame.reformat(*SIZE, "rgb24").to_ndarray() for frame in frames]


def write(path, pictures, *, rotation=0, aspect=None, start=0):
    """Write a clip as a phone or a camcorder might store it: rotated, or with wide pixels."""
    stored = [np.rot90(picture, -rotation // 90) for picture in pictures]
    if aspect is not None:
        width = round(stored[0].shape[1] / aspect)
        stored = [cv2.resize(picture, (width, picture.shape[0])) for picture in stored]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", 25, options={"crf": "12", "preset": "ultrafast"})
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, picture in enumerate(stored):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = start + number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(portrait, tmp_path_factory):
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", portrait)


@pytest.fixture(scope="module")
def tracks(clip):
    return analyse(clip).output


def frames_of(path):
    with av.open(str(path)) as file:
        return [(f.pts * f.time_base, f.to_ndarray()) for f in file.decode(video=0)]


def test_one_person_is_found_and_portrayed(clip, tmp_path):
    found = analyse(clip, tmp_path / "t.json", sheet=tmp_path / "people.png")
    assert (found.frames, found.faces, found.scenes, found.partial) == (FRAMES, FRAMES, 1, False)
    (person,) = found.people
    assert (person.id, person.tracks, person.frames) == (1, (1,), FRAMES)
    recording = tracks_file.read(found.output)
    assert tracks_file.people_of(recording) == found.people
    data = base64.b64decode(person.thumbnail.split(",")[1])
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (96, 96, 3)
    # The centre of the portrait is skin, which has more red than blue.
    blue, _, red = shown[40:56, 36:60].mean((0, 1))
    assert red > blue + 15
    sheet = cv2.imread(str(tmp_path / "people.png"))
    assert sheet[8:152, 8:152].std() > 20
    assert {p.name for p in tmp_path.iterdir()} == {"t.json", "people.png"}


def test_tracks_files_depend_on_the_content_only(clip, tracks, tmp_path):
    other = tmp_path / "copy.mp4"
    other.write_bytes(clip.read_bytes())
    assert analyse(other, tmp_path / "t.json").output.read_bytes() == tracks.read_bytes()
    assert str(clip.parent) not in tracks.read_text()


def test_enhancing_with_a_tracks_file_gives_the_same_frames(clip, tracks, tmp_path, monkeypatch):
    lossless = crsr_video.OutputSettings(codec="ffv1")
    config = Config.from_options(output=lossless, device="cpu", precision="fp32")
    plain = crsr_video.enhance(clip, tmp_path / "plain.mkv", config=config)
    monkeypatch.setattr("crsr_video.pipeline.Tracker", None)  # Searching for faces would fail.
    replayed = crsr_video.enhance(
        clip, tmp_path / "replayed.mkv", config=config.with_options(tracks=tracks)
    )
    assert replayed.statistics.enhanced == plain.statistics.enhanced == FRAMES
    before, one, two = (frames_of(p) for p in (clip, plain.output, replayed.output))
    changes = []
    for (_, source), (time, a), (other, b) in zip(before, one, two, strict=True):
        assert time == other
        # Landmarks in the file are rounded to hundredths of a pixel.
        assert np.abs(a.astype(int) - b).max() <= 2
        assert np.sum(np.abs(a.astype(int) - b) > 1) <= 1
        assert np.mean(a != b) < 0.002
        changes.append(np.abs(a.astype(int) - source).max())
    assert min(changes) > 3  # The faces were changed.


@pytest.mark.parametrize("form", [{"rotation": 90}, {"rotation": 270}, {"aspect": 2}], ids=str)
def test_rotated_videos_and_wide_pixels(portrait, tmp_path, form):
    """The overlay is upright, and the landmarks of the tracks file lie on the face."""
    source = write(tmp_path / "turned.mp4", portrait, **form)
    found = analyse(source, draw=tmp_path / "drawn.mkv", sheet=tmp_path / "sheet.png")
    assert len(found.people) == 1
    recording = tracks_file.read(found.output)
    with Reader(source) as decoder:
        first = decoder.source.first
        assert (recording.video.rotation, recording.video.sample_aspect) == (
            first.rotation,
            first.sample_aspect,
        )
        stage = replay_for(
            Config.from_options(tracks=found.output),
            decoder.path,
            decoder.info,
            shift=decoder.source.shift,
        )
        (item,) = stage.push(first)
    (face,) = item.faces
    # Position of the face in the upright picture of 320 x 180.
    x, y = face.landmarks.mean(0)
    if "aspect" in form:
        x = 2 * x + 0.5
    width, height = first.width, first.height
    for _ in range(first.rotation // 90):  # counter-clockwise: the right edge becomes the top
        x, y, width, height = y, width - 1 - x, height, width
    wanted = upright_place(portrait, tmp_path)
    assert np.hypot(x - wanted[0], y - wanted[1]) < 3
    drawn = [planes for _, planes in frames_of(tmp_path / "drawn.mkv")]
    shown = (SIZE[0] // 2 if "aspect" in form else SIZE[0], SIZE[1])
    assert [planes.shape for planes in drawn] == [(shown[1] * 3 // 2, shown[0])] * FRAMES


def upright_place(portrait, folder):
    """Return the mean of the landmarks in the first frame of the unrotated clip."""
    found = analyse(write(folder / "straight.mp4", portrait))
    return tracks_file.read(found.output).tracks[0].face(0, ()).landmarks.mean(0)


def test_a_part_of_the_video_uses_the_faces_of_its_timestamps(tmp_path):
    source = CLIPS / "phone_vfr.mp4"
    found = analyse(source, tmp_path / "t.json")
    recording = tracks_file.read(found.output)
    config = Config.from_options(tracks=found.output, start=0.7, duration=0.6)
    seen = 0
    with Reader(source, start=config.job.start, duration=config.job.duration) as decoder:
        stage = replay_for(config, decoder.path, decoder.info, shift=decoder.source.shift)
        for frame in (item for item in decoder if isinstance(item, Frame)):
            (item,) = stage.push(frame)
            (face,) = item.faces
            pts = frame.pts + decoder.source.shift / frame.time_base
            row = recording.tracks[0].pts.tolist().index(pts)
            np.testing.assert_array_equal(
                face.landmarks, recording.tracks[0].face(row, ()).landmarks
            )
            seen += 1
    assert seen > 5
    assert stage.notices == ()


def test_people_are_turned_off_by_track_id(clip, tracks, tmp_path):
    config = Config.from_options(
        model="identity", tracks=tracks, people={1: PersonSettings(enabled=False)}
    )
    summary = crsr_video.enhance(clip, tmp_path / "out.mp4", config=config)
    assert summary.statistics.skipped == {OFF: FRAMES}
    assert summary.statistics.enhanced == 0
    notices = []
    config = config.with_options(people={}, only=frozenset({7}))
    summary = crsr_video.enhance(clip, tmp_path / "2.mp4", config=config, on_notice=notices.append)
    assert "person 7 was not found: the video has person 1" in notices
    assert set(notices) == set(summary.notices)


def test_the_strength_of_a_person_scales_the_change(clip, tracks, tmp_path):
    lossless = crsr_video.OutputSettings(codec="ffv1")
    outputs = []
    for name, faces in (("1", {}), ("2", {1: PersonSettings(strength=0.5)})):
        config = Config.from_options(tracks=tracks, output=lossless, people=faces, duration=0.1)
        crsr_video.enhance(clip, tmp_path / f"{name}.mkv", config=config)
        outputs.append(frames_of(tmp_path / f"{name}.mkv")[0][1].astype(float))
    source = frames_of(clip)[0][1]
    whole, half = outputs[0] - source, outputs[1] - source
    strong = np.abs(whole) > 4
    assert strong.sum() > 20
    assert np.median(half[strong] / whole[strong]) == pytest.approx(0.5, abs=0.1)


def test_the_overlay_changes_only_the_surroundings_of_a_face(clip, tracks):
    recording = tracks_file.read(tracks)
    with Reader(clip) as decoder:
        frame = decoder.source.first
    face = recording.tracks[0].face(0, ())
    drawn = Overlay(frame).draw(TrackedFrame(frame, (face,)))
    changed = drawn.components[0] != frame.components[0]
    ys, xs = np.nonzero(changed)
    x0, y0, x1, y1 = face.box
    assert changed.sum() > 50
    assert x0 - 8 <= xs.min() and xs.max() <= x1 + 60
    assert y0 - 30 <= ys.min() and ys.max() <= y1 + 8
    for x, y in face.landmarks:
        assert changed[round(y), round(x)]
    # Faces far outside or at the edge are accepted.
    far = replace(face, landmarks=face.landmarks + 5000, box=(5000.0, 5000.0, 5100.0, 5100.0))
    edge = replace(face, box=(-40.0, -40.0, 10.0, 5.0), skipped="why")
    Overlay(frame).draw(TrackedFrame(frame, (far, edge)))


@pytest.mark.parametrize(
    ("pixels", "size"),
    [("bgr0", (64, 48)), ("gray", (64, 48)), ("yuv422p10le", (64, 48)), ("yuv444p", (65, 49))],
)
def test_the_overlay_keeps_the_colours_of_every_pixel_format(tmp_path, pixels, size):
    source = make_video(tmp_path / "c.mkv", codec="ffv1", pix_fmt=pixels, size=size, frames=3)
    with Reader(source) as decoder:
        frames = [item for item in decoder if isinstance(item, Frame)]
    for frame in frames:
        drawn = Overlay(frames[0]).draw(TrackedFrame(frame))
        assert (drawn.width, drawn.height, drawn.pts) == (64, 48, frame.pts)
        wanted = frame.native.to_ndarray(format="rgb24")[:48, :64].astype(float)
        found = drawn.native.to_ndarray(format="rgb24").astype(float)
        assert np.abs(found.mean((0, 1)) - wanted.mean((0, 1))).max() < 3


def test_a_video_of_one_pixel_cannot_be_drawn_on(tmp_path):
    source = make_video(tmp_path / "c.mkv", codec="ffv1", pix_fmt="yuv444p", size=(1, 1), frames=2)
    with pytest.raises(InputError, match="one pixel"):
        analyse(source, draw=tmp_path / "d.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["c.mkv"]
    assert analyse(source).people == ()


def test_no_network_library_is_loaded(clip, tmp_path):
    code = (
        "import sys; from pathlib import Path; import crsr_video; "
        f"crsr_video.analyse({str(clip)!r}, {str(tmp_path / 't.json')!r}); "
        "print([n for n in ('torch', 'safetensors', 'kornia') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_video_without_faces_gives_empty_results(tmp_path):
    source = make_video(tmp_path / "bars.mp4", frames=5)
    found = analyse(source, sheet=tmp_path / "sheet.png", draw=tmp_path / "drawn.mp4")
    assert found.people == ()
    assert tracks_file.read(found.output).times.tolist() == sorted(
        tracks_file.read(found.output).times.tolist()
    )
    assert (tmp_path / "sheet.png").exists()


# Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 322),
        ("height", 2),
        ("time_base", Fraction(1, 7)),
        ("bytes", 77),
        ("seconds", 9.0),
        ("sha256", "1" * 64),
    ],
)
def test_a_tracks_file_of_another_video_is_refused(clip, tracks, tmp_path, field, value):
    recording = tracks_file.read(tracks)
    changed = replace(recording, video=replace(recording.video, **{field: value}))
    tracks_file.write(changed, tmp_path / "t.json")
    with pytest.raises(TracksError, match=rf"t\.json: .*clip\.mp4: video\.{field} ") as caught:
        crsr_video.enhance(
            clip, tmp_path / "out.mp4", config=Config.from_options(tracks=tmp_path / "t.json")
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()


def test_one_changed_byte_makes_a_different_video(clip, tracks, tmp_path):
    data = bytearray(clip.read_bytes())
    data[len(data) // 2] ^= 1
    other = tmp_path / "clip.mp4"
    other.write_bytes(data)
    with pytest.raises(TracksError, match="sha256"):
        crsr_video.enhance(other, tmp_path / "out.mp4", config=Config.from_options(tracks=tracks))


def test_the_fingerprint_samples_the_whole_file(tmp_path):
    path = tmp_path / "large"
    size = 20 << 20
    path.write_bytes(bytes(size))
    whole = fingerprint_of(path)
    for place in (0, size // 127 * 64 + 5, size - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
            file.flush()
            assert fingerprint_of(path) != whole
            file.seek(place)
            file.write(b"\0")
    assert fingerprint_of(path) == whole


def test_a_tracks_file_needs_a_video_file(tracks):
    with pytest.raises(ConfigError, match="tracks belong to a video file"):
        crsr_video.Enhancer(Config.from_options(model="identity", tracks=tracks))


def test_unwritable_and_equal_results_are_refused(clip, tmp_path):
    there = tmp_path / "there.json"
    there.write_text("precious")
    for wrong, options in (
        (OutputError, {"output": there}),
        (OutputError, {"output": clip, "overwrite": True}),
        (OutputError, {"output": tmp_path / "no" / "t.json"}),
        (OutputError, {"output": tmp_path / "t.json", "draw": there}),
        (OutputError, {"output": tmp_path / "t.json", "draw": tmp_path / "d.xyz"}),
        (ConfigError, {"output": tmp_path / "t.png", "sheet": tmp_path / "t.png"}),
        (ConfigError, {"output": tmp_path / "t.json", "sheet": tmp_path / "t.pdf"}),
        (ConfigError, {"output": tmp_path / "t.json", "min_face": float("nan")}),
    ):
        with pytest.raises(wrong):
            analyse(clip, **options)
    with pytest.raises(InputError):
        analyse(tmp_path / "gone.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["there.json"]
    assert there.read_text() == "precious"


def test_a_failure_leaves_nothing(clip, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("crsr_video.inspection.analysis.Tracker.push", broken)
    with pytest.raises(RuntimeError, match="broken"):
        analyse(clip, tmp_path / "t.json", draw=tmp_path / "d.mp4", sheet=tmp_path / "s.png")
    assert not list(tmp_path.iterdir())


def test_the_tracks_file_is_plain_json(tracks):
    whole = json.loads(tracks.read_text())
    assert whole["tracks"][0]["pts"] == whole["times"]
    assert len(whole["tracks"][0]["landmarks"]) == whole["video"]["frames"]
