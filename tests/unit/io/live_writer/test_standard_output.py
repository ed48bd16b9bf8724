"""Live results on standard output, through real pipes."""

import os
import socket
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from crsr_video.errors import EncoderError, OutputError, ReaderGoneError
from crsr_video.io.live_writer import LiveWriter
from crsr_video.io.pictures import from_rgb
from crsr_video.io.source import Source
from crsr_video.types import Frame, VideoInfo
from tests.support.live_output import Clip, Drain, Seen, clip, push_all, read, standard_output
from tests.support.writing import open_writer


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


PTS = [0, 33, 67, 100, 104, 200, 233, 500]


def piped(source: Clip, **settings: object) -> tuple[bytes, LiveWriter, list[str]]:
    """Push a clip into standard output, and return what the reader at the other end received."""
    out, into = os.pipe()
    drain, events = Drain(out), []
    with (
        standard_output(into),
        open_writer("-", source.source, **settings, on_event=events.append) as writer,
    ):
        push_all(writer, source.items)
    return drain.join(), writer, events


def same(source: Clip, seen: Seen) -> bool:
    from crsr_video.io import pyav

    wanted = [pyav.views(f.native, alpha=True) for f in source.frames]
    return len(wanted) == len(seen.planes) and all(
        np.array_equal(a, b)
        for old, new in zip(wanted, seen.planes, strict=True)
        for a, b in zip(old, new, strict=True)
    )


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuv422p10le", "yuva444p", "rgb24", "gray", "yuv444p16le", "nv12"]
)
def test_nut_keeps_every_bit_and_time(tmp_path: Path, pix_fmt: str) -> None:
    codec = "ffv1" if pix_fmt != "nv12" and pix_fmt != "rgb24" else "rawvideo"
    name = "a.mkv" if codec == "ffv1" else "a.nut"
    with clip(
        tmp_path, name, codec=codec, pix_fmt=pix_fmt, pts=PTS, time_base=Fraction(1, 1000)
    ) as source:
        data, _, _ = piped(source)
        seen = read(data)
        assert seen.pixel_format == pix_fmt
        assert same(source, seen)
        assert seen.times == [f.pts * f.time_base for f in source.frames]


def test_edited_pictures_are_written_and_sound_is_copied(tmp_path: Path) -> None:
    with clip(tmp_path, audio=1, frames=20) as source:
        source.items = [
            item.with_components(tuple(255 - c for c in item.components))
            if hasattr(item, "components")
            else item
            for item in source.items
        ]
        sound = source.sound
        data, writer, _ = piped(source)
    seen = read(data)
    assert seen.sound == sound[1:]  # The first is from before zero.
    assert len(seen.planes) == 20
    for frame, planes in zip(source.frames, seen.planes, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.components, planes, strict=True))
    assert not any("left out" in notice for notice in writer.notices)


@pytest.mark.parametrize("container", ["mpegts", "matroska", "flv"])
def test_encoded_streams_keep_times_and_sound(tmp_path: Path, container: str) -> None:
    with clip(
        tmp_path, audio=1, frames=20, pts=range(100, 900, 40)[:20], time_base=Fraction(1, 1000)
    ) as source:
        times = [f.seconds for f in source.frames]
        sound = source.sound
        data, _, _ = piped(source, container=container)
    seen = read(data)
    assert (seen.codec, len(seen.planes)) == ("h264", 20)
    assert seen.keys[0]
    begin = float(seen.times[0]) if container == "flv" else times[0]
    wanted = [t - times[0] + begin for t in times]
    assert np.allclose([float(t) for t in seen.times], wanted, atol=0.0011)
    if container != "flv":
        del sound[0]  # It is from before zero.
    assert len(seen.sound) == len(sound)
    if container != "mpegts":  # Which adds a header to each.
        assert seen.sound == sound


def test_keyframes_follow_the_clock_when_frames_are_missing(tmp_path: Path) -> None:
    pts = range(0, 6000, 250)
    with clip(tmp_path, pts=pts, time_base=Fraction(1, 1000), frames=24) as source:
        data, _, _ = piped(source, container="matroska")
    seen = read(data)
    keys = [float(t) for t, key in zip(seen.times, seen.keys, strict=True) if key]
    assert keys == [0.0, 2.0, 4.0]


