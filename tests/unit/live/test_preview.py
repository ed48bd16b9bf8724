"""The preview's server: what it shows, to whom, and that it costs nothing when nobody looks."""

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from crsr_video.errors import OutputError
from crsr_video.live.preview import Preview, web
from crsr_video.live.preview.preview import encode_pair
from tests.support.frames import LAYOUTS, flat_frame

BEFORE, AFTER = (0.9, 0.2, 0.1), (0.1, 0.3, 0.9)
FIGURES = {
    "fps_in": 30.0,
    "fps_out": 15.0,
    "latency": {"p50_ms": 21.0, "p95_ms": 48.5, "p99_ms": 60.0},
    "level": "alternate frames",
    "dropped": 3,
    "faces": 1,
    "steps": 2,
    "stages": {"decode": 2.0, "track": 9.5, "paste": 4.0},
}


@pytest.fixture
def preview():
    with Preview() as made:
        yield made


def pair(height=48, width=64, layout="yuv420p", **fields):
    frames = (flat_frame(layout, height, width, colour) for colour in (BEFORE, AFTER))
    return tuple(replace(frame, **fields) for frame in frames)


def get(preview, path="/", *, method="GET", host=None):
    """Status, headers and content."""
    port = int(preview.url.rsplit(":", 1)[1].strip("/"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()
    finally:
        connection.close()


class Feeding:
    """Shows frames all the time, as a run does."""

    def __init__(self, preview, frames):
        self._preview, self._frames = preview, frames
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0
        self.shown = 0

    def _run(self):
        while not self._stop.wait(0.01):
            begin = time.thread_time()
            self._preview.show(*self._frames)
            self.longest = max(self.longest, time.thread_time() - begin)
            self.shown += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)


def halves(jpegs):
    for data in jpegs:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        yield bgr[..., ::-1].astype(float) / 255


def assert_colours(upper, lower, tolerance=0.03):
    for half, colour in ((upper, BEFORE), (lower, AFTER)):
        assert np.abs(half - colour).max() < tolerance


def test_a_picture_has_two_halves(preview):
    with Feeding(preview, pair()):
        status, headers, data = get(preview, "/picture?after=0")
        assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
        split = int(headers["X-Split"])
        upper, lower = halves((data[:split], data[split:]))
        assert upper.shape == lower.shape == (48, 64, 3)
        assert_colours(upper, lower)
        again = get(preview, f"/picture?after={headers['X-Number']}")
        assert int(again[1]["X-Number"]) > int(headers["X-Number"])


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if not name.startswith("gray")])
def test_all_pixel_formats_are_shown_in_their_colours(layout):
    assert_colours(*halves(encode_pair(*pair(layout=layout))))


def test_gray_frames_are_shown_in_gray():
    for layout in ("gray", "gray10-limited"):
        upper, _ = halves(encode_pair(*(flat_frame(layout, 32, 32, (0.5, 0.5, 0.5)),) * 2))
        assert np.abs(upper - 0.5).max() < 0.02


@pytest.mark.parametrize(
    ("size", "fields", "shown"),
    [
        ((1080, 1920), {}, (540, 960)),
        ((480, 640), {}, (480, 640)),
        ((576, 720), {"sample_aspect": Fraction(16, 11)}, (528, 960)),
        ((600, 400), {"rotation": 90}, (400, 600)),
        ((1920, 1080), {"rotation": 270}, (540, 960)),
        ((2160, 3840), {}, (540, 960)),
    ],
)
def test_pictures_are_upright_with_square_pixels_and_a_limited_width(size, fields, shown):
    upper, _ = halves(encode_pair(*pair(*size, **fields)))
    assert upper.shape[:2] == shown


def test_an_enlarged_result_is_shown_at_the_size_of_its_source():
    small, _ = pair(48, 64)
    _, large = pair(96, 128)
    assert_colours(*halves(encode_pair(small, large)))


def test_rotated_frames_are_shown_upright():
    """The right edge of a picture that is to be turned by 90 degrees is its top."""
    frame = flat_frame("rgb24", 40, 60, (0, 0, 0))
    planes = [plane.copy() for plane in frame.components]
    for plane in planes:
        plane[:, 40:] = 255
    upper, _ = halves(encode_pair(*[replace(frame, components=tuple(planes), rotation=90)] * 2))
    assert upper.shape[:2] == (60, 40)
    assert upper[:15].min() > 0.9
    assert upper[25:].max() < 0.1


def test_statistics_are_served(preview):
    preview.show_statistics(FIGURES)
    status, headers, data = get(preview, "/figures?after=0")
    assert (status, json.loads(data)) == (200, FIGURES)
    preview.show_statistics({**FIGURES, "level": "full"})
    newer = get(preview, f"/figures?after={headers['X-Number']}")
    assert json.loads(newer[2])["level"] == "full"


def test_no_picture_is_made_while_nobody_watches(preview, monkeypatch):
    made = []
    monkeypatch.setattr(
        "crsr_video.live.preview.preview.encode_pair", lambda *_: made.append(1) or (b"x", b"y")
    )
    with Feeding(preview, pair()) as feeding:
        end = time.monotonic() + 0.3
        while time.monotonic() < end or feeding.shown < 10:
            time.sleep(0.01)
        assert made == []
        assert get(preview, "/picture")[0] == 200
        assert made


