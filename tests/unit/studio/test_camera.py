"""A camera of this machine in the studio, without a browser."""

import json
import threading
from typing import Any

import cv2
import numpy as np
import pytest

from crsr_video.errors import ConfigError
from crsr_video.studio.camera import CameraSession
from crsr_video.studio.preview import LoadedNetworks
from tests.support.paths import CLIPS

DEVICE = str(CLIPS / "portrait.mp4")


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
        session.receive({"command": "shown"})
    session.receive({"command": "strength", "strength": 0.5})
    session.close()
    picture = cv2.imdecode(np.frombuffer(page.pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (360, 640, 3)


def test_a_page_that_shows_nothing_is_sent_two_pictures() -> None:
    page = Page()
    session = CameraSession(LoadedNetworks(), page.send, lambda: [DEVICE])
    session.receive({"command": "open", "source": DEVICE})
    page.wait_for(pictures=2)
    session.close()
    assert len(page.pictures) == 2


def test_a_device_that_fails_is_explained() -> None:
    page = Page()
    missing = "/dev/video-of-no-camera"
    session = CameraSession(LoadedNetworks(), page.send, lambda: [missing])
    session.receive({"command": "open", "source": missing})
    page.wait_for(messages=1)
    session.close()
    assert missing in page.messages[0]["error"]


@pytest.mark.parametrize("source", [DEVICE, "rtsp://example.org/a", "/dev/video9"])
def test_only_cameras_of_this_machine_can_be_opened(source: str) -> None:
    session = CameraSession(LoadedNetworks(), Page().send, lambda: ["/dev/video0"])
    with pytest.raises(ConfigError, match="no such camera"):
        session.receive({"command": "open", "source": source})
    session.close()
