"""``crsr-video compare``: matching frames of a video and its copy, side by side or on a sheet."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.stream import VideoStream
from click.testing import CliRunner
from skimage import data

from crsr_video.cli import main
from crsr_video.errors import ConfigError, CrsrError, InputError, OutputError
from crsr_video.inspection.alignment import FramePairs, align
from crsr_video.inspection.comparison import compare
from crsr_video.io import pyav
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.support.video import make_video

MILLI = Fraction(1, 1000)
SIZE = (160, 120)
GAIN = 24
"""Brightness difference of copies, in 8-bit levels."""
LABELLED = 24
"""Number of rows that labels may cover."""
RATE: dict[str, Any] = {"size": SIZE, "rate": 25, "time_base": MILLI}


def copy(
    source: Path,
    target: Path,
    *,
    scale: int = 1,
    keep: Iterable[int] | None = None,
    shift: int = 0,
    rotation: int = 0,
) -> Path:
    """Write a brighter copy of a video.

    Args:
        source: The video.
        target: The copy.
        scale: Enlargement of the copy.
        keep: Numbers of the frames to keep. Defaults to all.
        shift: Milliseconds by which the copy begins earlier.
        rotation: Rotation tag of the copy.
    """
    with Reader(source) as decoder, av.open(str(target), "w") as output:
        frames = [item for item in decoder if isinstance(item, Frame)]
        stream = output.add_stream("libx264", 25, options={"crf": "8", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = frames[0].width * scale, frames[0].height * scale
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = MILLI
        if rotation:
            stream.set_display_rotation(rotation)
        for number in keep if keep is not None else range(len(frames)):
            picture = frames[number].native.reformat(stream.width, stream.height, "yuv420p")
            luma = pyav.views(picture)[0]
            luma[...] = np.minimum(luma.astype(int) + GAIN, 255)
            picture.pts = round(frames[number].seconds * 1000) - shift
            picture.time_base = MILLI
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return target


def read(path: Path) -> list[Frame]:
    with Reader(path) as decoder:
        return [item for item in decoder if isinstance(item, Frame)]


def packets(path: Path) -> list[tuple[float, bytes]]:
    """Return time and content of the packets of the first audio stream."""
    with av.open(str(path)) as container:
        found = container.demux(container.streams.audio[0])
        return [
            (float(p.pts * p.time_base), bytes(p)) for p in found if p.size and p.pts is not None
        ]


def luma(frame: Frame) -> np.ndarray:
    return frame.components[0][LABELLED:].astype(float)


def unlike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def assert_halves(result: Path, before: list[Frame], after: list[Frame]) -> None:
    """Check that each frame of a result shows both frames at the time of the second one."""
    shown = read(result)
    assert [f.seconds for f in shown] == pytest.approx([f.seconds for f in after], abs=6e-4)
    for frame, left, right in zip(shown, before, after, strict=True):
        middle = frame.width // 2
        assert unlike(luma(frame)[:, :middle], luma(left)) < 3
        assert unlike(luma(frame)[:, middle:], luma(right)) < 3


def assert_only(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "a.mp4", frames=30, audio=1, **RATE)


# Videos --------------------------------------------------------------------------------------


def test_videos_are_shown_side_by_side(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4")
    result = compare(clip, after)
    assert result == tmp_path / "b.compare.mp4"
    with Reader(result) as decoder:
        info = decoder.info
    assert (info.width, info.height, info.codec) == (2 * SIZE[0], SIZE[1], "h264")
    assert_halves(result, read(clip), read(after))
    assert packets(result) == packets(clip)
    assert_only(tmp_path, "a.mp4", "b.mp4", "b.compare.mp4")


def test_a_split_view_shows_half_of_each_video(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4")
    shown = read(compare(clip, after, tmp_path / "c.mkv", split=True))
    middle = SIZE[0] // 2
    for frame, left, right in zip(shown, read(clip), read(after), strict=True):
        assert (frame.width, frame.height) == SIZE
        assert unlike(luma(frame)[:, : middle - 4], luma(left)[:, : middle - 4]) < 3
        assert unlike(luma(frame)[:, middle + 4 :], luma(right)[:, middle + 4 :]) < 3
    assert luma(shown[0])[:, middle - 1 : middle + 1].min() > 150  # the line


def test_an_enlarged_copy_is_compared_at_its_size(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4", scale=2)
    result = compare(clip, after, tmp_path / "c.mp4")
    large = [
        f.native.reformat(2 * SIZE[0], 2 * SIZE[1], interpolation="BICUBIC") for f in read(clip)
    ]
    shown = read(result)
    assert (shown[0].width, shown[0].height) == (4 * SIZE[0], 2 * SIZE[1])
    for frame, before in zip(shown, large, strict=True):
        wanted = pyav.views(before)[0][LABELLED:].astype(float)
        assert unlike(luma(frame)[:, : 2 * SIZE[0]], wanted) < 3


@pytest.mark.parametrize("moved", [True, False], ids=["times start at zero", "times are kept"])
def test_a_partial_copy_is_found_in_its_source(clip: Path, tmp_path: Path, moved: bool) -> None:
    shift = 400 if moved else 0
    after = copy(clip, tmp_path / "b.mkv", keep=range(10, 20), shift=shift)
    assert float(align(clip, after).offset) == pytest.approx(shift / 1000)
    result = compare(clip, after, tmp_path / "c.mp4")
    assert_halves(result, read(clip)[10:20], read(after))
    # AAC packets of 21 ms: the packets of the part, moved with it and otherwise unchanged.
    part = {data: time for time, data in packets(clip)}
    sound = packets(result)
    assert all(time == pytest.approx(part[data] - shift / 1000, abs=1e-3) for time, data in sound)
    begin = 0.4 - shift / 1000
    assert begin - 1e-3 <= sound[0][0] < begin + 0.03
    assert begin + 0.35 < sound[-1][0] < begin + 0.45  # streams are interleaved loosely


def test_a_copy_with_later_timestamps_is_matched(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.ts", shift=-1400)
    result = compare(clip, after, tmp_path / "c.mkv")
    assert_halves(result, read(clip), read(after))
    assert packets(result)[0][0] == pytest.approx(packets(clip)[0][0] + 1.4, abs=2e-3)


def test_a_copy_without_the_first_frame_keeps_its_times(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4", keep=range(1, 30))
    assert align(clip, after).offset == 0
    assert_halves(compare(clip, after, tmp_path / "c.mp4"), read(clip)[1:], read(after))


def test_frames_are_matched_by_time(tmp_path: Path) -> None:
    times = [0, 33, 67, 100, 600, 610, 1000, 1040, 1500, 1533]
    before = make_video(tmp_path / "a.mkv", size=SIZE, rate=30, time_base=MILLI, pts=times)
    after = copy(before, tmp_path / "b.mkv", keep=[0, 2, 3, 5, 6, 9])
    with FramePairs(before, after, align(before, after)) as match:
        pairs = [(round(a.seconds * 1000), round(b.seconds * 1000)) for a, b in match.pairs()]
    assert pairs == [(t, t) for t in (0, 67, 100, 610, 1000, 1533)]
    # Other frames are paired with the frame still shown, or with one due within half a frame.
    dense = make_video(
        tmp_path / "c.mkv", size=SIZE, rate=30, time_base=MILLI, pts=[0, 60, 90, 550, 595, 1533]
    )
    place = align(before, before)
    with FramePairs(before, dense, place) as match:
        pairs = [(round(a.seconds * 1000), round(b.seconds * 1000)) for a, b in match.pairs()]
    assert pairs == [(0, 0), (67, 60), (100, 90), (100, 550), (600, 595), (1533, 1533)]


def test_rotated_clips_are_shown_upright(tmp_path: Path) -> None:
    before = make_video(tmp_path / "a.mp4", frames=8, rotation=90, **RATE)
    after = copy(before, tmp_path / "b.mp4", rotation=90)
    shown = read(compare(before, after, tmp_path / "c.mp4"))
    assert [(f.width, f.height, f.rotation) for f in shown] == [(2 * SIZE[1], SIZE[0], 0)] * 8
    left = np.rot90(read(before)[0].components[0])[LABELLED:].astype(float)
    right = np.rot90(read(after)[0].components[0])[LABELLED:].astype(float)
    assert unlike(luma(shown[0]), np.hstack([left, right])) < 3


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    odd = make_video(tmp_path / "a.mkv", pix_fmt="yuv444p", **(RATE | {"size": (161, 121)}))
    shown = read(compare(odd, odd, tmp_path / "c.mkv"))
    assert (shown[0].width, shown[0].height, shown[0].layout.name) == (320, 120, "yuv420p")


def test_ten_bit_videos_stay_ten_bit(tmp_path: Path) -> None:
    colour = (9, 16, 9, 1)
    deep = make_video(tmp_path / "a.mkv", pix_fmt="yuv420p10le", frames=3, colour=colour, **RATE)
    shown = read(compare(deep, deep, tmp_path / "c.mkv"))
    assert (shown[0].layout.name, shown[0].layout.matrix) == ("yuv420p10le", "bt2020")
    assert int(shown[0].native.color_trc) == 16


def test_different_ranges_are_converted(tmp_path: Path) -> None:
    before = make_video(tmp_path / "a.mkv", frames=3, colour=(1, 1, 1, 2), **RATE)
    after = copy(before, tmp_path / "b.mkv")  # has no range tag, so its codes are limited
    with FramePairs(before, after, align(before, after)) as match:
        wide, narrow = match.first
    assert wide.layout.full_range and not narrow.layout.full_range
    shown = read(compare(before, after, tmp_path / "c.mkv"))[0]
    limited = 16 + luma(wide) * 219 / 255
    assert not shown.layout.full_range
    assert unlike(luma(shown)[:, : SIZE[0]], limited) < 3


def test_a_container_without_h264_uses_another_codec(tmp_path: Path) -> None:
    before = make_video(tmp_path / "a.webm", codec="libvpx", frames=3, **RATE)
    with Reader(compare(before, before, tmp_path / "c.webm")) as decoder:
        assert decoder.info.codec.startswith(("vp8", "vp9", "libvpx"))


# Refusals -------------------------------------------------------------------------------------


def assert_fails(
    kind: type[CrsrError], words: str, before: Path, after: Path, output: Path, **choices: object
) -> None:
    """Check that comparing fails with a one-line message and leaves the folder unchanged."""
    names = {path.name: path.stat().st_mtime_ns for path in output.parent.iterdir()}
    with pytest.raises(kind, match=words) as failure:
        compare(before, after, output, **choices)
    assert "\n" not in str(failure.value)
    assert {p.name: p.stat().st_mtime_ns for p in output.parent.iterdir()} == names


def test_videos_of_other_sizes_and_lengths_are_refused(clip: Path, tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", frames=90, **RATE)
    wide = make_video(tmp_path / "wide.mp4", frames=30, **(RATE | {"size": (240, 120)}))
    other = make_video(tmp_path / "other.mp4", frames=30, pix_fmt="gray", codec="ffv1", **RATE)
    assert_fails(ConfigError, "is 3.6 s long", clip, long, tmp_path / "c.mp4")
    assert_fails(ConfigError, "must be a multiple", clip, wide, tmp_path / "c.mp4")
    assert align(clip, other)  # the same content without colour


def test_videos_with_other_content_are_refused(clip: Path, tmp_path: Path) -> None:
    for name, frames in (("same.mkv", 30), ("short.mkv", 12)):
        other = tmp_path / name
        with av.open(str(other), "w") as output:
            stream = output.add_stream("ffv1", 25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            for number in range(frames):
                noise = np.random.default_rng(number // 4).integers(0, 2, (9, 12)) * 255
                rgb = cv2.resize(noise.astype(np.uint8), SIZE, interpolation=cv2.INTER_NEAREST)
                frame = av.VideoFrame.from_ndarray(np.stack([rgb] * 3, -1), "rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        assert_fails(ConfigError, "do not show the same video", clip, other, tmp_path / "c.mp4")


def test_other_pixel_aspect_ratios_are_refused(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "a.mp4", frames=4, **RATE)
    wide = make_video(tmp_path / "b.mp4", frames=4, sample_aspect=Fraction(4, 3), **RATE)
    assert_fails(ConfigError, "different pixel aspect ratios", plain, wide, tmp_path / "c.mp4")


def test_unwritable_outputs_are_refused(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4")
    (tmp_path / "c.mp4").write_bytes(b"precious")
    (tmp_path / "c.png").write_bytes(b"precious")
    for name in ("c.mp4", "c.png"):
        assert_fails(OutputError, "exists already", clip, after, tmp_path / name)
    for same in (clip, after):
        assert_fails(OutputError, "is the source", clip, after, same, overwrite=True)
    assert_fails(OutputError, "no container", clip, after, tmp_path / "c.xyz")
    with pytest.raises(OutputError, match="no such folder"):
        compare(clip, after, tmp_path / "none" / "c.png")
    compare(clip, after, tmp_path / "c.mp4", overwrite=True)
    assert len(read(tmp_path / "c.mp4")) == 30


def test_unreadable_inputs_are_refused(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    output = tmp_path / "c.mp4"
    assert_fails(InputError, "no such file", clip, tmp_path / "none.mp4", output)
    assert_fails(InputError, "no such file", tmp_path / "none.mp4", clip, output)
    assert_fails(InputError, "not a media file", clip, tmp_path / "text.mp4", output)


def test_conflicting_options_are_refused(clip: Path, tmp_path: Path) -> None:
    assert_fails(ConfigError, "at least 1", clip, clip, tmp_path / "c.png", faces=0)
    assert_fails(ConfigError, "not a picture", clip, clip, tmp_path / "c.png", split=True)


# The command ----------------------------------------------------------------------------------


def test_the_command_prints_the_name_of_the_result(clip: Path, tmp_path: Path) -> None:
    after = copy(clip, tmp_path / "b.mp4")
    run = CliRunner().invoke(main, ["compare", str(clip), str(after)])
    assert (run.exit_code, run.stdout) == (0, "")
    assert run.stderr == f"crsr-video: Wrote {tmp_path / 'b.compare.mp4'}\n"
    again = CliRunner().invoke(main, ["compare", str(clip), str(after)])
    assert again.exit_code == 1
    assert again.stderr.startswith("crsr-video: error: ") and again.stderr.count("\n") == 1
    quiet = CliRunner().invoke(main, ["-q", "compare", str(clip), str(after), "--overwrite"])
    assert (quiet.exit_code, quiet.output) == (0, "")


# Sheets ---------------------------------------------------------------------------------------


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """Return a video of a face that moves to the right by a pixel per frame."""
    photo = cv2.resize(data.astronaut()[:300, 60:400], (340, 300), interpolation=cv2.INTER_AREA)
    path = tmp_path / "face.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", 25, options={"crf": "12", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 300, "yuv420p"
        for number in range(20):
            shown = np.ascontiguousarray(photo[:, 20 - number : 340 - number])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize(("scale", "name"), [(1, "c.png"), (2, "c.jpg")])
def test_a_sheet_shows_faces_before_and_after(
    portrait: Path, tmp_path: Path, scale: int, name: str
) -> None:
    after = copy(portrait, tmp_path / "b.mp4", scale=scale)
    assert compare(portrait, after, tmp_path / name, faces=2) == tmp_path / name
    sheet = np.asarray(cv2.imread(str(tmp_path / name)), float)
    # Two tiles side by side: 20 rows of text, 256 before, 20 of text, 256 after, 8 around all.
    assert sheet.shape == (8 + 552 + 8, 8 + 2 * (256 + 8), 3)
    for left in (8, 272):
        above = sheet[28:284, left : left + 256]
        below = sheet[304:560, left : left + 256]
        assert np.corrcoef(above.ravel(), below.ravel())[0, 1] > 0.97
        gain = np.median(below - above)
        assert GAIN * 0.8 < gain < GAIN * 1.5  # limited codes are stretched when they become RGB
        # The centre is skin: more red than green, more green than blue.
        blue, green, red = above[100:180, 90:170].mean((0, 1))
        assert red > green > blue and red > 100
    assert sheet[8:28].min() < 60 and sheet[284:304].min() < 60  # captions
    assert_only(tmp_path, "face.mp4", "b.mp4", name)


@pytest.mark.usefixtures("face_models")
def test_a_sheet_needs_a_face(clip: Path, tmp_path: Path) -> None:
    assert_fails(InputError, "no face was found", clip, clip, tmp_path / "c.png")


@pytest.mark.usefixtures("face_models")
def test_a_sheet_on_a_full_disk_leaves_nothing(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert_fails(OutputError, "No space left", portrait, portrait, tmp_path / "c.png")