def test_y4m_keeps_every_bit_and_reports_lost_sound(tmp_path: Path) -> None:
    with clip(tmp_path, codec="ffv1", pix_fmt="yuv422p10le", audio=1, frames=8) as source:
        data, writer, _ = piped(source, container="y4m")
        seen = read(data, format="yuv4mpegpipe")
        assert same(source, seen)
    assert data.startswith(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C422p10 ")
    assert any("audio" in notice for notice in writer.notices)
    assert seen.times == [Fraction(i, 25) for i in range(8)]


def test_y4m_converts_other_pixel_formats_with_a_notice(tmp_path: Path) -> None:
    with clip(tmp_path, "a.nut", codec="rawvideo", pix_fmt="rgb24", frames=3) as source:
        data, writer, _ = piped(source, container="yuv4mpegpipe")
    seen = read(data, format="yuv4mpegpipe")
    assert (seen.pixel_format, len(seen.planes)) == ("yuv444p", 3)
    assert any("rgb24" in notice and "yuv444p" in notice for notice in writer.notices)


def test_y4m_keeps_a_steady_rate_when_frames_are_missing_or_surplus(tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 240, 250, 255, 260, 280]
    with clip(tmp_path, codec="ffv1", pts=pts, time_base=Fraction(1, 1000), frames=9) as source:
        out, into = os.pipe()
        drain = Drain(out)
        with (
            standard_output(into),
            open_writer("-", source.source, container="y4m", rate=Fraction(25)) as writer,
        ):
            push_all(writer, source.items)
        seen = read(drain.join(), format="yuv4mpegpipe")
        frames = [f.components[0] for f in source.frames]
    shown = [
        next(i for i, frame in enumerate(frames) if np.array_equal(frame, planes[0]))
        for planes in seen.planes
    ]
    assert shown[:7] == [0, 1, 2, 2, 2, 3, 4]  # At 80 ms three frames long.
    assert len(shown) == 8 and writer.dropped == 3


def test_raw_video_is_only_pictures_and_a_notice_describes_them(tmp_path: Path) -> None:
    with clip(tmp_path, codec="ffv1", frames=4) as source:
        data, writer, _ = piped(source, container="raw")
        wanted = b"".join(bytes(c) for f in source.frames for c in f.components)
    assert data == wanted
    assert any("64x48" in n and "yuv420p" in n and "25" in n for n in writer.notices)


def test_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    events: list[str] = []
    with (
        clip(tmp_path, "a.mkv", codec="ffv1", frames=3) as first,
        clip(
            tmp_path,
            "b.mkv",
            codec="ffv1",
            frames=3,
            size=(48, 48),
            flat=(235, 128, 128),
            pix_fmt="yuv444p",
            pts=[10, 11, 12],
        ) as second,
    ):
        out, into = os.pipe()
        drain = Drain(out)
        with (
            standard_output(into),
            open_writer("-", first.source, on_event=events.append) as writer,
        ):
            push_all(writer, first.items)
            writer.change(second.source)
            push_all(writer, second.items)
    seen = read(drain.join())
    assert len(seen.planes) == 6 and seen.pixel_format == "yuv420p"
    luma = seen.planes[-1][0]
    assert luma.shape == (48, 64)
    assert (luma[:, :8] == 16).all() and (luma[:, 56:] == 16).all()
    assert (abs(luma[:, 9:55].astype(int) - 235) <= 1).all()
    assert len([e for e in events if "48x48" in e]) == 1


def test_sound_that_changed_is_left_out_with_a_notice(tmp_path: Path) -> None:
    events: list[str] = []
    with (
        clip(tmp_path, "a.mkv", codec="ffv1", frames=3, audio=1) as first,
        clip(tmp_path, "b.avi", codec="mpeg4", frames=3, audio=1) as second,
    ):
        out, into = os.pipe()
        drain = Drain(out)
        sound = first.sound
        with (
            standard_output(into),
            open_writer("-", first.source, on_event=events.append) as writer,
        ):
            push_all(writer, first.items)
            writer.change(second.source)
            for item in second.items:
                if not hasattr(item, "components"):
                    writer.push_packet(item)
    assert read(drain.join()).sound == sound[1:]
    assert any("audio" in e and "changed" in e for e in events)


def test_a_reader_that_leaves_raises_reader_gone(tmp_path: Path) -> None:
    with clip(tmp_path, codec="ffv1", size=(320, 240), frames=40) as source:
        out, into = os.pipe()
        drain = Drain(out, limit=200_000)
        with standard_output(into):
            writer = open_writer("-", source.source)
            with pytest.raises(ReaderGoneError, match="standard output"):
                push_all(writer, source.items)
            writer.abort()
            writer.close()
        drain.join()


def test_a_reader_that_left_before_raises_reader_gone(tmp_path: Path) -> None:
    with clip(tmp_path, frames=2) as source:
        out, into = os.pipe()
        os.close(out)
        with standard_output(into), pytest.raises(ReaderGoneError):
            open_writer("-", source.source)


@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_push_that_waits_for_its_reader_can_be_cancelled(tmp_path: Path, how: str) -> None:
    with clip(tmp_path, codec="ffv1", size=(640, 480), frames=8) as source:
        out, into = os.pipe()
        raised: list[BaseException] = []

        def push(writer: LiveWriter) -> None:
            try:
                push_all(writer, source.items)
            except OutputError as error:
                raised.append(error)

        with standard_output(into):
            writer = open_writer("-", source.source)
            thread = threading.Thread(target=push, args=(writer,))
            thread.start()
            end = time.monotonic() + 10
            while writer.state != "writing" and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.3)
            assert thread.is_alive() and writer.state == "writing"
            before = time.monotonic()
            getattr(writer, how)()
            thread.join(5)
            took = time.monotonic() - before
        assert not thread.is_alive()
        assert raised and took < 2  # Half a second on an idle machine.
        os.close(out)


