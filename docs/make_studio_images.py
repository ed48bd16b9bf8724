"""Take the screenshots of the studio's guide: ``python docs/make_studio_images.py``.

It needs Chromium and the extra `browser`, and uses the project's own clips only.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.studio import Studio, open_browser, open_file  # noqa: E402 - needs the path

IMAGES = ROOT / "docs" / "images"
SLOW = 240_000
SHOWN_FOLDER = "/home/ada"
HIDE_PATHS = """(shown) => {
  const folder = /\\/[^ ]*crsr-studio-images-[^/]*/g;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode())
    texts.currentNode.data = texts.currentNode.data.replaceAll(folder, shown);
}"""


def take(page: Any, name: str, *, height: int = 800) -> None:
    """Store the visible part of the page as a small JPEG, without the temporary folder's name."""
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.wait_for_timeout(800)
    page.evaluate(HIDE_PATHS, SHOWN_FOLDER)
    path = IMAGES / f"studio-{name}.jpg"
    page.screenshot(path=path, type="jpeg", quality=72)
    print(path.relative_to(ROOT), f"{path.stat().st_size // 1000} kB")


def preview(page: Any) -> None:
    """Open a clip, compare, play, and look closely."""
    take(page, "start")
    open_file(page, "two_faces_cut.mp4")
    page.get_by_label("Boxes").check()
    take(page, "preview")
    page.get_by_label("Boxes").uncheck()
    box = page.locator("#picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.13 * box["width"], y, steps=5)
    page.mouse.up()
    page.get_by_label("Loupe").check()
    page.mouse.move(x + 0.13 * box["width"], y)
    take(page, "loupe")
    page.get_by_label("Loupe").uncheck()
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_timeout(1500)
    take(page, "playing")
    page.locator("#play").click()


def people_and_export(page: Any) -> None:
    """Find people, enhance only one, trim and export."""
    page.get_by_role("button", name="Find the people").click()
    page.locator(".person").first.wait_for(timeout=SLOW)
    page.get_by_role("button", name="Select person 1").click()
    page.get_by_role("button", name="Enhance only the selected").click()
    take(page, "people", height=1080)
    page.locator("#scrub").fill("20")
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Start here").click()
    page.get_by_label("Format").select_option("H.264 for sharing")
    page.get_by_role("button", name="Estimate time and size").click()
    page.get_by_text("the source has").wait_for(timeout=SLOW)
    take(page, "export", height=1000)
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_label("Format").select_option("HEVC, 10 bits")
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("tab", name="Queue").click()
    page.locator("[data-state=done]").first.wait_for(timeout=SLOW)
    take(page, "queue", height=520)
    page.get_by_role("button", name="Play beside the source").first.click()
    page.locator("#comparing").wait_for()
    page.wait_for_function("document.getElementById('message').hidden", timeout=SLOW)
    take(page, "result")


def main() -> None:
    """Take all screenshots."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="crsr-studio-images-") as work,
        open_browser() as browser,
    ):
        folder = Path(work) / "Videos"
        folder.mkdir()
        for name in ("portrait.mp4", "two_faces_cut.mp4", "phone_vfr.mp4"):
            shutil.copy(ROOT / "clips" / name, folder)
        studio = Studio(folder, Path(work) / "studio")
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(studio.address)
            page.wait_for_selector("#file-list button")
            preview(page)
            people_and_export(page)
            small = browser.new_page(viewport={"width": 375, "height": 800}, color_scheme="dark")
            small.goto(studio.address)
            open_file(small, "two_faces_cut.mp4")
            take(small, "narrow")
        finally:
            studio.kill()


if __name__ == "__main__":
    main()
