"""Clients that send wrong messages, are late, or leave."""

import contextlib
import os
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from crsr_video.errors import ProtocolError, ServerError, VersionError
from crsr_video.server import (
    Client,
    EffectSettings,
    protocol,
    service,
    shared_models,
    socket_path,
    transport,
)
from crsr_video.server.protocol import (
    Buffer,
    Enhance,
    FrameDone,
    Hello,
    MessageKind,
    Refusal,
    RefusalCode,
    TextAnswer,
)
from crsr_video.server.transport import ServerSocket
from tests.support.server import Raw, portrait, serving
from tests.support.waiting import FakeClock, wait_until


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def still_well(server):
    with Client(path=server.path, command=()) as client:
        assert client.process(portrait()).enhanced == 1


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(16),
        protocol.pack(MessageKind.ENHANCE, 1, Enhance().pack()),
        protocol.pack(MessageKind.HELLO, 1, b"\xff\xff"),
        protocol.HEADER.pack(b"CRSR", 1, 1, 1, 1 << 20),
        protocol.HEADER.pack(b"CRSR", 1, 77, 1, 0),
    ],
    ids=["http", "zeros", "no greeting", "bad text", "too long", "unknown"],
)
def test_invalid_bytes_close_only_that_connection(shared, noise):
    with Client(path=shared.path, command=()) as other, Raw(shared.path, greeted=False) as raw:
        raw.link.sendall(noise)
        refusal = raw.heard()
        assert isinstance(refusal, Refusal)
        assert refusal.code == RefusalCode.PROTOCOL
        assert raw.heard() is None
        assert other.process(portrait()).enhanced == 1


@pytest.mark.parametrize("request_", [Hello("again"), Enhance()], ids=["greeting", "no memory"])
def test_a_request_out_of_turn_ends_the_conversation(shared, request_):
    with Raw(shared.path) as raw:
        refusal = raw.ask(request_)
        assert isinstance(refusal, Refusal)
        assert refusal.code == RefusalCode.PROTOCOL
        assert raw.heard() is None


def test_a_client_of_another_version_is_refused(shared):
    with Raw(shared.path, greeted=False) as raw:
        raw.link.sendall(protocol.HEADER.pack(b"CRSR", 2, 1, 5, 0))
        refusal = raw.heard()
        assert isinstance(refusal, Refusal)
        assert refusal.code == RefusalCode.VERSION
        assert "version 2" in refusal.message
        assert raw.heard() is None


def refused_memory(raw, descriptor, shape=None):
    found = raw.ask(shape or Buffer(8, 8), (descriptor,))
    os.close(descriptor)
    assert isinstance(found, Refusal)
    assert found.code == RefusalCode.BUFFER
    return found.message


def test_memory_that_could_kill_the_server_is_refused(shared, tmp_path):
    with Raw(shared.path) as raw:
        plain = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.ftruncate(plain, 256)
        assert "sealed" in refused_memory(raw, plain)
        _, small = transport.SharedFrame.create(Buffer(8, 7))
        assert "224 bytes" in refused_memory(raw, small)
        file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, 256)
        assert "memfd_create" in refused_memory(raw, file)
        reader, writer = os.pipe()
        os.close(writer)
        assert "memfd_create" in refused_memory(raw, reader)
        frame, good = transport.SharedFrame.create(Buffer(8, 8))
        assert raw.ask(Buffer(8, 8), (good,)) == TextAnswer(MessageKind.OK, "")
        os.close(good)
        raw.ask(EffectSettings(model="identity"))
        assert isinstance(raw.ask(Enhance()), FrameDone)
        frame.close()


def test_the_memory_for_frames_is_limited(folder, monkeypatch):
    monkeypatch.setattr(shared_models, "MAX_FRAME_BYTES", 1000)
    with serving(folder / "s") as server, Raw(server.path) as raw:
        for wanted, fine in (((8, 8), True), ((16, 16), False), ((15, 16), True)):
            frame, descriptor = transport.SharedFrame.create(Buffer(*wanted))
            assert isinstance(raw.ask(Buffer(*wanted), (descriptor,)), TextAnswer) == fine
            os.close(descriptor)
            frame.close()