def test_other_output_is_redirected_until_the_writer_closes(tmp_path: Path) -> None:
    with clip(tmp_path, codec="ffv1", frames=2) as source:
        out, into = os.pipe()
        drain = Drain(out)
        with standard_output(into):
            writer = open_writer("-", source.source, container="raw")
            os.write(1, b"something else\n")
            push_all(writer, source.items)
            writer.close()
            os.write(1, b", and what follows")
        data = drain.join()
        assert b"something" not in data
        assert data.endswith(b", and what follows")


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    with clip(tmp_path, frames=2) as source:
        master, terminal = os.openpty()
        try:
            with standard_output(terminal), pytest.raises(OutputError, match="is a terminal"):
                open_writer("-", source.source)
        finally:
            os.close(master)


def test_impossible_combinations_are_refused(tmp_path: Path) -> None:
    with clip(tmp_path, frames=2) as source:
        with pytest.raises(EncoderError, match="raw pictures only"):
            open_writer("-", source.source, container="y4m", codec="libx264")
        with pytest.raises(OutputError, match="does not take 'avi'"):
            open_writer("-", source.source, container="avi")
        with pytest.raises(EncoderError, match="no video encoder 'nothing'"):
            open_writer("-", source.source, codec="nothing")
        with pytest.raises(EncoderError, match="flv cannot hold"):
            open_writer("-", source.source, container="flv", codec="ffv1")


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    with clip(tmp_path, frames=3, audio=1) as source:
        piped(source)
        before = descriptors()
        piped(source)
    assert descriptors() <= before


@pytest.mark.parametrize("container", ["nut", "mpegts", "flv", "y4m"])
def test_every_frame_leaves_at_once(tmp_path: Path, container: str) -> None:
    """Sound comes a little ahead of its frame. x264 with two slices holds nothing back either."""
    size = (1024, 640) if container == "mpegts" else (64, 48)
    with clip(tmp_path, frames=8, audio=1, size=size, codec="ffv1") as source:
        sound = [item for item in source.items if not isinstance(item, Frame)]
        out, into = os.pipe()
        os.set_blocking(out, False)
        lengths = []
        with standard_output(into):
            writer = open_writer("-", source.source, container=container)
            for frame in source.frames[:6]:
                while sound and float(sound[0].packet.pts * sound[0].packet.time_base) < (
                    frame.seconds + 0.1
                ):
                    writer.push_packet(sound.pop(0))
                before = available(out)
                writer.push(frame)
                lengths.append((before, available(out)))
            writer.abort()
        os.close(out)
    assert all(after > 0 for _, after in lengths), lengths


def available(number: int) -> int:
    """Read everything that is available, and return its length."""
    count = 0
    while True:
        try:
            part = os.read(number, 1 << 20)
        except BlockingIOError:
            return count
        count += len(part)


def test_output_redirected_to_a_file_is_written(tmp_path: Path) -> None:
    """This is `> result.nut` in a shell."""
    target = tmp_path / "result.nut"
    with clip(tmp_path, frames=5) as source:
        into = os.open(target, os.O_WRONLY | os.O_CREAT)
        with (
            standard_output(into),
            open_writer("-", source.source) as writer,
        ):
            push_all(writer, source.items)
    assert len(read(str(target)).planes) == 5


def test_a_socket_that_is_closed_raises_reader_gone(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with clip(tmp_path, frames=40, size=(320, 240)) as source, near:
        into = os.dup(near.fileno())
        with standard_output(into):
            writer = open_writer("-", source.source)
            assert len(far.recv(1000)) > 100
            far.close()
            with pytest.raises(ReaderGoneError):
                push_all(writer, source.items)
            writer.abort()
        assert os.get_blocking(near.fileno())  # Other processes may share the socket.


def test_another_pixel_format_can_be_chosen(tmp_path: Path) -> None:
    with clip(tmp_path, frames=3) as source:
        data, writer, _ = piped(source, options={"pix_fmt": "bgr24"})
        assert read(data).pixel_format == "bgr24"
        assert any("bgr24" in notice for notice in writer.notices)
        with pytest.raises(EncoderError, match="no pixel format 'nonsense'"):
            open_writer("-", source.source, options={"pix_fmt": "nonsense"})
        with pytest.raises(EncoderError, match="no option crf"):
            open_writer("-", source.source, options={"crf": "3"})


def test_frames_made_from_arrays_are_written() -> None:
    """Python programs make such frames."""
    info = VideoInfo(64, 48, "rgb24", "", "", Fraction(25), Fraction(1, 25), 0, 0.0)
    pictures = [np.full((48, 64, 3), value, np.uint8) for value in (10, 200)]
    frames = [from_rgb(picture, index) for index, picture in enumerate(pictures)]
    for container, name in (
        ("nut", "rgb24"),
        ("mpegts", "yuv444p"),
        ("yuv4mpegpipe", "yuv444p"),
    ):
        out, into = os.pipe()
        drain = Drain(out)
        with (
            standard_output(into),
            open_writer("-", Source(info=info, first=frames[0]), container=container) as writer,
        ):
            for frame in frames:
                writer.push(frame)
        seen = read(drain.join(), format=container)
        assert (seen.pixel_format, len(seen.planes)) == (name, 2)
