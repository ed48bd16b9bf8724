"""Live results on the network: loopback connections to real receivers that come and go."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from crsr_video.errors import OutputError
from crsr_video.io.destinations.address import without_secrets
from crsr_video.io.live_writer import LiveWriter
from crsr_video.types import Frame
from tests.support.live_output import Clip, clip, read
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


def endless(source: Clip) -> Iterator[Frame]:
    """Yield the frames of a clip again and again, with growing times."""
    step = source.frames[1].pts - source.frames[0].pts
    count = 0
    while True:
        for frame in source.frames:
            yield replace(frame, pts=count * step)
            count += 1


def pump(
    writer: LiveWriter, frames: Iterator[Frame], until: Callable[[], object], seconds: float = 25
) -> int:
    """Push 50 frames per second until a condition holds, and return their number."""
    end, count = time.monotonic() + seconds, 0
    while not until():
        assert time.monotonic() < end, "the condition never held"
        writer.push(next(frames))
        count += 1
        time.sleep(0.02)
    return count


def test_udp_datagrams_hold_whole_packets(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        peer.settimeout(2)
        address = f"udp://127.0.0.1:{peer.getsockname()[1]}?pkt_size=1316"
        with clip(tmp_path, frames=30, audio=1, pix_fmt="yuv422p") as source:
            parts = []
            with open_writer(address, source.source) as writer:
                for item in source.items:
                    push = writer.push if isinstance(item, Frame) else writer.push_packet
                    push(item)
            peer.setblocking(False)
            while True:
                try:
                    parts.append(peer.recv(65536))
                except BlockingIOError:
                    break
            count = len(source.sound)
    assert all(len(part) <= 1316 and len(part) % 188 == 0 for part in parts)
    seen = read(b"".join(parts))
    assert len(seen.planes) == 30 and seen.keys[0] and seen.pixel_format == "yuv420p"
    assert len(seen.sound) == count - 1
    assert any("yuv422p" in notice and "yuv420p" in notice for notice in writer.notices)


def test_udp_needs_no_receiver(tmp_path: Path) -> None:
    address = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with clip(tmp_path, frames=5) as source:
        with open_writer(address, source.source) as writer:
            for frame in source.frames:
                writer.push(frame)
                time.sleep(0.01)
        assert writer.dropped == 0


class TcpReceiver:
    """Accepts connections, one at a time, and keeps the data of each."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(20)
        self.port = self.server.getsockname()[1]
        self.data: list[bytearray] = []

    def take(self, least: int) -> None:
        """Accept a connection, read this many bytes, and close it."""
        connected, _ = self.server.accept()
        self.data.append(bytearray())
        with connected:
            connected.settimeout(20)
            while len(self.data[-1]) < least:
                part = connected.recv(65536)
                if not part:
                    break
                self.data[-1] += part


def test_a_receiver_that_hangs_up_is_connected_to_again(tmp_path: Path) -> None:
    peer, events = TcpReceiver(), list[str]()
    threading.Thread(target=lambda: (peer.take(20_000), peer.take(1 << 30)), daemon=True).start()
    with clip(tmp_path, frames=60, size=(320, 240)) as source:
        frames = endless(source)
        settings = {"address": f"tcp://127.0.0.1:{peer.port}"}
        with open_writer(source=source.source, **settings, on_event=events.append) as writer:
            pump(writer, frames, lambda: len(peer.data) > 1)
            assert writer.dropped > 5
            pump(writer, frames, lambda: len(peer.data[1]) > 20_000)
            assert writer.state == "idle"
    peer.server.close()
    assert any("connecting again" in event for event in events)
    assert any(re.search(r"connected again after \d+ dropped frames?", event) for event in events)
    seen = read(bytes(peer.data[1]))
    assert seen.keys[0] and len(seen.planes) >= 3
    assert float(seen.times[0]) > 0.5


def test_without_reconnection_a_broken_connection_is_an_error(tmp_path: Path) -> None:
    peer = TcpReceiver()
    threading.Thread(target=lambda: peer.take(1000), daemon=True).start()
    with clip(tmp_path, frames=60) as source:
        settings = {"address": f"tcp://127.0.0.1:{peer.port}", "reconnect": False}
        with (
            open_writer(source=source.source, **settings) as writer,
            pytest.raises(OutputError, match="cannot be written"),
        ):
            pump(writer, endless(source), lambda: False)
    peer.server.close()


def test_waiting_for_a_receiver_can_be_cancelled(tmp_path: Path) -> None:
    peer = TcpReceiver()
    thread = threading.Thread(target=lambda: (peer.take(1000), peer.server.close()))
    thread.start()
    with clip(tmp_path, frames=60) as source:
        writer = open_writer(f"tcp://127.0.0.1:{peer.port}", source.source)
        pump(writer, endless(source), lambda: writer.dropped > 2)
        assert writer.state in ("waiting to reconnect", "connecting")
        before = time.monotonic()
        with pytest.raises(OutputError, match="did not come back"):
            writer.close()
        assert time.monotonic() - before < 2
    thread.join(5)