@pytest.mark.parametrize("count", [1, 2, 40])
def test_unexpected_descriptors_are_closed(shared, count):
    still_well(shared)
    before = descriptors()
    with Raw(shared.path) as raw:
        reader, writer = os.pipe()
        raw.send(EffectSettings(), descriptors=(reader,) * count)
        assert isinstance(raw.heard(), Refusal)
        assert raw.heard() is None
        os.close(reader)
        os.close(writer)
    wait_until(lambda: descriptors() <= before)


def test_a_client_that_stops_within_a_message_is_disconnected(folder, monkeypatch):
    monkeypatch.setattr(service, "MESSAGE_SECONDS", 0.2)
    with serving(folder / "s") as server, Raw(server.path) as raw:
        raw.link.sendall(b"CRSR\x01")
        assert raw.heard() is None
        with Raw(server.path, greeted=False) as silent:
            assert silent.heard() is None


def test_a_client_that_never_reads_blocks_no_other_client(shared):
    """Its answers are small, and wait in the socket until it is dropped."""
    with Raw(shared.path) as raw:
        raw.link.setblocking(False)
        with contextlib.suppress(OSError):
            for _ in range(20000):
                raw.send(EffectSettings(model="identity"))
        still_well(shared)


def test_one_client_too_many_is_refused(folder, monkeypatch):
    monkeypatch.setattr(service, "MAX_CLIENTS", 2)
    with serving(folder / "s") as server, Raw(server.path) as one, Raw(server.path):
        with Raw(server.path, greeted=False) as third:
            refusal = third.heard()
            assert isinstance(refusal, Refusal)
            assert refusal.code == RefusalCode.BUSY
        assert one.ask(EffectSettings(model="identity")) == TextAnswer(MessageKind.OK, "")


def conversation(rng):
    """Return the messages of a valid conversation, and whether each has a descriptor."""
    parts = [
        (Hello("fuzz"), False),
        (Buffer(16, 12), True),
        (EffectSettings(model="identity", persons="1,2 3=off"), False),
        (Enhance(), False),
        (EffectSettings(strength=0.3, model="identity", persons="1,2 3=off"), False),
        (Enhance(), False),
    ]
    if rng.random() < 0.3:
        rng.shuffle(parts)
    return [
        (protocol.pack(MessageKind(p.kind), i, p.pack()), fd) for i, (p, fd) in enumerate(parts)
    ]


def mutated(rng, message):
    data = bytearray(message)
    for _ in range(int(rng.integers(0, 3))):
        at = int(rng.integers(0, len(data)))
        what = rng.integers(0, 5)
        if what == 0:
            data[at] = int(rng.integers(0, 256))
        elif what == 1:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif what == 2:
            data[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 2**31, 2**32 - 1, 40])))
        elif what == 3:
            del data[at:]
            data = data or bytearray(1)
        else:
            data[at:at] = rng.bytes(int(rng.integers(1, 20)))
    return bytes(data)


def attack(path, rng, descriptor):
    """Send one mutated conversation, and read answers until the server closes the connection."""
    with Raw(path, greeted=False) as raw:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for message, has_descriptor in conversation(rng):
                data = mutated(rng, message) if rng.random() < 0.25 else message
                if has_descriptor != (rng.random() < 0.03):
                    socket.send_fds(raw.link, [data], [descriptor])
                else:
                    raw.link.sendall(data)
            raw.link.shutdown(socket.SHUT_WR)
        for _ in range(10):
            if raw.heard() is None:
                return
        raise AssertionError("more answers than questions")


def storm(server, seed, count):
    rng = np.random.default_rng(seed)
    frame, descriptor = transport.SharedFrame.create(Buffer(16, 12))
    still_well(server)
    before, threads = descriptors(), threading.active_count()
    for _ in range(count):
        attack(server.path, rng, descriptor)
    wait_until(lambda: threading.active_count() <= threads and descriptors() <= before)
    os.close(descriptor)
    frame.close()
    still_well(server)


def test_mutated_conversations_do_not_harm_the_server(shared):
    storm(shared, 1, 300)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutated_conversations_do_not_harm_the_server(shared, seed):
    storm(shared, seed, 3000)


