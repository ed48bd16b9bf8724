"""The studio in a real browser: every step of enhancing a clip, and errors."""

import base64
import shutil
import time

import cv2
import numpy as np
import pytest

from tests.support.paths import CLIPS, PORTRAIT
from tests.support.studio import CHROMIUM, Studio, open_browser, open_file
from tests.support.video import make_video
from tests.support.waiting import wait_until

pytest.importorskip("playwright", reason="Playwright is not installed")
from playwright.sync_api import Browser, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
SLOW = 60_000
"""Milliseconds that an export or a search for people may take on a busy machine."""
FRAME = 0.04
DIFFERS = """() => {
    const canvas = document.getElementById("picture");
    const { width, height } = canvas;
    const read = () => canvas.getContext("2d").getImageData(0, 40, width, height - 40);
    const key = (name) => document.dispatchEvent(new KeyboardEvent(name, { key: "b" }));
    const after = read().data;
    key("keydown");
    const before = read().data;
    key("keyup");
    let most = 0;
    for (let i = 0; i < after.length; i++) {
        const column = Math.floor(i / 4) % width;
        if (column > 0.6 * width) most = Math.max(most, Math.abs(after[i] - before[i]));
    }
    return most > 8;
}"""
"""Whether the picture on the screen differs from the one before, right of the line."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name in ("portrait.mp4", "two_faces_cut.mp4"):
        shutil.copy(CLIPS / name, folder)
    return folder


@pytest.fixture(scope="module")
def camera_video(tmp_path_factory):
    """The portrait as Motion JPEG, which Chromium shows as its camera."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    clip = cv2.VideoCapture(str(PORTRAIT))
    with path.open("wb") as file:
        for _ in range(25):
            file.write(cv2.imencode(".jpg", clip.read()[1])[1].tobytes())
    return path


@pytest.fixture(scope="module")
def browser(camera_video):
    with open_browser(camera_video) as browser:
        yield browser


@pytest.fixture(scope="module")
def studio(folder, tmp_path_factory):
    studio = Studio(folder, tmp_path_factory.mktemp("work"))
    yield studio
    studio.kill()


