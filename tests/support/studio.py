"""A studio in a process of its own, and a browser that opens it."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.support.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TOKEN = "a-secret"
HOST = "127.0.0.1:8000"
ADDRESS = f"http://{HOST}"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


class Studio:
    """A running ``crsr-video studio``.

    Args:
        folder: Folder with videos.
        work_folder: Folder for uploads and the queue.
        port: Port, or 0 for a free one.
    """

    def __init__(self, folder: Path, work_folder: Path, port: int = 0) -> None:
        words = ["studio", str(folder), "--no-browser", "--work-folder", str(work_folder)]
        words += ["--port", str(port)]
        work_folder.mkdir(parents=True, exist_ok=True)
        self._log = work_folder / "log.txt"
        self._log.unlink(missing_ok=True)
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crsr_video", *words],
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.address = self._wait_for_address()

    def stop(self) -> None:
        """Press Ctrl-C.

        Raises:
            subprocess.TimeoutExpired: It does not stop in five seconds, and is killed.
        """
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(5)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process at once, if it runs."""
        self._process.kill()
        self._process.wait()

    def _wait_for_address(self) -> str:
        for _ in range(600):
            text = self._log.read_text()
            if "press Ctrl-C" in text:
                return next(word for word in text.split() if word.startswith("http://"))
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"the studio did not start: {self._log.read_text()}")


def file_id(client: Any, name: str = "portrait.mp4") -> str:
    """Return the ID of a file, as the studio's API lists it."""
    files = client.get("/api/files").json()["files"]
    return str(next(file["id"] for file in files if file["name"] == name))


def parts_of(packet: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return the header of a packet, and the pictures before and after in BGR."""
    (length,) = struct.unpack_from("<I", packet)
    header = json.loads(packet[4 : 4 + length])
    middle = 4 + length + header["before"]
    before = cv2.imdecode(np.frombuffer(packet[4 + length : middle], np.uint8), cv2.IMREAD_COLOR)
    if not header["after"]:
        return header, before, before
    part = cv2.imdecode(np.frombuffer(packet[middle:], np.uint8), cv2.IMREAD_COLOR)
    after = cv2.resize(before, header["size"])
    x, y, width, height = header["area"]
    after[y : y + height, x : x + width] = part
    return header, before, after


@contextmanager
def open_browser(camera: Path | None = None) -> Iterator[Any]:
    """Yield a browser.

    Args:
        camera: A Motion JPEG video that the browser shows as its camera.
    """
    from playwright.sync_api import sync_playwright

    more = [] if camera is None else [f"--use-file-for-fake-video-capture={camera}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS, *more])
        yield browser
        browser.close()


def open_file(page: Any, name: str) -> None:
    """Click a file in the list, and wait until its first frame is shown."""
    with page.expect_response("**/frame"):
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function("!document.getElementById('export').disabled")
    page.wait_for_function("document.getElementById('message').hidden")