def test_an_idle_server_ends_and_removes_its_socket(folder, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(service, "time", clock)
    with serving(folder / "s", idle=60) as server:
        with Client(EffectSettings(model="identity"), path=server.path, command=()) as client:
            clock.advance(100)
            time.sleep(0.7)  # The server looks twice a second; a client keeps it.
            assert client.server_version
            assert not server.ended
        wait_until(lambda: clock.advance(100) or server.ended)
    assert not (folder / "s").exists()
    with pytest.raises(ServerError, match="no server is there"):
        Client(path=folder / "s", command=())


def test_a_second_server_is_refused_and_a_dead_one_replaced(folder):
    path = folder / "s"
    left = socket.socket(socket.AF_UNIX)  # as one that was killed leaves it
    left.bind(str(path))
    left.close()
    with serving(path) as server:
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ServerError, match="another server is there"):
            ServerSocket(path)
        with Raw(server.path):
            pass
    assert not path.exists()


def test_a_file_that_is_not_a_socket_is_not_removed(folder):
    path = folder / "s"
    path.write_text("somebody's")
    with pytest.raises(ServerError, match="exists already, and is not a socket"):
        ServerSocket(path)
    assert path.read_text() == "somebody's"


def test_unsafe_places_for_the_socket_are_refused(folder, monkeypatch):
    with pytest.raises(ServerError, match="too long for a socket"):
        socket_path(folder / ("x" * 100))
    folder.chmod(0o755)
    with pytest.raises(ServerError, match="mode 700"):
        ServerSocket(folder / "s")
    folder.chmod(0o700)
    (folder / "s.lock").symlink_to(folder / "elsewhere")
    with pytest.raises(ServerError, match="cannot be used"):
        ServerSocket(folder / "s")
    assert not (folder / "elsewhere").exists()
    monkeypatch.delenv("CRSR_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert socket_path() == folder / "crsr-video/server.sock"
    assert (folder / "crsr-video").stat().st_mode & 0o777 == 0o700
    folder.chmod(0o750)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert socket_path() == folder / f"crsr-video-{os.getuid()}/server.sock"


@contextlib.contextmanager
def fake(path, reply):
    """A server that answers every message with the result of `reply`, or not at all."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(4)
    listener.settimeout(20)

    def run():
        with contextlib.suppress(OSError):
            while True:
                link, _ = listener.accept()
                with link:
                    link.settimeout(20)
                    while got := transport.MessageConnection(link, 5).receive(20):
                        for found in got[2]:
                            os.close(found)
                        data = reply(got[0])
                        if data is not None:
                            link.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (lambda _: None, ServerError, "does not answer"),
        (lambda _: b"x" * 16, ProtocolError, "not the protocol"),
        (lambda _: protocol.HEADER.pack(b"CRSR", 9, 128, 1, 0), VersionError, "version 9"),
        (
            lambda h: protocol.pack(MessageKind.DONE, h.sequence, FrameDone(True, 1, 1).pack()),
            ServerError,
            "unexpected",
        ),
        (
            lambda _: protocol.pack(MessageKind.WELCOME, 99, protocol.pack_text("1")),
            ServerError,
            "another request",
        ),
        (lambda _: protocol.pack(MessageKind.WELCOME, 1, b"\0"), ProtocolError, "too short"),
        (
            lambda h: protocol.pack(
                MessageKind.ERROR, h.sequence, Refusal(RefusalCode.VERSION, "too old").pack()
            ),
            VersionError,
            "too old",
        ),
    ],
    ids=["silent", "noise", "version", "wrong", "sequence", "short", "refused"],
)
def test_an_unexpected_answer_is_an_error_of_one_line(folder, reply, error, told):
    before = descriptors()
    with fake(folder / "s", reply), pytest.raises(error, match=told) as caught:
        Client(path=folder / "s", command=(), start_timeout=0.3, timeout=0.3)
    assert "\n" not in str(caught.value)
    wait_until(lambda: descriptors() <= before)


def test_a_server_that_has_gone_is_an_error(folder):
    with serving(folder / "s") as server:
        client = Client(EffectSettings(model="identity"), path=server.path, command=())
    with client, pytest.raises(ServerError, match="the server has gone"):
        client.enhance(portrait())