def test_a_receiver_that_stops_reading_counts_as_gone(tmp_path: Path) -> None:
    events: list[str] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        clip(tmp_path, frames=60, size=(640, 480), codec="rawvideo", name="a.nut") as source,
    ):
        settings = {
            "address": f"tcp://127.0.0.1:{server.getsockname()[1]}",
            "connect_seconds": 0.5,
            "bitrate": 100_000_000,
            "options": {"nal-hrd": "cbr", "x264-params": "filler=1"},
        }
        writer = open_writer(source=source.source, **settings, on_event=events.append)
        frames = endless(source)
        end = time.monotonic() + 20
        while not writer.dropped and time.monotonic() < end:
            writer.push(next(frames))
        writer.abort()
    assert writer.dropped and any("the receiver stopped reading" in event for event in events)


@pytest.mark.parametrize("scheme", ["tcp", "rtmp", "rtsp", "whip+http"])
def test_a_refused_connection_is_an_error_without_secrets(tmp_path: Path, scheme: str) -> None:
    port = free_port()
    with clip(tmp_path, frames=2) as source:
        before = time.monotonic()
        settings = {"address": f"{scheme}://user:secret@127.0.0.1:{port}/live/key"}
        message = rf"{re.escape(scheme)}://127.0.0.1:{port}.*refused"
        with pytest.raises(OutputError, match=message) as raised:
            open_writer(source=source.source, **settings)
        assert time.monotonic() - before < 8
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)


class RefusingHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.offers.append((self.path, self.headers["Authorization"], body))
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_whip_server_that_refuses_the_offer_is_an_error_without_secrets(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    server = HTTPServer(("127.0.0.1", 0), RefusingHandler)
    with server, clip(tmp_path, frames=2) as source:
        server.offers = []
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"whip+http://secret@127.0.0.1:{server.server_port}/secret?dst=secret"
        with pytest.raises(OutputError) as raised:
            open_writer(address, source.source)
        thread.join(5)
    assert str(raised.value) == (
        f"whip+http://127.0.0.1:{server.server_port}/...: cannot be reached: "
        "Server returned 403 Forbidden (access denied)"
    )
    [(path, authorization, offer)] = server.offers
    assert (path, authorization) == ("/secret?dst=secret", "Bearer secret")
    assert offer.startswith("v=0") and "H264/90000" in offer


def test_whip_without_its_extra_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with (
        clip(tmp_path, frames=2) as source,
        pytest.raises(
            OutputError, match=r'WHIP needs cryptography: pip install "crsr-video\[whip\]"'
        ),
    ):
        open_writer("whip+http://127.0.0.1:9/x", source.feed)


@pytest.mark.parametrize("scheme", ["udp", "tcp", "rtmp", "rtsp"])
def test_an_unknown_host_is_an_error(tmp_path: Path, scheme: str) -> None:
    with clip(tmp_path, frames=2) as source:
        settings = {"address": f"{scheme}://nohost.invalid:99/a/b", "connect_seconds": 5}
        with pytest.raises(OutputError, match=r"no such host: nohost\.invalid|no answer within"):
            open_writer(source=source.source, **settings)


def test_a_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, clip(tmp_path, frames=2) as source:
        port = server.getsockname()[1]
        before = time.monotonic()
        settings = {"address": f"rtmp://127.0.0.1:{port}/live/key", "connect_seconds": 1}
        with pytest.raises(OutputError, match="no answer within 1 s"):
            open_writer(source=source.source, **settings)
        assert time.monotonic() - before < 4


def test_secrets_are_not_shown() -> None:
    assert without_secrets("rtmp://a.example/live2/abcd-efgh") == "rtmp://a.example/live2/..."
    assert without_secrets("srt://u:p@b.example:9?passphrase=x") == "srt://b.example:9"
    assert without_secrets("whip+https://b.example/abc/publish") == "whip+https://b.example/..."
    assert without_secrets("rtsp://u:p@c.example/stream") == "rtsp://c.example/stream"


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


def test_no_child_process_and_no_thread_is_left(tmp_path: Path) -> None:
    """This holds after a failed connection, and after an abort."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text() if children.exists() else ""
    with socket.create_server(("127.0.0.1", 0)) as server, clip(tmp_path, frames=2) as source:
        address = f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/key"
        with pytest.raises(OutputError):
            open_writer(address, source.source, connect_seconds=0.5)
    peer = TcpReceiver()
    threads = set(threading.enumerate())
    accepting = threading.Thread(target=lambda: peer.take(1000))
    accepting.start()
    with clip(tmp_path, "b.mkv", frames=60) as source:
        writer = open_writer(f"tcp://127.0.0.1:{peer.port}", source.source)
        pump(writer, endless(source), lambda: writer.dropped)
        writer.abort()
    accepting.join(5)
    peer.server.close()
    assert set(threading.enumerate()) <= threads
    assert (children.read_text() if children.exists() else "") == before
