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
from crsr_video.errors import ConfigError, CrsrError
from crsr_video.io.frames import from_rgb
from crsr_video.io.live_reader import LiveReader
from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.live.queues import LatestFrameQueue
from crsr_video.pipeline import Pipeline, build
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.pictures import jpeg_of
from crsr_video.studio.preview import LoadedNetworks
from crsr_video.types import Frame

_MAX_LATENCY = 0.1
_MAX_SIDE = 1920
_MAX_UNSHOWN = 2
"""Pictures on their way to the page beyond which frames of a device are dropped."""
_STATUS_SECONDS = 0.5


def camera_devices() -> list[str]:
    """Return the cameras of this machine that can be named by a path (V4L2)."""
    return sorted(str(path) for path in Path("/dev").glob("video*"))


class CameraSession:
    """Enhances one camera for one page.

    Args:
        networks: Where networks are taken from.
        send: Sends a message to the page; may be called from any thread.
        devices: Addresses of the devices that the page may open.
    """

    def __init__(
        self,
        networks: LoadedNetworks,
        send: Callable[[bytes | str], None],
        devices: Callable[[], list[str]] = camera_devices,
    ) -> None:
        self._networks, self._send, self._devices = networks, send, devices
        self._lock = threading.Lock()
        self._pipeline: Pipeline | None = None
        self._quality = LiveQuality()
        self._controller = QualityController(self._quality, _MAX_LATENCY)
        self._count = 0
        self._sent = self._shown = 0
        self._status = _Status()
        self._device: _Device | None = None

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Take a message of the page: a command, or a JPEG picture of its camera.

        Raises:
            ConfigError: The message makes no sense.
            CrsrError: The networks cannot be loaded.
        """
        if isinstance(message, bytes):
            arrived = time.monotonic()
            self._count += 1
            self._enhance(_decoded(message, self._count), arrived)
        elif message.get("command") == "shown":
            self._shown = self._sent
        elif message.get("command") == "open":
            self._build(message)
            self._open(str(message.get("source", "browser")))
        elif message.get("command") == "strength":
            self._build(message)

    def close(self) -> None:
        """Free everything."""
        if self._device is not None:
            self._device.close()
            self._device = None
        with self._lock:
            if self._pipeline is not None:
                self._pipeline.close()
                self._pipeline = None

    def _open(self, source: str) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None
        if source == "browser":
            return
        if source not in self._devices():
            raise ConfigError(f"{source}: there is no such camera any more")
        self._device = _Device(source, self._enhance_latest, self._fail)

    def _build(self, message: dict[str, Any]) -> None:
        try:
            strength = float(message.get("strength", 1.0))
        except (TypeError, ValueError):
            raise ConfigError("the strength is not a number") from None
        config = EnhancerConfig.from_options(strength=strength, on_error="passthrough")
        networks = self._networks.get(config)
        with self._lock:
            if self._pipeline is not None:
                self._pipeline.close()
            self._pipeline = build(config, live=True, networks=networks, quality=self._quality)

    def _enhance_latest(self, frame: Frame, arrived: float) -> None:
        """Enhance a frame of a device, unless the page has not shown the last ones yet."""
        if self._sent - self._shown < _MAX_UNSHOWN:
            self._enhance(frame, arrived)

    def _enhance(self, frame: Frame, arrived: float) -> None:
        with self._lock:
            if self._pipeline is None:
                raise ConfigError("open the camera before pictures are sent")
            began = time.monotonic()
            tracked = self._pipeline.track(frame)
            found = time.monotonic()
            done = self._pipeline.restore(tracked[0]) if tracked else []
            self._sent += 1
            self._send(jpeg_of(done[0] if done else frame, _MAX_SIDE))
            end = time.monotonic()
            fresh = self._quality.fresh
            self._controller.push(
                FrameTiming(end - arrived, found - began, end - found, 0.0, fresh=fresh)
            )
            facts = self._status.tick(end - arrived, self._quality.level.name)
        if facts is not None:
            self._send(json.dumps(facts))

    def _fail(self, message: str) -> None:
        self._send(json.dumps({"error": message}))


class _Device:
    """Reads a camera of this machine in one thread, and passes its newest frames on in another.

    Args:
        address: Path of the device.
        on_frame: Called with a frame and the time of its arrival.
        on_failure: Called with a message if the device cannot be used.
    """

    def __init__(
        self,
        address: str,
        on_frame: Callable[[Frame, float], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._address, self._on_frame, self._on_failure = address, on_frame, on_failure
        self._queue = LatestFrameQueue(max_frames=1, max_age_seconds=_MAX_LATENCY)
        self._reader: LiveReader | None = None
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"studio-camera-{run.__name__}", daemon=True)
            for run in (self._read, self._pass_on)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop reading, and close the device."""
        self._closed.set()
        if self._reader is not None:
            self._reader.interrupt()
        self._queue.interrupt()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        try:
            with LiveReader(self._address) as self._reader:
                for arrival in self._reader:
                    if self._closed.is_set():
                        return
                    if isinstance(arrival.item, Frame):
                        self._queue.put(arrival)
        except CrsrError as error:
            self._on_failure(str(error))
        finally:
            self._queue.end()

    def _pass_on(self) -> None:
        try:
            for arrival in self._queue:
                if isinstance(arrival.item, Frame):
                    self._on_frame(arrival.item, arrival.at)
        except CrsrError as error:
            self._on_failure(str(error))


class _Status:
    """Figures about the speed that the page shows, twice a second."""

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
