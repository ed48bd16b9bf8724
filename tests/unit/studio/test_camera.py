"""A camera of this machine in the studio, without a browser."""

import json
import threading
from typing import Any

import cv2
import pytest

from crsr_video.errors import ConfigError
from crsr_video.studio.camera import CameraSession
from crsr_video.studio.models import LoadedNetworks
from tests.support.paths import PORTRAIT
from tests.support.studio import parts_of

DEVICE = str(PORTRAIT)


class Page:
    """Collects what a session sends."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.messages: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def send(self, message: bytes | str) -> None:
        with self._changed:
            if isinstance(message, bytes):
                self.pictures.append(message)
            else:
                self.messages.append(json.loads(message))
            self._changed.notify()

    def wait_for(self, *, pictures: int = 0, messages: int = 0) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: len(self.pictures) >= pictures and len(self.messages) >= messages, 30
            )


def test_a_device_comes_enhanced_while_the_page_shows_it() -> None:
    page = Page()
    session = CameraSession(LoadedNetworks(), page.send, lambda: [DEVICE])
    session.receive({"command": "open", "source": DEVICE, "strength": 1.0})
    for number in (1, 2):
        page.wait_for(pictures=number)
        session.receive({"command": "shown", "number": number})
    session.receive({"command": "strength", "strength": 0.5})
    session.close()
    header, before, _ = parts_of(page.pictures[0])
    assert header["number"] == 1
    assert before.shape == (360, 640, 3)


def test_a_page_that_shows_nothing_is_sent_three_pictures() -> None:
    page = Page()
    session = CameraSession(LoadedNetworks(), page.send, lambda: [DEVICE])
    session.receive({"command": "open", "source": DEVICE})
    page.wait_for(pictures=3)
    session.close()
    assert len(page.pictures) == 3


def test_a_device_that_fails_is_explained() -> None:
    page = Page()
    missing = "/dev/video-of-no-camera"
    session = CameraSession(LoadedNetworks(), page.send, lambda: [missing])
    session.receive({"command": "open", "source": missing})
    page.wait_for(messages=1)
    session.close()
    assert missing in page.messages[0]["error"]


def test_the_camera_of_a_browser_is_enhanced() -> None:
    page = Page()
    session = CameraSession(LoadedNetworks(), page.send)
    with pytest.raises(ConfigError, match="open the camera"):
        session.receive(b"a picture")
    session.receive({"command": "open", "source": "browser"})
    clip = cv2.VideoCapture(DEVICE)
    for number in range(1, 4):
        session.receive(cv2.imencode(".jpg", clip.read()[1])[1].tobytes())
        page.wait_for(pictures=number)
        session.receive({"command": "shown", "number": number})
    session.receive(b"no picture")
    page.wait_for(messages=1)
    session.close()
    assert "JPEG" in page.messages[-1]["error"]


@pytest.mark.parametrize("source", [DEVICE, "rtsp://example.org/a", "/dev/video9"])
def test_only_cameras_of_this_machine_can_be_opened(source: str) -> None:
    session = CameraSession(LoadedNetworks(), Page().send, lambda: ["/dev/video0"])
    with pytest.raises(ConfigError, match="no such camera"):
        session.receive({"command": "open", "source": source})
    session.close()
