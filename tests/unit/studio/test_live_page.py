"""The page of a live run: its pictures, its protection, and its costs without a viewer."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from crsr_video.errors import OutputError
from crsr_video.studio.live_page import MAX_PAGES, LivePage
from crsr_video.types import Frame, TrackedFrame
from tests.support.frames import flat_frame
from tests.support.studio import parts_of
from tests.support.waiting import wait_until

BEFORE, AFTER = (0.9, 0.2, 0.1), (0.1, 0.3, 0.9)
STATISTICS = {"fps_in": 30.0, "level": "full", "latency": {"p95_ms": 48.5}}


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage(strength=0.7) as page:
        wait_until(lambda: status(page, "/static/live.js") == 200)
        yield page


def status(page: LivePage, path: str, *, cookie: bool = True, host: str | None = None) -> int:
    return get(page, path, cookie=cookie, host=host)[0]


def get(
    page: LivePage, path: str, *, cookie: bool = True, host: str | None = None
) -> tuple[int, bytes]:
    address = urlsplit(page.address)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    headers = {"Host": host or address.netloc} | (cookie_of(page) if cookie else {})
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionRefusedError:
        return 0, b""
    finally:
        connection.close()


def cookie_of(page: LivePage) -> dict[str, str]:
    return {"Cookie": f"crsr_studio={parse_qs(urlsplit(page.address).query)['token'][0]}"}


def follow(page: LivePage) -> ClientConnection:
    address = f"ws://{urlsplit(page.address).netloc}/api/live"
    return connect(address, additional_headers=cookie_of(page))


def pair() -> tuple[TrackedFrame, Frame]:
    before, after = (flat_frame("yuv420p", 48, 64, colour) for colour in (BEFORE, AFTER))
    return TrackedFrame(before), after


def show_until_received(page: LivePage, watcher: ClientConnection) -> bytes:
    """Show frames all the time, as a run does, until the page has one."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            page.show(*pair())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        message = watcher.recv(20)
    finally:
        stop.set()
        thread.join()
    assert isinstance(message, bytes)
    return message


def test_frames_are_shown_before_and_after(page: LivePage) -> None:
    with follow(page) as watcher:
        header, before, after = parts_of(show_until_received(page, watcher))
        watcher.send(json.dumps({"command": "shown", "number": header["number"]}))
        second, _, _ = parts_of(show_until_received(page, watcher))
    assert second["number"] > header["number"]
    for picture, colour in ((before, BEFORE), (after, AFTER)):
        assert np.abs(picture[..., ::-1] / 255 - colour).max() < 0.03


def test_no_picture_is_made_until_the_page_has_shown_the_last_one(page: LivePage) -> None:
    assert not page.is_watched
    with follow(page) as watcher:
        wait_until(lambda: page.is_watched)
        show_until_received(page, watcher)
        assert not page.is_watched
    wait_until(lambda: not page.is_watched)


def test_statistics_are_sent_also_to_pages_that_come_later(page: LivePage) -> None:
    page.show_statistics(STATISTICS)
    with follow(page) as watcher:
        assert json.loads(watcher.recv(20)) == {"statistics": STATISTICS}
        page.show_statistics({**STATISTICS, "level": "passthrough"})
        assert json.loads(watcher.recv(20))["statistics"]["level"] == "passthrough"


def test_the_strength_is_what_the_page_asks_for(page: LivePage) -> None:
    assert page.strength == 0.7
    assert json.loads(get(page, "/api/options")[1])["strength"] == 0.7
    with follow(page) as watcher:
        watcher.send(json.dumps({"command": "strength", "strength": 0.25}))
        wait_until(lambda: page.strength == 0.25)
        watcher.send(json.dumps({"command": "strength", "strength": "much"}))
        assert "wrong value" in json.loads(watcher.recv(20))["error"]


def test_only_those_who_have_the_token_see_the_page(page: LivePage) -> None:
    for path in ("/", "/api/options", "/static/live.js"):
        assert status(page, path, cookie=False) == 403
        assert status(page, path, host="evil.example") == 403
        assert status(page, path) == 200
    with pytest.raises(InvalidStatus):
        connect(f"ws://{urlsplit(page.address).netloc}/api/live")


def test_the_number_of_pages_is_limited(page: LivePage) -> None:
    page.show_statistics(STATISTICS)
    with ExitStack() as stack:
        for _ in range(MAX_PAGES):
            stack.enter_context(follow(page)).recv(20)
        late = stack.enter_context(follow(page))
        assert "close one of them" in json.loads(late.recv(20))["error"]


def test_a_page_that_breaks_off_leaves_the_others_their_pictures(page: LivePage) -> None:
    with follow(page) as watcher:
        lost = follow(page)
        wait_until(lambda: page.is_watched)
        lost.socket.shutdown(socket.SHUT_RDWR)  # As if its browser was killed.
        header, _, _ = parts_of(show_until_received(page, watcher))
        watcher.send(json.dumps({"command": "shown", "number": header["number"]}))
        show_until_received(page, watcher)
    wait_until(lambda: not page.is_watched)


def test_an_invalid_picture_is_skipped(page: LivePage) -> None:
    gray = flat_frame("gray", 1, 1, (0, 0, 0))
    empty = replace(gray, components=(np.zeros((0, 0), np.uint8),))
    with follow(page) as watcher:
        wait_until(lambda: page.is_watched)
        page.show(TrackedFrame(empty), empty)
        show_until_received(page, watcher)


def test_the_end_is_reported_and_all_threads_end() -> None:
    before = threading.active_count()
    with LivePage() as page:
        wait_until(lambda: status(page, "/static/live.js") == 200)
        with follow(page) as watcher:
            wait_until(lambda: page.is_watched)
            threading.Thread(target=page.close).start()
            assert json.loads(watcher.recv(20)) == {"ended": True}
    wait_until(lambda: threading.active_count() <= before + 1)
    page.show(*pair())


def test_a_taken_port_is_an_error_of_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=rf"^port {port} of 127.0.0.1 cannot be used: .+$"):
            LivePage(port)