@pytest.fixture
def page(browser: Browser, studio: Studio):
    """The studio's page, whose scripts must raise no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(studio.address)
    page.wait_for_selector("#file-list button")
    yield page
    context.close()
    assert errors == []


def picture(page: Page) -> np.ndarray:
    """Return the picture on the page, without its rounded corners, as int16 (H, W, 3)."""
    data = np.frombuffer(page.locator("#picture").screenshot(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[8:-8, 8:-8].astype(np.int16)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def seconds(page: Page) -> float:
    minutes, rest = page.locator("#clock").inner_text().split(":")
    return 60 * int(minutes) + float(rest)


def wait_for_frame(page: Page, act) -> None:
    with page.expect_response("**/frame"):
        act()
    page.wait_for_timeout(150)


def drop(page: Page, data: bytes, names: list[str]) -> None:
    """Drop files with the same content onto the page."""
    script = """([text, names]) => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        for (const name of names) transfer.items.add(new File([bytes], name));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
    }"""
    page.evaluate(script, [base64.b64encode(data).decode(), names])


def test_a_clip_that_is_dropped_and_played_is_enhanced_while_it_plays(browser, tmp_path):
    """A stranger opens the studio, drags a clip in, and presses Play."""
    (tmp_path / "videos").mkdir()
    studio = Studio(tmp_path / "videos", tmp_path / "work")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(studio.address)
    expect(page.locator("#empty")).to_contain_text("Drop a video or a picture here")
    drop(page, (CLIPS / "two_faces_cut.mp4").read_bytes(), ["my clip.mp4"])
    page.get_by_role("button", name="Play", exact=True).click(timeout=SLOW)
    expect(page.locator("#speed")).to_contain_text("frames per second", timeout=SLOW)
    page.wait_for_function(DIFFERS, timeout=SLOW)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.close()
    studio.kill()


# Preview --------------------------------------------------------------------------------------


def test_a_file_opens_and_is_enhanced_right_of_the_line(page):
    open_file(page, "two_faces_cut.mp4")
    page.wait_for_timeout(200)
    compared = picture(page)
    page.locator("#viewer").focus()
    page.keyboard.down("b")
    before = picture(page)
    page.keyboard.up("b")
    middle = before.shape[1] // 2
    assert difference(compared[:, : middle - 20], before[:, : middle - 20]) == 0
    assert difference(compared[:, middle + 20 :], before[:, middle + 20 :]) > 8


def test_the_line_between_before_and_after_can_be_dragged(page):
    open_file(page, "portrait.mp4")
    box = page.locator("#picture").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] / 4, y, steps=4)
    page.mouse.up()
    assert page.evaluate("document.getElementById('divider').valueAsNumber") == pytest.approx(75)


def test_the_keyboard_steps_by_one_frame_and_plays(page):
    open_file(page, "portrait.mp4")
    page.locator("#viewer").focus()
    wait_for_frame(page, lambda: page.keyboard.press("ArrowRight"))
    wait_for_frame(page, lambda: page.keyboard.press("ArrowRight"))
    assert seconds(page) == pytest.approx(2 * FRAME, abs=0.002)
    wait_for_frame(page, lambda: page.keyboard.press("ArrowLeft"))
    assert seconds(page) == pytest.approx(FRAME, abs=0.002)
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#speed")).to_contain_text("frames per second")
    wait_until(lambda: seconds(page) > 2 * FRAME)
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Play")


def test_scrubbing_ends_at_the_frame_where_it_stopped(page):
    open_file(page, "portrait.mp4")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/frame" in request.url else 0)
    box = page.locator("#scrub").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=60)
    page.mouse.up()
    page.wait_for_load_state("networkidle")
    assert seconds(page) == pytest.approx(1.5, abs=0.1)
    assert len(asked) < 40


def test_boxes_the_loupe_and_the_zoom_change_the_picture(page):
    open_file(page, "portrait.mp4")
    page.wait_for_timeout(200)
    plain = picture(page)
    page.get_by_label("Boxes").check()
    assert difference(picture(page), plain) > 20
    page.get_by_label("Boxes").uncheck()
    assert difference(picture(page), plain) == 0
    page.get_by_label("Loupe").check()
    page.locator("#picture").hover(position={"x": 400, "y": 300})
    assert difference(picture(page), plain) > 20
    page.get_by_label("Loupe").uncheck()
    wait_for_frame(page, lambda: page.get_by_label("Zoom").select_option("1:1"))
    shown = picture(page)
    frame = cv2.VideoCapture(str(PORTRAIT)).read()[1]
    top, left = ((shown.shape[i] - frame.shape[i]) // 2 for i in range(2))
    corner = shown[top + 20 : top + 80, left + 20 : left + 120]
    assert np.abs(corner - frame[20:80, 20:120]).mean() < 4


# People ---------------------------------------------------------------------------------------


def test_a_person_is_found_and_switched_off(page):
    open_file(page, "two_faces_cut.mp4")
    if page.locator("#analyse").is_visible():
        page.get_by_role("button", name="Find the people").click()
    page.locator(".person").first.wait_for(timeout=SLOW)
    page.wait_for_timeout(500)
    enhanced = picture(page)
    wait_for_frame(page, lambda: page.get_by_label("Person 1", exact=True).uncheck())
    assert difference(picture(page), enhanced) > 8
    expect(page.locator("#command")).to_contain_text("--face 1=off")
    wait_for_frame(page, lambda: page.get_by_label("Person 1", exact=True).check())
    assert difference(picture(page), enhanced) == 0


def test_one_click_enhances_only_the_selected_person(page):
    open_file(page, "two_faces_cut.mp4")
    find = page.get_by_role("button", name="Find the people")
    if find.is_visible():
        find.click()
    page.get_by_role("button", name="Select person 1").click(timeout=SLOW)
    wait_for_frame(
        page, lambda: page.get_by_role("button", name="Enhance only the selected").click()
    )
    expect(page.get_by_label("Person 1", exact=True)).to_be_checked()
    expect(page.get_by_label("Person 3", exact=True)).not_to_be_checked()
    expect(page.locator("#command")).to_contain_text("--face 3=off")
    wait_for_frame(page, lambda: page.get_by_role("button", name="Enhance everybody again").click())
    expect(page.get_by_label("Person 3", exact=True)).to_be_checked()
    expect(page.locator("#command")).not_to_contain_text("--face")


def test_people_are_merged_and_split_by_hand(page):
    open_file(page, "two_faces_cut.mp4")
    find = page.get_by_role("button", name="Find the people")
    if find.is_visible():
        find.click()
    page.get_by_role("button", name="Select person 1").click(timeout=SLOW)
    page.get_by_role("button", name="Split selected").click()
    expect(page.locator(".person")).to_have_count(3)
    page.get_by_role("button", name="Select person 1").click()
    page.get_by_role("button", name="Select person 2").click(modifiers=["Control"])
    page.get_by_role("button", name="Merge selected").click()
    expect(page.locator(".person")).to_have_count(2)


def test_the_tracks_that_the_command_needs_are_saved_beside_the_file(page, folder):
    open_file(page, "two_faces_cut.mp4")
    find = page.get_by_role("button", name="Find the people")
    if find.is_visible():
        find.click()
    page.get_by_label("Person 1", exact=True).uncheck(timeout=SLOW)
    expect(page.locator("#tracks")).to_contain_text("needs two_faces_cut.tracks.json")
    page.get_by_role("button", name="Save it").click()
    expect(page.locator("#tracks")).to_contain_text("is saved beside the file")
    assert (folder / "two_faces_cut.tracks.json").is_file()
    page.get_by_label("Person 1", exact=True).check()
    expect(page.locator("#tracks")).to_be_hidden()


def test_a_file_is_found_again_as_it_was_left(page):
    open_file(page, "portrait.mp4")
    page.locator("#scrub").fill("25")
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Start here").click()
    open_file(page, "two_faces_cut.mp4")
    expect(page.locator("#range")).to_have_text("The whole file is exported.")
    open_file(page, "portrait.mp4")
    expect(page.locator("#clock")).to_have_text("0:01.000")
    expect(page.locator("#range")).to_contain_text("From 0:01.000")
    page.get_by_role("button", name="Whole file").click()
    expect(page.locator("#range")).to_have_text("The whole file is exported.")


def test_space_plays_right_after_a_file_was_opened(page):
    open_file(page, "portrait.mp4")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    page.keyboard.press("Space")


# Export ---------------------------------------------------------------------------------------


def test_a_trimmed_export_is_followed_compared_and_removed(page, folder):
    open_file(page, "portrait.mp4")
    page.locator("#trim-left").focus()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.locator("#scrub").fill("39")
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="End here").click()
    expect(page.locator("#range")).to_contain_text("From 0:00.800 to 0:01.600")
    expect(page.locator("#command")).to_contain_text("--start 0.800 --duration 0.800")
    page.get_by_label("Save as").fill("short.mp4")
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.locator("#message")).to_contain_text("Exporting to")
    page.get_by_role("tab", name="Queue").click()
    done = page.locator("[data-state=done]")
    done.wait_for(timeout=SLOW)
    assert cv2.VideoCapture(str(folder / "short.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 20
    wait_for_frame(page, lambda: page.get_by_role("button", name="Play beside the source").click())
    expect(page.locator("#comparing")).to_contain_text("short.mp4")
    assert seconds(page) == pytest.approx(0.8, abs=0.002)
    wait_for_frame(page, lambda: page.get_by_role("button", name="Back to the preview").click())
    expect(page.locator("#comparing")).to_be_hidden()
    expect(page.locator("#range")).to_contain_text("From 0:00.800 to 0:01.600")
    page.get_by_role("tab", name="Queue").click()
    page.get_by_role("button", name="Remove from list").click()
    expect(page.locator("#queue-empty")).to_be_visible()


def test_an_export_is_paused_seen_after_a_reload_resumed_and_cancelled(page):
    open_file(page, "two_faces_cut.mp4")
    page.get_by_label("Format").select_option("HEVC, 10 bits")
    page.get_by_label("Size of the result").select_option("4 times larger")
    page.get_by_label("Save as").fill("slow.mp4")
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("tab", name="Queue").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".job")).to_have_attribute("data-state", "paused")
    page.reload()
    expect(page.get_by_role("tab", name="Queue")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".job")).to_have_attribute("data-state", "paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".job")).to_have_attribute("data-state", "running", timeout=SLOW)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job")).to_have_attribute("data-state", "cancelled")
    page.get_by_role("button", name="Remove from list").click()
    expect(page.locator(".job")).to_have_count(0)


def test_a_reload_keeps_the_file_the_position_the_settings_and_the_trim(page):
    open_file(page, "portrait.mp4")
    page.get_by_label("Texture").fill("0.5")
    page.locator("#scrub").fill("25")
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Start here").click()
    page.wait_for_timeout(400)
    wait_for_frame(page, page.reload)
    expect(page.locator("#clock")).to_have_text("0:01.000")
    expect(page.locator("#texture-value")).to_have_text("50 %")
    expect(page.locator("#range")).to_contain_text("From 0:01.000")
    expect(page.locator("#file-list [aria-current=true]")).to_have_text("portrait.mp4")


# What can go wrong ----------------------------------------------------------------------------


def test_files_without_video_are_explained_and_others_are_added(page):
    files = [
        {"name": "text.mp4", "mimeType": "video/mp4", "buffer": b"This is only a text. " * 50},
        {"name": "empty.mp4", "mimeType": "video/mp4", "buffer": b""},
    ]
    page.locator("#upload").set_input_files(files)
    expect(page.locator("#message")).to_contain_text("1 of 2 files were added. empty.mp4")
    page.get_by_role("button", name="text.mp4", exact=True).click()
    expect(page.locator("#message")).to_have_class("error")
    expect(page.locator("#export")).to_be_disabled()
    open_file(page, "portrait.mp4")
    expect(page.locator("#message")).to_be_hidden()


def test_500_clips_dropped_at_once_are_added_one_after_another(browser, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    studio = Studio(folder, tmp_path / "work")
    page = browser.new_page()
    page.goto(studio.address)
    data = make_video(tmp_path / "small.mkv", frames=2, size=(64, 48)).read_bytes()
    drop(page, data, [f"clip {number}.mkv" for number in range(500)])
    expect(page.locator("#message")).to_contain_text("of 500")
    expect(page.locator("#message-text")).to_have_text("500 files were added.", timeout=4 * SLOW)
    expect(page.locator("#file-list button")).to_have_count(500, timeout=SLOW)
    expect(page.locator("#export")).to_be_enabled()
    page.close()
    studio.kill()


def test_a_page_whose_studio_was_started_again_says_what_to_do(browser, folder, tmp_path):
    studio = Studio(folder, tmp_path / "work")
    page = browser.new_page()
    page.goto(studio.address)
    page.wait_for_selector("#file-list button")
    studio.kill()
    expect(page.locator("#message")).to_contain_text("does not answer", timeout=SLOW)
    port = int(studio.address.split(":")[2].split("/")[0])
    again = Studio(folder, tmp_path / "work", port=port)
    expect(page.locator("#message")).to_contain_text("was started again", timeout=SLOW)
    page.goto(again.address)
    page.wait_for_selector("#file-list button")
    page.close()
    again.kill()


def test_a_file_that_vanishes_is_explained(page, folder):
    shutil.copy(PORTRAIT, folder / "vanishing.mp4")
    page.reload()
    open_file(page, "vanishing.mp4")
    (folder / "vanishing.mp4").unlink()
    page.get_by_role("button", name="One frame forward").click()
    expect(page.locator("#message")).to_contain_text("not there any more")
    open_file(page, "portrait.mp4")


def test_two_pages_follow_the_same_queue(page, browser, studio):
    other = browser.new_page()
    other.goto(studio.address)
    other.get_by_role("tab", name="Queue").click()
    open_file(page, "portrait.mp4")
    page.get_by_label("Save as").fill("both.mp4")
    page.get_by_role("button", name="Export", exact=True).click()
    other.locator(".job", has_text="both.mp4").wait_for()
    other.locator(".job[data-state=done]", has_text="both.mp4").wait_for(timeout=SLOW)
    other.close()


def test_the_page_is_usable_on_a_telephone(browser, studio):
    page = browser.new_page(viewport={"width": 375, "height": 700}, color_scheme="dark")
    page.goto(studio.address)
    open_file(page, "portrait.mp4")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.close()


def test_every_control_has_a_name(page):
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select, [role=slider]")].filter(
        (c) => !(c.labels?.length || c.ariaLabel || c.textContent.trim())).length"""
    )
    assert nameless == 0