def test_frames_are_dropped_while_a_picture_is_made(preview, monkeypatch):
    """A frame is dropped, and not kept, as long as the last one is on its way."""
    go = threading.Event()
    monkeypatch.setattr(
        "crsr_video.live.preview.preview.encode_pair",
        lambda *_: (b"x", b"y") if go.wait(10) else None,
    )
    with Feeding(preview, pair(1080, 1920)) as feeding:
        asking = threading.Thread(target=get, args=(preview, "/picture"))
        asking.start()
        before = feeding.shown
        end = time.monotonic() + 10
        while feeding.shown < before + 30 and time.monotonic() < end:
            time.sleep(0.01)
        assert feeding.shown >= before + 30
        go.set()
        asking.join(10)
        assert not asking.is_alive()
    assert feeding.longest < 0.01  # Of processor time; usually far less than a thousandth.


def test_the_rate_of_pictures_is_limited(preview, monkeypatch):
    """However fast a page asks."""
    made = []
    monkeypatch.setattr(
        "crsr_video.live.preview.preview.encode_pair",
        lambda *_: made.append(time.monotonic()) or (b"x", b"y"),
    )
    number = 0
    with Feeding(preview, pair()):
        for _ in range(6):
            number = int(get(preview, f"/picture?after={number}")[1]["X-Number"])
    assert np.diff(made[:6]).min() > 0.9 / 15


def test_an_invalid_picture_is_skipped(preview):
    broken = flat_frame("gray", 1, 1, (0, 0, 0))
    empty = replace(broken, components=(np.zeros((0, 0), np.uint8),))
    with Feeding(preview, (empty, empty)):
        assert get(preview, "/picture")[0] == 204
    with Feeding(preview, pair()):
        assert get(preview, "/picture")[0] == 200


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
def test_the_page_is_complete_with_a_strict_policy(preview, path):
    status, headers, data = get(preview, path)
    assert status == 200
    assert len(data) == int(headers["Content-Length"]) > 500
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    text = data.decode()
    assert "http:" not in text
    assert "https:" not in text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "", "localhost:1"]
)
def test_other_host_names_are_refused(preview, host):
    """A page of another site could otherwise read the pictures (DNS rebinding)."""
    preview.show_statistics(FIGURES)
    for path in ("/", "/picture", "/figures"):
        status, _, data = get(preview, path, host=host)
        assert (status, data) == (421, b"")
    port = preview.url.rsplit(":", 1)[1].strip("/")
    assert get(preview, "/", host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PRI"])
def test_only_get_is_answered(preview, method):
    assert get(preview, "/", method=method)[0] == 501


@pytest.mark.parametrize("path", ["/../web.py", "/web.py", "//etc/passwd", "/page.css/", "/%2e%2e"])
def test_other_paths_are_not_found(preview, path):
    assert get(preview, path)[0] == 404


@pytest.mark.parametrize("after", ["x", "-1", "9" * 99, "\u0663", ""])
def test_invalid_numbers_count_as_zero(preview, after):
    preview.show_statistics(FIGURES)
    quoted = "".join(f"%{byte:02x}" for byte in after.encode())
    assert get(preview, f"/figures?after={quoted}")[0] == 200


def test_the_server_listens_on_the_loopback_interface_only(preview):
    assert preview.url.startswith("http://127.0.0.1:")
    port = int(preview.url.rsplit(":", 1)[1].strip("/"))
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(1)
        other.connect(("127.0.0.2", port))


def test_the_number_of_watchers_is_limited(preview):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(get(preview, "/picture")[0]))
        for _ in range(web.MAX_WATCHERS + 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(answers) == [204] * web.MAX_WATCHERS + [503] * 2


def test_silent_connections_are_limited_and_closed():
    with Preview() as preview:
        port = int(preview.url.rsplit(":", 1)[1].strip("/"))
        silent = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(40)]
        end = time.monotonic() + 10
        while threading.active_count() < web.MAX_CONNECTIONS and time.monotonic() < end:
            time.sleep(0.01)
        assert threading.active_count() < web.MAX_CONNECTIONS + 10
        begin = time.monotonic()
        preview.close()
        assert time.monotonic() - begin < 3  # On an idle machine, less than one.
        for one in silent:
            one.close()


def dripping(port, count):
    """Open connections that each have sent the beginning of a request."""
    made = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(count)]
    for one in made:
        with contextlib.suppress(OSError):
            one.sendall(b"GET / HT")
    return made


def test_slow_connections_cannot_lock_out_the_page(preview):
    port = int(preview.url.rsplit(":", 1)[1].strip("/"))
    slow = dripping(port, 40)
    for _ in range(16):
        for one in slow:
            with contextlib.suppress(OSError):
                one.sendall(b"T")
        assert get(preview)[0] == 200
    for one in slow:
        one.close()


def test_a_request_must_be_complete_in_time_although_bytes_keep_coming(monkeypatch):
    monkeypatch.setattr(web, "_REQUEST_SECONDS", 0.4)
    with Preview() as preview:
        port = int(preview.url.rsplit(":", 1)[1].strip("/"))
        (slow,) = dripping(port, 1)
        end = time.monotonic() + 10
        with pytest.raises(OSError):
            while True:
                assert time.monotonic() < end, "the connection was kept"
                slow.sendall(b"T")
                time.sleep(0.05)
        slow.close()


def test_a_taken_port_is_an_error_of_one_line(preview):
    port = int(preview.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(OutputError, match=rf"^preview: port {port} cannot be served: [^\n]+$"):
        Preview(port)
    with pytest.raises(OutputError):
        Preview(70000)


def test_closing_ends_all_requests_and_threads():
    before = threading.active_count()
    preview = Preview()
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(get(preview, "/picture")[0]))
    waiting.start()
    end = time.monotonic() + 10
    while not preview.is_watched and time.monotonic() < end:
        time.sleep(0.01)
    preview.close()
    preview.close()
    waiting.join(10)
    assert answers == [410]
    preview.show(*pair())
    with pytest.raises(OSError):
        get(preview)
    assert threading.active_count() == before
