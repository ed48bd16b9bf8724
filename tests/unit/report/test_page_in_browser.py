"""The page in a real browser: sliders by mouse and keyboard, no console or network activity."""

from dataclasses import replace

import numpy as np
import pytest

from crsr_video.report.page import as_html
from tests.unit.report.browser import PROGRAM, Browser
from tests.unit.report.sample_report import AFTER, BEFORE, EVIL, person, report

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")

PEOPLE = 3


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(as_html(report(PEOPLE)), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    browser.resize(1100, 900)
    browser.open(file)
    return browser


def pair(page, index=0):
    """Return the position of a slider on the screen: x, y, width, height."""
    found = f"document.querySelectorAll('.pair')[{index}]"
    page.value(f"{found}.scrollIntoView({{block: 'center'}})")
    box = f"{found}.getBoundingClientRect()"
    return [page.value(f"{box}.{side}") for side in ("x", "y", "width", "height")]


def share_before(page, index=0):
    """Return the share of a picture's width that shows the source, in its upper part."""
    x, y, width, height = pair(page, index)
    scrolled = page.value("scrollY")
    row = page.picture(x=x, y=y + scrolled + 0.2 * height, width=width, height=4)[2].astype(int)
    distances = [np.abs(row - colour[::-1]).sum(1) for colour in (BEFORE, AFTER)]
    seen = np.stack(distances).min(0) < 60
    assert seen.mean() > 0.9  # Everything but the dividing line is one of the two.
    return float((distances[0] < distances[1])[seen].mean())


def value(page, index=0):
    return int(page.value(f"document.querySelectorAll('.pair input')[{index}].value"))


def test_sliders_start_in_the_middle(page):
    assert page.value("document.querySelectorAll('.pair').length") == PEOPLE
    for index in range(PEOPLE):
        assert share_before(page, index) == pytest.approx(0.5, abs=0.02)


def test_dragging_moves_a_slider(page):
    x, y, width, height = pair(page)
    middle = y + height / 2
    page.drag((x + width / 2, middle), (x + 0.7 * width, middle), (x + 0.9 * width, middle))
    assert share_before(page) == pytest.approx(0.9, abs=0.03)
    page.drag((x + 0.9 * width, middle), (x + 0.2 * width, middle))
    assert share_before(page) == pytest.approx(0.2, abs=0.03)
    assert share_before(page, 1) == pytest.approx(0.5, abs=0.02)  # The other sliders stay.


def test_a_click_moves_a_slider(page):
    x, y, width, height = pair(page, 1)
    page.click(x + 0.3 * width, y + height / 3)
    assert share_before(page, 1) == pytest.approx(0.3, abs=0.03)


def test_keys_move_a_slider(page):
    page.value("document.querySelectorAll('.pair input')[2].focus()")
    page.key("ArrowRight", 39)
    page.key("ArrowRight", 39)
    assert value(page, 2) == 52
    page.key("ArrowLeft", 37)
    assert value(page, 2) == 51
    page.key("End", 35)
    assert share_before(page, 2) == pytest.approx(1.0, abs=0.02)
    page.key("Home", 36)
    assert share_before(page, 2) == pytest.approx(0.0, abs=0.02)


def test_the_tab_key_reaches_the_sliders(page):
    names = []
    for _ in range(2 * PEOPLE):
        page.key("Tab", 9)
        names.append(page.value("document.activeElement.getAttribute('aria-label')"))
    labels = [name for name in names if name]
    assert [name[:8] for name in labels] == [f"Person {n}" for n in range(1, PEOPLE + 1)]


def test_the_page_logs_nothing_and_loads_nothing(page):
    for index in range(PEOPLE):
        pair(page, index)
    assert page.heard("Log.entryAdded", "Runtime.consoleAPICalled") == []
    assert page.heard("Runtime.exceptionThrown", "Page.javascriptDialogOpening") == []
    asked = {
        event["request"]["url"].split(":")[0] for event in page.heard("Network.requestWillBeSent")
    }
    assert asked <= {"file", "data"}
    assert page.value("[...document.images].every(image => image.naturalWidth > 0)")


def test_names_are_shown_as_text(page):
    assert page.value("document.querySelector('h1').textContent") == EVIL
    assert page.value("document.querySelectorAll('[onerror], [onclick]').length") == 0
    assert page.value("document.scripts.length") == 1
    assert page.value("document.title").endswith("crsr-video report")


def test_the_policy_blocks_other_scripts(page):
    page.value("document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.hit=1\">x</b>')")
    page.value("document.body.lastElementChild.click()")
    page.value("document.body.append(Object.assign(new Image, {src: 'http://127.0.0.1:9/x.png'}))")
    assert page.value("window.hit === undefined")
    texts = [entry["entry"]["text"] for entry in page.heard("Log.entryAdded")]
    assert sum("Content Security Policy" in text for text in texts) >= 2


def test_every_person_is_listed(browser, tmp_path):
    path = tmp_path / "many.html"
    path.write_text(as_html(report(30)), encoding="utf-8")
    browser.open(path)
    assert browser.value("document.querySelectorAll('article').length") == 24
    assert browser.value("document.querySelectorAll('table.wide tr').length") == 31
    assert browser.value("document.querySelectorAll('.line-up a').length") == 24
    numbers = (
        "[...document.querySelectorAll('table.wide tr td:first-child')].map(c => +c.textContent)"
    )
    assert browser.value(numbers) == list(range(1, 31))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_window(page, scheme):
    page.scheme(scheme)
    page.resize(360, 740)
    assert page.value("document.documentElement.scrollWidth") <= 360
    assert (
        page.value("Math.min(...[...document.querySelectorAll('.pair')].map(p => p.clientWidth))")
        > 120
    )
    light = page.picture()[2, 2].mean() > 128
    assert light == (scheme == "light")
    page.scheme("light")


def test_an_unchanged_person_needs_no_picture(browser, tmp_path):
    alone = person(
        1, enhanced=0, pictures=(), curves={}, flicker=None, identity=None, backed_off=None
    )
    path = tmp_path / "alone.html"
    path.write_text(as_html(replace(report(), people=(alone,))), encoding="utf-8")
    browser.open(path)
    assert browser.value("document.querySelectorAll('article').length") == 1
    assert browser.heard("Log.entryAdded", "Runtime.exceptionThrown") == []
