"""A camera, enhanced live: the browser's own, or a device of this machine."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError
from crsr_video.io.frames import from_rgb
from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.pipeline import Pipeline, build
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.pictures import jpeg_of
from crsr_video.studio.preview import LoadedNetworks
from crsr_video.types import Frame

_MAX_LATENCY = 0.1
_MAX_SIDE = 1920
_STATUS_SECONDS = 0.5


def camera_devices() -> list[str]:
    """Return the cameras of this machine that can be named by a path (V4L2)."""
    return sorted(str(path) for path in Path("/dev").glob("video*"))


class CameraSession:
    """Enhances one camera for one page.

    Args:
        networks: Where networks are taken from.
        send: Sends a message to the page; may be called from any thread.
    """

    def __init__(self, networks: LoadedNetworks, send: Callable[[bytes | str], None]) -> None:
        self._networks, self._send = networks, send
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._quality = LiveQuality()
        self._controller = QualityController(self._quality, _MAX_LATENCY)
        self._count = 0
        self._status = _Status()

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Take a message of the page: a command, or a JPEG picture of its camera.

        Raises:
            ConfigError: The message makes no sense.
            CrsrError: The networks cannot be loaded.
        """
        with self._lock:
            if isinstance(message, bytes):
                self._count += 1
                self._enhance(_decoded(message, self._count))
            elif message.get("command") in ("open", "strength"):
                self._build(message)

    def close(self) -> None:
        """Free everything."""
        with self._lock:
            if self._pipeline is not None:
                self._pipeline.close()
                self._pipeline = None

    def _build(self, message: dict[str, Any]) -> None:
        if message.get("source", "browser") != "browser":
            raise ConfigError("use crsr-video live for cameras that the browser does not offer")
        try:
            strength = float(message.get("strength", 1.0))
        except (TypeError, ValueError):
            raise ConfigError("the strength is not a number") from None
        config = EnhancerConfig.from_options(strength=strength, on_error="passthrough")
        if self._pipeline is not None:
            self._pipeline.close()
        networks = self._networks.get(config)
        self._pipeline = build(config, live=True, networks=networks, quality=self._quality)

    def _enhance(self, frame: Frame) -> None:
        if self._pipeline is None:
            raise ConfigError("open the camera before pictures are sent")
        began = time.monotonic()
        tracked = self._pipeline.track(frame)[0]
        found = time.monotonic()
        done = self._pipeline.restore(tracked)[0]
        self._send(jpeg_of(done, _MAX_SIDE))
        end = time.monotonic()
        self._controller.push(
            FrameTiming(end - began, found - began, end - found, 0.0, fresh=self._quality.fresh)
        )
        facts = self._status.tick(end - began, self._quality.level.name)
        if facts is not None:
            self._send(json.dumps(facts))


class _Status:
    """What the page shows about the speed, twice a second."""

    def __init__(self) -> None:
        self._begin()

    def tick(self, latency: float, quality: str) -> dict[str, Any] | None:
        self._frames += 1
        self._seconds += latency
        passed = time.monotonic() - self._since
        if passed < _STATUS_SECONDS:
            return None
        facts = {
            "fps": self._frames / passed,
            "latency": self._seconds / self._frames,
            "quality": quality,
        }
        self._begin()
        return facts

    def _begin(self) -> None:
        self._since, self._frames, self._seconds = time.monotonic(), 0, 0.0


def _decoded(data: bytes, index: int) -> Frame:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or max(picture.shape[:2]) > _MAX_SIDE:
        raise ConfigError(f"a camera picture must be a JPEG of at most {_MAX_SIDE} pixels a side")
    return from_rgb(np.ascontiguousarray(picture[..., ::-1]), index)