def test_the_browsers_camera_is_enhanced(page):
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#camera-status")).to_contain_text("ms latency", timeout=SLOW)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_the_description_of_the_api_is_shown_without_a_network(page, studio):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(studio.address.split("?")[0] + "docs")
    page.get_by_text("POST /api/jobs", exact=True).wait_for()
    assert all(url.startswith(studio.address.split("?")[0]) for url in requests)


@pytest.mark.parametrize("end", [Studio.stop, Studio.kill])
def test_the_next_studio_continues_the_export_of_one_that_ended(browser, folder, tmp_path, end):
    """Whether it was stopped with Ctrl-C or killed."""
    studio = Studio(folder, tmp_path / "work")
    page = browser.new_page()
    page.goto(studio.address)
    open_file(page, "portrait.mp4")
    page.get_by_label("Size of the result").select_option("2 times larger")
    name = f"{end.__name__}ped.mp4"
    page.get_by_label("Save as").fill(name)
    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("tab", name="Queue").click()
    expect(page.locator(".job")).to_have_attribute("data-state", "running", timeout=SLOW)
    began = time.monotonic()
    end(studio)
    assert time.monotonic() - began < 5
    expect(page.locator("#message")).to_contain_text("does not answer")
    assert not (folder / name).exists()
    studio = Studio(folder, tmp_path / "work")
    page.goto(studio.address)
    page.get_by_role("tab", name="Queue").click()
    page.locator("[data-state=done]").wait_for(timeout=2 * SLOW)
    assert (folder / name).exists()
    page.close()
    studio.kill()
