"""Live reading of files and devices: as fast as possible, or at their own pace."""

import os
import socket
import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest

from crsr_video.config import ReadSettings
from crsr_video.errors import ConfigError, InputError
from crsr_video.io.live_reader import LiveReader
from crsr_video.types import Frame
from tests.support.sending import encoded, increasing, opened
from tests.support.video import make_video


def test_a_file_is_read_as_fast_as_it_is_taken(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50, b_frames=2, audio=1)
    with opened(path) as (incoming, taken):
        taken.add(incoming)
        assert not incoming.is_live
    assert taken.times == [Fraction(i, 25) for i in range(50)]
    assert len(taken.others) > 50
    assert taken.at[-1] - taken.at[0] < 1.5
    assert incoming.state == "closed"


def test_realtime_keeps_the_pace_of_its_times(tmp_path: Path) -> None:
    """The pace may be uneven, and the first timestamp anything."""
    ticks = [500, 540, 580, 700, 720, 820, 860, 900]
    path = make_video(tmp_path / "a.mkv", pts=ticks, time_base=Fraction(1, 1000))
    with opened(path, realtime=True) as (incoming, taken):
        assert incoming.is_live
        taken.add(incoming)
    pairs = zip(taken.items, taken.at, strict=True)
    at = [when for item, when in pairs if isinstance(item, Frame)]
    lag = [1000 * (when - at[0]) - (tick - 500) for tick, when in zip(ticks, at, strict=True)]
    assert min(lag) > -5
    assert sorted(lag)[len(lag) // 2] < 20


def test_a_loop_keeps_its_feed_and_its_clock_growing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5, rate=50)
    with opened(path, realtime=True, loop=True) as (incoming, taken):
        taken.add(incoming, 23)
    assert taken.times == [Fraction(i, 50) for i in range(23)]
    assert taken.sources == []
    assert taken.events == []


def test_interrupt_ends_the_wait_for_the_next_frame(tmp_path: Path) -> None:
    ticks = [0, 60_000]
    path = make_video(tmp_path / "a.mkv", pts=ticks, time_base=Fraction(1, 1000))
    with opened(path, realtime=True) as (incoming, taken):
        timer = threading.Timer(0.2, incoming.interrupt)
        timer.start()
        began = time.monotonic()
        taken.add(incoming)
        assert time.monotonic() - began < 5
        timer.join()
    assert len(taken.frames) == 1


def test_raw_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yuv"
    path.write_bytes(b"".join(encoded("rawvideo", "rawvideo", frames=3)))
    with opened(path, format="rawvideo", size=(64, 48)) as (incoming, taken):
        taken.add(incoming)
    assert len(taken.frames) == 3


def test_a_local_playlist_reads_its_own_pieces_only(tmp_path: Path) -> None:
    make_video(
        tmp_path / "a.m3u8",
        frames=30,
        gop=10,
        container="hls",
        container_options={"hls_time": "0.4", "hls_list_size": "0", "hls_playlist_type": "vod"},
    )
    with opened(tmp_path / "a.m3u8") as (incoming, taken):
        taken.add(incoming)
    assert len(taken.frames) == 30
    assert increasing(taken.times)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        elsewhere = f"http://127.0.0.1:{server.getsockname()[1]}/a0.ts"
        text = (tmp_path / "a.m3u8").read_text().replace("a0.ts", elsewhere)
        (tmp_path / "b.m3u8").write_text(text)
        with opened(tmp_path / "b.m3u8") as (incoming, rest):
            rest.add(incoming)
        with pytest.raises(TimeoutError):
            server.accept()
    assert len(rest.frames) == 20


@pytest.mark.parametrize(
    ("name", "data", "settings", "words"),
    [
        ("a.mp4", None, {}, "no such file"),
        ("a.mp4", b"", {}, "is empty"),
        ("a.mp4", b"Hello. " * 1000, {}, "is not a media file, or damaged"),
        ("a.y4m", b"YUV4MPEG2 W64 ", {}, "its Y4M header is cut short"),
        (
            "a.yuv",
            bytes(4608 + 7),
            {"format": "rawvideo", "size": (64, 48)},
            "4615 bytes are not a whole number of 64x48 frames",
        ),
        (
            "a.yuv",
            bytes(4608),
            {"format": "rawvideo", "size": (64, 48), "pixel_format": "nosuch"},
            "there is no pixel format 'nosuch'",
        ),
    ],
)
def test_bad_files_are_refused_at_once(
    tmp_path: Path, name: str, data: bytes | None, settings: dict[str, object], words: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises((ConfigError, InputError), match=words) as caught:
        LiveReader(str(path), ReadSettings(**settings))
    assert "\n" not in str(caught.value)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        LiveReader(str(tmp_path))


def test_a_y4m_file_that_is_cut_off_is_reported_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"".join(encoded("yuv4mpegpipe", "wrapped_avframe", frames=3))[:-50])
    with opened(path) as (incoming, taken):
        taken.add(incoming)
        assert [line for line in taken.events if "cut off: its 4564 bytes" in line]
    assert len(taken.frames) == 2


@pytest.mark.parametrize("source", ["-", "/dev/video9", "udp://127.0.0.1:9"])
def test_only_files_are_played_in_a_loop(source: str) -> None:
    with pytest.raises(InputError, match="only a file can be played in a loop"):
        LiveReader(source, ReadSettings(realtime=True, loop=True))


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device file")
@pytest.mark.parametrize(
    ("address", "settings", "words"),
    [
        ("/dev/video77", {}, "/dev/video77: no such device"),
        ("/dev/null", {"format": "v4l2"}, "/dev/null: is not a camera"),
        ("/dev/zero", {"format": "v4l2", "size": (640, 480)}, "/dev/zero: is not a camera"),
    ],
)
def test_files_that_are_no_camera_are_refused(
    address: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        LiveReader(address, ReadSettings(**settings))


def test_a_device_yields_frames_until_it_is_interrupted() -> None:
    """FFmpeg's own generator of test pictures stands in for a camera."""
    with opened("testsrc2=size=64x48:rate=50,realtime", format="lavfi") as (incoming, taken):
        taken.add(incoming, 10)
        assert incoming.is_live
    assert increasing(taken.times)
    assert taken.at[-1] - taken.at[0] > 0.1


def test_a_terminal_is_no_source() -> None:
    ours, theirs = os.openpty()
    before = os.dup(0)
    try:
        os.dup2(theirs, 0)
        with pytest.raises(InputError, match="standard input is a terminal"):
            LiveReader("-")
    finally:
        os.dup2(before, 0)
        for number in (before, ours, theirs):
            os.close(number)
