"""The page of a live run in a real browser."""

import subprocess
import sys

import pytest

from tests.support.paths import PORTRAIT, ROOT
from tests.support.studio import CHROMIUM, open_browser

pytest.importorskip("playwright", reason="Playwright is not installed")
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
SLOW = 60_000


def test_a_stream_is_shown_without_an_output_and_its_strength_is_set():
    words = ["live", "-i", str(PORTRAIT), "--realtime", "--loop", "--preview"]
    command = [sys.executable, "-m", "crsr_video", *words]
    with (
        open_browser() as browser,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as live,
    ):
        assert live.stderr is not None
        address = next(line for line in live.stderr if "preview: " in line).split("preview: ")[1]
        page = browser.new_page(viewport={"width": 375, "height": 800})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address.strip())
        expect(page.locator("[data-of=faces]")).to_have_text("1", timeout=SLOW)
        page.wait_for_function("document.querySelector('#picture').width > 0")
        page.get_by_label("Strength").fill("0.25")
        expect(page.locator("#strength-value")).to_have_text("25 %")
        page.get_by_role("button", name="Hold the picture").click()
        expect(page.locator("#state")).to_contain_text("held")
        page.get_by_role("button", name="Go on").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        live.terminate()
        expect(page.locator("#state")).to_contain_text("has ended", timeout=SLOW)
        assert live.wait(60) == 143
        assert errors == []
