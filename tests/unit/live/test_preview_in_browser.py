"""The preview in a real browser: the two pictures, the line, the figures, and the end."""

import threading
import time

import numpy as np
import pytest

from crsr_video.live.preview import Preview
from tests.unit.live.test_preview import AFTER, BEFORE, FIGURES, Feeding, pair
from tests.unit.report.browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


class Address:
    """What the browser's helper opens, which is used to files."""

    def __init__(self, url):
        self._url = url

    def as_uri(self):
        return self._url


@pytest.fixture
def preview():
    with Preview() as made:
        yield made


@pytest.fixture
def page(browser, preview):
    """A page on which pictures and figures are seen."""
    preview.show_statistics(FIGURES)
    with Feeding(preview, pair(360, 640)):
        browser.resize(1100, 900)
        browser.open(Address(preview.url))
        # Until the page is there, there is nothing to look at.
        wait_for(browser, "document.querySelector('[data-of=p95]') !== null")
        wait_for(browser, "document.getElementById('state').textContent !== 'waiting'")
        wait_for(browser, "document.querySelector('[data-of=p95]').textContent !== '\\u2013'")
        yield browser
    browser.call("Page.navigate", url="about:blank")


def wait_for(browser, condition, seconds=30):
    end = time.monotonic() + seconds
    while not browser.value(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def share_before(page):
    """Of the picture's width, what is seen in the colour of before."""
    box = "document.getElementById('picture').getBoundingClientRect()"
    x, y, width, height = (page.value(f"{box}.{side}") for side in ("x", "y", "width", "height"))
    row = page.picture(x=x, y=y + 0.2 * height, width=width, height=4)[2].astype(float)[:, ::-1]
    distances = [np.abs(row / 255 - colour).sum(1) for colour in (BEFORE, AFTER)]
    seen = np.stack(distances).min(0) < 0.2
    assert seen.mean() > 0.9
    return float((distances[0] < distances[1])[seen].mean())


def middle(page):
    box = "document.getElementById('pair').getBoundingClientRect()"
    x, y, width, height = (page.value(f"{box}.{side}") for side in ("x", "y", "width", "height"))
    return x, y + height / 2, width


def test_both_sides_are_shown_and_the_line_can_be_dragged(page):
    assert page.value("[picture.width, picture.height].join()") == "640,360"
    assert share_before(page) == pytest.approx(0.5, abs=0.02)
    x, y, width = middle(page)
    page.drag((x + width / 2, y), (x + 0.7 * width, y), (x + 0.9 * width, y))
    assert share_before(page) == pytest.approx(0.9, abs=0.03)
    page.click(x + 0.2 * width, y)
    assert share_before(page) == pytest.approx(0.2, abs=0.03)


def test_keys_move_the_line_and_hold_the_picture(page):
    """Whether the slider has the focus or not."""
    page.value("document.activeElement.blur()")
    page.key("End", 35)
    assert share_before(page) == pytest.approx(1.0, abs=0.02)
    page.key("Home", 36)
    page.key("ArrowRight", 39)
    page.key("ArrowRight", 39)
    assert page.value("document.getElementById('cut').value") == "2"
    page.key("Tab", 9)
    assert page.value("document.activeElement.id") == "cut"
    page.key("ArrowRight", 39)
    assert page.value("document.getElementById('cut').value") == "3"
    page.key(" ", 32)
    wait_for(page, "document.getElementById('state').textContent === 'held'")
    page.key(" ", 32)
    wait_for(page, "document.getElementById('state').textContent !== 'held'")


def test_statistics_are_shown(page, preview):
    texts = {
        name: page.value(f"document.querySelector('[data-of={name}]').textContent")
        for name in ("p50", "p95", "p99", "in", "out", "dropped", "faces", "steps")
    }
    assert texts == {
        "p50": "21 ms",
        "p95": "49 ms",
        "p99": "60 ms",
        "in": "30.0",
        "out": "15.0",
        "dropped": "3",
        "faces": "1",
        "steps": "2",
    }
    assert page.value("document.getElementById('state').textContent") == "reduced"
    words = page.value("document.getElementById('words').textContent")
    assert words == "To keep up: alternate frames."
    assert page.value("document.querySelectorAll('#stages dt').length") == 3
    latencies = [20.0, 80.0, 40.0]
    for number, p95 in enumerate(latencies, 2):
        latency = {**FIGURES["latency"], "p95_ms": p95}
        preview.show_statistics({**FIGURES, "level": "full", "latency": latency})
        wait_for(
            page,
            f"document.getElementById('latency').getAttribute('points').split(' ')[{number - 1}]",
        )
    points = page.value("document.getElementById('latency').getAttribute('points')").split()
    heights = [84 - float(point.split(",")[1]) for point in points]
    high = float(page.value("document.getElementById('latency-high').textContent"))
    assert [h / 84 * high for h in heights] == pytest.approx([48.5, *latencies], abs=0.5)
    assert float(points[-1].split(",")[0]) == 300
    wait_for(page, "document.getElementById('words').textContent === 'Full quality.'")


def test_the_end_is_shown_and_the_last_picture_stays(page, preview):
    preview.close()
    wait_for(page, "document.getElementById('state').textContent === 'ended'")
    assert "has ended" in page.value("document.getElementById('words').textContent")
    assert page.value("getComputedStyle(document.getElementById('pair')).filter") != "none"


def test_the_page_has_no_errors_and_loads_nothing_else(page, preview):
    time.sleep(0.3)
    assert page.heard("Log.entryAdded", "Runtime.consoleAPICalled") == []
    assert page.heard("Runtime.exceptionThrown", "Page.javascriptDialogOpening") == []
    asked = {event["request"]["url"] for event in page.heard("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith((preview.url, "data:,"))} == set()


def test_the_policy_blocks_other_scripts(page):
    page.value("document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.hit=1\">x</b>')")
    page.value("document.body.lastElementChild.click()")
    assert page.value("window.hit === undefined")
    told = [entry["entry"]["text"] for entry in page.heard("Log.entryAdded")]
    assert any("Content Security Policy" in text for text in told)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_window(page, scheme):
    page.scheme(scheme)
    page.resize(360, 740)
    assert page.value("document.documentElement.scrollWidth") <= 360
    page.scheme("light")


def test_a_hidden_page_requests_nothing(browser, preview):
    """And so nothing is made for it."""
    browser.open(Address(preview.url))
    browser.value("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); 0")
    end = time.monotonic() + 20
    while preview.is_watched and time.monotonic() < end:
        time.sleep(0.05)
    assert not preview.is_watched
    browser.value("Object.defineProperty(document, 'hidden', {value: false}); 0")
    while not preview.is_watched and time.monotonic() < end:
        time.sleep(0.01)
    assert preview.is_watched
    browser.call("Page.navigate", url="about:blank")
    assert threading.active_count() < 20
