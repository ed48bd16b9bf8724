"""Video through standard input and output gives the same results as through files."""

import io
import json
import os
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.containers import raw_format
from crsr_video.io.destinations.byte_streams import StandardOutput
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.frames import same_planes
from tests.support.standard_streams import Swapped, enhanced, frames_in, posix, run, sound
from tests.support.video import make_video

pytestmark = [pytest.mark.usefixtures("face_models"), posix]


# The same as through files -----------------------------------------------------------------------


def test_a_pipe_gives_the_same_result_as_a_file(pipe_clips: Path, tmp_path: Path) -> None:
    """Frames, timestamps and audio are identical, with the shipped weights."""
    file = tmp_path / "file.nut"
    words = ["enhance", pipe_clips / "a.nut", "-o", file, "--codec", "ffv1"]
    assert CliRunner().invoke(main, [str(w) for w in words]).exit_code == 0
    pipe = enhanced((pipe_clips / "a.nut").read_bytes(), "--model", "fast")
    with Reader(file) as decoder:
        wanted = [item for item in decoder if isinstance(item, Frame)]
    assert len(wanted) == len(pipe.frames) >= 6
    for a, b in zip(wanted, pipe.frames, strict=True):
        assert a.seconds == b.seconds
        assert same_planes(a, b)
    assert sound(io.BytesIO(pipe.data)) == sound(pipe_clips / "a.nut") == sound(file)
    with Reader(pipe_clips / "a.nut") as decoder:
        source = [item for item in decoder if isinstance(item, Frame)]
    assert not any(
        same_planes(a, b) for a, b in zip(source, wanted, strict=True)
    )  # Faces were changed.


def test_one_end_may_be_a_file(pipe_clips: Path, tmp_path: Path) -> None:
    """A file never holds raw pictures, although a pipe does."""
    with Swapped() as swapped:
        words = ["enhance", pipe_clips / "plain.mkv", "-o", "-", "--model", "identity"]
        result = CliRunner().invoke(main, [str(w) for w in words])
    assert (result.exit_code, len(frames_in(swapped.kept))) == (0, 20), result.stderr
    target = tmp_path / "out.mkv"
    with Swapped(swapped.kept):
        words = ["enhance", "-", "-o", target, "--model", "identity", "--crf", 0]
        result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.stderr
    assert "raw pictures are written with libx264" in result.stderr
    with Reader(pipe_clips / "plain.mkv") as given, Reader(target) as made:
        assert made.info.codec == "h264"
        before, after = ([f for f in d if isinstance(f, Frame)] for d in (given, made))
    assert all(same_planes(a, b) for a, b in zip(before, after, strict=True))
    assert len(sound(target)) == len(sound(pipe_clips / "plain.mkv")) > 10


@pytest.mark.parametrize("form", ["nut", "matroska", "mpegts", "y4m", "rawvideo"])
def test_every_output_format_can_be_read_again(pipe_clips: Path, form: str) -> None:
    """Every container that is written can be read again, with all that it can carry."""
    out = enhanced((pipe_clips / "plain.mkv").read_bytes(), "--format", form)
    words = ["--input-format", form] if form in ("y4m", "rawvideo") else []
    if form == "rawvideo":
        assert len(out.data) == 20 * 64 * 48 * 3 // 2
        words += ["--size", "64x48", "--rate", "25"]
    again = enhanced(out.data, *words, "--strength", 0)
    with Reader(pipe_clips / "plain.mkv") as decoder:
        frames = [f for f in decoder if isinstance(f, Frame)]
    times = [f.seconds for f in again.frames]  # NUT begins with the sound, 21 ms before.
    assert [t - times[0] for t in times] == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
    if form != "mpegts":
        assert all(same_planes(a, b) for a, b in zip(frames, again.frames, strict=True))
    bare = form in ("y4m", "rawvideo")
    assert (f"left out because {'yuv4mpegpipe' if form == 'y4m' else form}" in out.told) == bare
    assert ("holds no timestamps" in out.told) == bare
    if not bare:
        copied = sound(io.BytesIO(again.data))
        wanted = [data for _, data in sound(pipe_clips / "plain.mkv")]
        header = 7 if form == "mpegts" else 0  # ADTS
        assert [data[header:] for _, data in copied] == wanted


