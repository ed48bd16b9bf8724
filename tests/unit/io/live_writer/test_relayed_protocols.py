"""Live results over protocols that a child process speaks: RTMP, RTSP and SRT."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from crsr_video.errors import OutputError
from crsr_video.io.live_writer import LiveWriter
from tests.support.live_output import Clip, clip, endless, pump, read
from tests.support.receiver import Receiver, free_port, pyav_receiver, wait_for_listener
from tests.support.writing import open_writer


@lru_cache
def program_speaks(protocol: str) -> bool:
    if shutil.which("ffmpeg") is None:
        return False
    known = subprocess.run(
        ["ffmpeg", "-hide_banner", "-protocols"], capture_output=True, text=True, check=False
    )
    return protocol in known.stdout.split()


needs_srt = pytest.mark.skipif(
    not program_speaks("srt"), reason="needs the ffmpeg program with libsrt"
)


def ends_and_begins_again(
    tmp_path: Path, address: str, start: Callable[[], Receiver], is_up: Callable[[Receiver], object]
) -> list[str]:
    """Stream to a receiver, kill it, start another, and return what that one has seen."""
    events: list[str] = []
    with clip(tmp_path, frames=50, audio=1) as source:
        frames = endless(source)
        settings = {"address": address}
        with (
            start() as first,
            open_writer(source=source.source, **settings, on_event=events.append) as writer,
        ):
            pump(writer, frames, lambda: is_up(first))
            first.kill()
            pump(writer, frames, lambda: writer.dropped)
            with start() as second:
                pump(writer, frames, lambda: is_up(second))
                for _ in range(25):
                    writer.push(next(frames))
                    time.sleep(0.02)
                writer.close()
                lines = second.rest()
    assert any("connected again" in event for event in events)
    return lines


def arrives(receiver: Receiver) -> bool:
    return receiver.line(0.01).startswith("frame")


def first_frames(receiver: Receiver, writer: LiveWriter, source: Clip) -> list[str]:
    """Return the lines of a receiver about its first ten frames."""
    lines: list[str] = []

    def enough() -> bool:
        line = receiver.line(0.01)
        if line.startswith("frame"):
            lines.append(line)
        return len(lines) == 10

    pump(writer, endless(source), enough)
    return lines


def test_rtmp_delivers_frames(tmp_path: Path) -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/key"
    with (
        pyav_receiver(address, "flv", {"listen": "1"}) as receiver,
        clip(tmp_path, frames=50, pix_fmt="yuv422p10le", codec="ffv1", size=(65, 48)) as source,
        open_writer(address, source.source) as writer,
    ):
        lines = first_frames(receiver, writer, source)
    assert all(line.endswith("64x48 yuv420p") for line in lines)
    assert any("yuv422p10le" in notice for notice in writer.notices)


@pytest.mark.long
def test_rtmp_connects_again(tmp_path: Path) -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/key"
    lines = ends_and_begins_again(
        tmp_path, address, lambda: pyav_receiver(address, "flv", {"listen": "1"}), arrives
    )
    assert len([line for line in lines if line.startswith("frame")]) > 15


RTSP = {"rtsp_flags": "listen", "listen_timeout": "20"}


def test_rtsp_delivers_frames(tmp_path: Path) -> None:
    address = f"rtsp://127.0.0.1:{free_port()}/stream"
    with (
        pyav_receiver(address, "rtsp", RTSP) as receiver,
        clip(tmp_path, frames=50, pix_fmt="yuv444p") as source,
        open_writer(address, source.source) as writer,
    ):
        lines = first_frames(receiver, writer, source)
    assert all(line.endswith("64x48 yuv420p") for line in lines)


@pytest.mark.long
def test_rtsp_connects_again(tmp_path: Path) -> None:
    address = f"rtsp://127.0.0.1:{free_port()}/stream"
    lines = ends_and_begins_again(
        tmp_path, address, lambda: pyav_receiver(address, "rtsp", RTSP), arrives
    )
    assert len([line for line in lines if line.startswith("frame")]) > 10


def srt_listener(port: int, out: Path) -> Receiver:
    """Start an ffmpeg program that stores what it receives."""
    options = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    source = ["-f", "data", "-i", f"srt://127.0.0.1:{port}?mode=listener", "-map", "0"]
    copy = ["-c", "copy", "-flush_packets", "1", "-f", "data", str(out)]
    receiver = Receiver(["ffmpeg", *options, *source, *copy])
    wait_for_listener(port, "udp")
    return receiver


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@needs_srt
def test_srt_delivers_frames(tmp_path: Path) -> None:
    port, out = free_port(socket.SOCK_DGRAM), tmp_path / "received.ts"
    with (
        srt_listener(port, out),
        clip(tmp_path, frames=50, audio=1) as source,
        open_writer(f"srt://127.0.0.1:{port}", source.source) as writer,
    ):
        pump(writer, endless(source), lambda: size(out) > 40_000)
    seen = read(str(out), format="mpegts")
    assert len(seen.planes) > 10 and seen.keys[0]


@needs_srt
@pytest.mark.long
def test_srt_connects_again(tmp_path: Path) -> None:
    """SRT notices after five seconds that a receiver has gone."""
    port, outs = free_port(socket.SOCK_DGRAM), iter((tmp_path / "a.ts", tmp_path / "b.ts"))
    now = [tmp_path]

    def listen() -> Receiver:
        now[0] = next(outs)
        return srt_listener(port, now[0])

    address = f"srt://127.0.0.1:{port}"
    ends_and_begins_again(tmp_path, address, listen, lambda _: size(now[0]) > 40_000)
    seen = read(str(now[0]), format="mpegts")
    assert len(seen.planes) > 10 and seen.keys[0]


@needs_srt
def test_srt_without_a_receiver_is_an_error(tmp_path: Path) -> None:
    with clip(tmp_path, frames=2) as source:
        before = time.monotonic()
        settings = {"address": f"srt://127.0.0.1:{free_port()}", "connect_seconds": 1}
        with pytest.raises(OutputError, match=r"srt://127.0.0.1:\d+"):
            open_writer(source=source.source, **settings)
        assert time.monotonic() - before < 8
