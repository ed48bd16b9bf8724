"""Network sources on loopback: silence, reconnection, timeouts and interruption."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crsr_video.config import ReadSettings
from crsr_video.errors import InputError
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.source import Source
from crsr_video.io.sources.relay import find_ffmpeg
from crsr_video.types import Frame
from tests.support.sending import Program, Sender, encoded, free_port, increasing, opened
from tests.support.signals import interrupted
from tests.support.video import make_video

LOCAL = "127.0.0.1"


def udp() -> str:
    return f"udp://{LOCAL}:{free_port(socket.SOCK_DGRAM)}"


# Silence and coming again ------------------------------------------------------------------------


def test_udp_is_connected_to_again_after_a_silence_and_may_change_size() -> None:
    address = udp()
    with (
        Sender(f"{address}?pkt_size=1316", "mpegts", frames=20, audio=True, wait=0.3) as first,
        opened(address, stall_seconds=0.5) as (incoming, taken),
    ):
        assert incoming.is_live
        taken.add(incoming, 10)
        seen = time.monotonic()
        first.join(5)
        with Sender(f"{address}?pkt_size=1316", "mpegts", size=(96, 80), wait=1.2, audio=True):
            for arrival in incoming:
                taken.items.append(arrival.item)
                if isinstance(arrival.item, Frame) and arrival.item.width == 96:
                    break
            passed = time.monotonic() - seen
        statistics = incoming.counts
    (source,) = taken.sources
    assert (source.info.width, source.info.height) == (96, 80)
    assert taken.items[taken.items.index(source) + 1] is not None
    assert increasing([f.pts for f in taken.frames])
    assert float(taken.times[-1] - taken.times[9]) == pytest.approx(passed, abs=0.5)
    assert (statistics.stalls, statistics.reconnections) == (1, 1)
    assert any("sent nothing for 0.5 s; connecting again" in line for line in taken.events)


def test_audio_stays_in_sync_over_a_reconnection() -> None:
    address = udp()
    with opened_between(address, stall_seconds=0.4) as (incoming, taken, again):
        again()
        taken.add(incoming, 20)
    source = taken.sources[-1]
    place = taken.items.index(source)
    video = [float(i.pts * i.time_base) for i in taken.items[place:] if isinstance(i, Frame)]
    sound = [
        float(i.packet.pts * i.packet.time_base)
        for i in taken.items[place:]
        if not isinstance(i, Frame | Source)
    ]
    assert len(sound) > 5
    assert abs(sound[-1] - video[-1]) < 0.3


@contextmanager
def opened_between(address: str, **settings: Any) -> Iterator[Any]:
    """Open a UDP source whose sender ends, and starts again on request."""
    with (
        Sender(f"{address}?pkt_size=1316", "mpegts", frames=15, audio=True, wait=0.3),
        opened(address, **settings) as (incoming, taken),
    ):
        taken.add(incoming, 10)
        senders: list[Sender] = []

        def again() -> None:
            senders.append(Sender(f"{address}?pkt_size=1316", "mpegts", wait=0.8, audio=True))

        try:
            yield incoming, taken, again
        finally:
            for sender in senders:
                sender.end()


def test_a_silence_ends_a_source_that_may_not_reconnect() -> None:
    address = udp()
    with (
        Sender(f"{address}?pkt_size=1316", "mpegts", frames=10, wait=0.2),
        opened(address, stall_seconds=0.3, reconnect=False) as (incoming, taken),
        pytest.raises(InputError, match=r"sent nothing for 0\.3 s"),
    ):
        taken.add(incoming)


def test_rtmp_is_connected_to_again_after_it_broke_off() -> None:
    """The source is a server. Its sender is killed, and returns with another size."""
    address = f"rtmp://{LOCAL}:{free_port()}/live/a"
    with (
        Program(address, "flv", wait=0.2) as first,
        opened(address, options={"listen": "1"}, stall_seconds=2) as (incoming, taken),
    ):
        taken.add(incoming, 10)
        first.end()
        with Program(address, "flv", size=(96, 80), wait=0.7):
            taken.add(incoming, 45)
        statistics = incoming.counts
    assert statistics.reconnections >= 1
    assert [f.width for f in taken.frames][-5:] == [96] * 5
    assert taken.sources[-1].info.width == 96
    assert increasing([f.pts for f in taken.frames])
    assert any("broke off" in line for line in taken.events)


def test_rtsp_is_read() -> None:
    address = f"rtsp://{LOCAL}:{free_port()}/a"
    sent = {"rtsp_transport": "tcp"}
    with (
        Program(address, "rtsp", wait=0.3, options=sent),
        opened(address, options={"rtsp_flags": "listen"}, reconnect=False) as (source, taken),
    ):
        assert source.source.info.container == "rtsp"
        taken.add(source, 12)
    assert increasing(taken.times)


def test_a_killed_rtsp_sender_ends_a_source_that_may_not_reconnect() -> None:
    address = f"rtsp://{LOCAL}:{free_port()}/a"
    sent = {"rtsp_transport": "tcp"}
    given = {"options": {"rtsp_flags": "listen"}, "reconnect": False}
    with (
        Program(address, "rtsp", wait=0.3, options=sent) as first,
        opened(address, **given) as (source, taken),
    ):
        taken.add(source, 8)
        first.end()
        taken.add(source)
    assert len(taken.frames) >= 8
    assert increasing(taken.times)


@pytest.mark.skipif(find_ffmpeg("srt", "input") is None, reason="needs an ffmpeg program with SRT")
def test_srt_is_received_by_a_program(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.ts", frames=40, gop=5)
    address = f"srt://{LOCAL}:{free_port(socket.SOCK_DGRAM)}"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-i", str(clip), "-c", "copy"]
    command += ["-f", "mpegts", f"{address}?mode=listener"]
    with subprocess.Popen(command) as sender:
        try:
            with opened(address, connect_seconds=15, reconnect=False) as (incoming, taken):
                taken.add(incoming)
            assert sender.wait(5) == 0
        finally:
            sender.kill()
    assert len(taken.frames) >= 20
    assert incoming.counts.reconnections == 0


def test_srt_needs_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(InputError, match="SRT needs an ffmpeg program"):
        LiveReader("srt://127.0.0.1:9")


@pytest.mark.skipif(find_ffmpeg("srt", "input") is None, reason="needs an ffmpeg program with SRT")
def test_an_srt_source_without_a_sender_times_out() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with pytest.raises(InputError, match=r"cannot be reached|sent no picture within"):
        LiveReader(f"srt://{LOCAL}:{port}", ReadSettings(connect_seconds=1.5))


def test_a_tcp_connection_that_is_closed_in_order_ends_the_source() -> None:
    data = b"".join(encoded("mpegts", frames=15))
    with socket.create_server((LOCAL, 0)) as server:
        answer = threading.Thread(target=answer_once, args=(server, data), daemon=True)
        answer.start()
        with opened(f"tcp://{LOCAL}:{server.getsockname()[1]}") as (incoming, taken):
            taken.add(incoming)
        answer.join(5)
    assert len(taken.frames) == 15
    assert incoming.counts.reconnections == 0


def answer_once(server: socket.socket, data: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(data)


# HLS -----------------------------------------------------------------------------------------


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOCAL, 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://{LOCAL}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


def playlist(folder: Path, *, ended: bool) -> Path:
    """Write a playlist of three pieces of 0.4 s each."""
    path = make_video(
        folder / "a.m3u8",
        frames=30,
        gop=10,
        container="hls",
        container_options={"hls_time": "0.4", "hls_list_size": "0"},
    )
    if not ended:
        path.write_text(path.read_text().replace("#EXT-X-ENDLIST\n", ""))
    return path


def test_hls_is_read_at_its_own_pace_to_its_end(tmp_path: Path) -> None:
    playlist(tmp_path, ended=True)
    with served(tmp_path) as url, opened(f"{url}/a.m3u8") as (incoming, taken):
        taken.add(incoming)
    assert len(taken.frames) == 30
    assert 0.9 < taken.at[-1] - taken.at[0] < 4
    assert incoming.counts.reconnections == 0


def test_a_playlist_from_the_network_opens_no_local_file(tmp_path: Path) -> None:
    path, secret = playlist(tmp_path, ended=True), tmp_path / "secret"
    secret.mkdir()
    (tmp_path / "a0.ts").rename(secret / "a0.ts")
    path.write_text(path.read_text().replace("a0.ts", f"file:{secret / 'a0.ts'}"))
    with served(tmp_path) as url, opened(f"{url}/a.m3u8") as (incoming, taken):
        taken.add(incoming)
    assert len(taken.frames) == 20


def test_interrupt_ends_the_wait_for_a_playlist_to_grow(tmp_path: Path) -> None:
    playlist(tmp_path, ended=False)
    with served(tmp_path) as url, opened(f"{url}/a.m3u8") as (incoming, taken):
        taken.add(incoming, 28)
        assert stopped_within(incoming) < 2


# Leaving -------------------------------------------------------------------------------------


def stopped_within(incoming: LiveReader, wait: float = 0.3) -> float:
    """Return the seconds from `interrupt` to the end of the iteration."""
    at: list[float] = []

    def stop() -> None:
        at.append(time.monotonic())
        incoming.interrupt()

    timer = threading.Timer(wait, stop)
    timer.start()
    for _ in incoming:
        pass
    ended = time.monotonic()
    timer.join()
    return ended - at[0]


def test_interrupt_ends_a_silent_connection_and_the_wait_to_reconnect() -> None:
    address = udp()
    with (
        Sender(f"{address}?pkt_size=1316", "mpegts", frames=10, wait=0.2),
        opened(address, stall_seconds=30) as (incoming, taken),
    ):
        taken.add(incoming, 5)
        assert stopped_within(incoming, 0.8) < 2
    address = udp()
    with (
        Sender(f"{address}?pkt_size=1316", "mpegts", frames=10, wait=0.2),
        opened(address, stall_seconds=0.2) as (incoming, taken),
    ):
        taken.add(incoming, 5)
        assert stopped_within(incoming, 1.3) < 2
    assert incoming.counts.stalls == 1


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen on a port, accept connections, and send nothing."""
    with socket.create_server((LOCAL, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "http", "tcp"])
