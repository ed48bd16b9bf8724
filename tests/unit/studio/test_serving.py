"""Connections to the studio that never send a whole request."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from crsr_video.studio import serving

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def app(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(serving, "REQUEST_SECONDS", 0.4)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=serving.LimitedRequests, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield int(listener.getsockname()[1])
    server.should_exit = True
    thread.join(20)
    listener.close()


def assert_cut(connection: socket.socket) -> None:
    """Send a byte now and then, and check that the connection is closed soon."""
    end = time.monotonic() + 20
    with contextlib.suppress(OSError):
        while True:
            assert time.monotonic() < end, "the connection was kept"
            connection.sendall(b"X")
            time.sleep(0.05)


def test_a_request_that_never_ends_is_cut(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert_cut(connection)


def test_a_later_request_that_never_ends_is_cut_too(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(REQUEST)
        assert b" 204 " in connection.recv(1000)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert_cut(connection)


def test_whole_requests_are_answered_beside_slow_ones(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(40)]
    for one in slow[::2]:
        one.sendall(REQUEST[:20])
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        for _ in range(3):
            connection.sendall(REQUEST)
            assert b" 204 " in connection.recv(1000)
    for one in slow:
        one.close()
