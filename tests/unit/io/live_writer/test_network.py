"""Live results on the network: loopback connections to real receivers that come and go."""

import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from crsr_video.errors import OutputError
from crsr_video.io.destinations.address import without_secrets
from crsr_video.types import Frame
from tests.support.live_output import clip, endless, pump, read
from tests.support.receiver import free_port
from tests.support.writing import open_writer


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
    if scheme.startswith("whip"):
        pytest.importorskip("cryptography")
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
        open_writer("whip+http://127.0.0.1:9/x", source.source)


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