def test_a_silent_server_times_out(scheme: str) -> None:
    with silent_server() as port:
        began = time.monotonic()
        with pytest.raises(InputError, match=r"sent no picture within 0\.4 s"):
            LiveReader(f"{scheme}://{LOCAL}:{port}/a", ReadSettings(connect_seconds=0.4))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "http", "tcp"])
def test_a_refused_connection_is_reported_at_once(scheme: str) -> None:
    address = f"{scheme}://{LOCAL}:{free_port()}/a"
    with pytest.raises(InputError, match="cannot be reached: Connection refused") as caught:
        LiveReader(address)
    assert str(caught.value).startswith(address)


def test_pages_without_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>Hello.</p>" * 100)
    with served(tmp_path) as url:
        with pytest.raises(InputError, match="404"):
            LiveReader(f"{url}/a.m3u8")
        with pytest.raises(InputError, match="sends nothing that can be read as video"):
            LiveReader(f"{url}/page.html")


def test_interrupt_ends_an_attempt_to_reconnect() -> None:
    """FFmpeg blocks: the server accepts the second connection, but sends nothing."""
    data = b"".join(encoded("mpegts", frames=15))
    server = socket.create_server((LOCAL, 0))
    port = server.getsockname()[1]

    def answer() -> None:
        connection, _ = server.accept()
        connection.sendall(data)
        linger = b"\x01\0\0\0\0\0\0\0"
        time.sleep(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()  # With a reset.

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with server, opened(f"tcp://{LOCAL}:{port}") as (incoming, taken):
        taken.add(incoming, 10)
        assert stopped_within(incoming, 2.0) < 2
        thread.join(5)
    assert any("broke off" in line for line in taken.events)


def test_a_signal_is_not_lost_inside_ffmpeg() -> None:
    with silent_server() as port, pytest.raises(KeyboardInterrupt), interrupted(0.3):
        LiveReader(f"rtmp://{LOCAL}:{port}/a", ReadSettings(connect_seconds=15))