def test_audio_stays_beside_its_picture(tmp_path: Path) -> None:
    """Frames are late by the lookahead of the stages, and packets wait for them."""
    clip = make_video(tmp_path / "a.mkv", codec="ffv1", frames=75, audio=2)
    out = enhanced(clip.read_bytes())
    with av.open(io.BytesIO(out.data)) as container:
        seen = [(p.stream_index, float(p.dts * p.time_base)) for p in container.demux() if p.size]
    latest = 0.0
    for _, at in seen:
        assert at > latest - 0.3
        latest = max(latest, at)
    assert {index for index, _ in seen} == {0, 1, 2}


def test_a_part_of_a_pipe_can_be_enhanced(pipe_clips: Path) -> None:
    out = enhanced((pipe_clips / "plain.mkv").read_bytes(), "--start", 0.2, "--duration", 0.4)
    assert [f.seconds for f in out.frames] == [i / 25 for i in range(10)]


def test_a_redirected_file_is_read_as_a_file(tmp_path: Path) -> None:
    """An MP4 file with its index at the end cannot be piped, but ``< video.mp4`` works."""
    clip = make_video(tmp_path / "a.mov", codec="png", pix_fmt="rgb24", size=(320, 240))
    assert clip.stat().st_size > 1 << 19  # More than FFmpeg reads at once.
    with clip.open("rb") as file, Swapped() as swapped:
        os.dup2(file.fileno(), 0)
        words = ["enhance", "-", "-o", "-", "--model", "identity"]
        result = CliRunner().invoke(main, words)
    assert (result.exit_code, len(frames_in(swapped.kept))) == (0, 12), result.stderr
    through_pipe = run(clip.read_bytes())
    assert through_pipe.code == 1
    assert "index in front" in through_pipe.told


def test_raw_pixel_formats_are_replaced_where_a_container_lacks_them() -> None:
    assert raw_format("nut", "yuv422p10le") == "yuv422p10le"
    assert raw_format("nut", "p010le") == "yuv420p10le"
    assert raw_format("nut", "yuvj420p") == "yuvj420p"
    assert raw_format("yuv4mpegpipe", "nv12") == "yuv420p"
    assert raw_format("yuv4mpegpipe", "yuv420p10le") == "yuv420p10le"
    assert raw_format("rawvideo", "nv12") == "nv12"


def test_lost_tags_are_named(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mkv", colour=(9, 16, 9, 1), pix_fmt="yuv420p10le")
    with Swapped(), Reader(clip) as decoder:
        notices = plan_output(decoder.source, "-").notices
        assert any("colour tags (bt2020, smpte2084" in told for told in notices)
        kept = plan_output(decoder.source, "-", OutputSettings(container="matroska")).notices
        assert not any("colour tags" in told for told in kept)
        with pytest.raises(OutputError, match=r"standard output: not written because of `strict`"):
            plan_output(decoder.source, "-", OutputSettings(strict=True))


# Neighbours --------------------------------------------------------------------------------------


def test_only_video_goes_to_standard_output(pipe_clips: Path) -> None:
    """Events, and anything else that is printed, go to standard error."""
    done = enhanced((pipe_clips / "plain.mkv").read_bytes(), "--json")
    assert len(done.frames) == 20
    events = [json.loads(line)["event"] for line in done.told.splitlines()]
    assert (events[0], events[-1]) == ("start", "summary")
    with Swapped() as swapped:
        errors, write = os.pipe()
        before = os.dup(2)
        os.dup2(write, 2)
        outlet = StandardOutput()
        os.write(1, b"chatter of a library")
        outlet.write(b"video")
        outlet.finish()
        os.dup2(before, 2)
        os.write(1, b", and what follows")
        for number in (before, write):
            os.close(number)
    with os.fdopen(errors, "rb") as file:
        assert file.read() == b"chatter of a library"
    assert swapped.kept == b"video, and what follows"


def test_no_file_descriptor_is_left_open(pipe_clips: Path) -> None:
    data = (pipe_clips / "plain.mkv").read_bytes()

    def opened() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    with Swapped(data):
        before = opened()
        with Reader("-") as decoder, Writer("-", decoder.source) as encoder:
            for item in decoder:
                encoder.push(item) if isinstance(item, Frame) else encoder.push_packet(item)
        assert opened() <= before  # The reader of the input may have finished meanwhile.
        assert os.fstat(1)
