"""Live enhancement of a camera: the browser's own, or a device of this machine."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import cv2
import numpy as np

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError, CrsrError
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.pictures import from_rgb
from crsr_video.io.source import Arrival
from crsr_video.live.quality_controller import QualityController
from crsr_video.live.runner import LiveRunner
from crsr_video.live.settings import LiveSource
from crsr_video.live.watchdog import Watchdog
from crsr_video.pipeline import build
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.models import LoadedNetworks
from crsr_video.studio.sockets import PageSender, Send
from crsr_video.types import Frame

_MAX_LATENCY_SECONDS = 0.1
_MAX_SIDE = 1920
_STATUS_SECONDS = 0.5
_WAITING_PICTURES = 2
"""Number of pictures of a browser's camera that may wait. The browser sends no more before it gets
one back."""


def camera_devices() -> list[str]:
    """Return the cameras of this machine that can be named by a path (V4L2)."""
    return sorted(str(path) for path in Path("/dev").glob("video*"))


class CameraSession(Closing):
    """Enhances one camera for one page, under the policy of live runs.

    Args:
        networks: The loaded networks.
        send: Sends a message to the page.
        devices: Addresses of the devices that the page may open.
    """

    def __init__(
        self,
        networks: LoadedNetworks,
        send: Send,
        devices: Callable[[], list[str]] = camera_devices,
    ) -> None:
        self._networks, self._send, self._devices = networks, send, devices
        self._strength = 1.0
        self._browser: _BrowserCamera | None = None
        self._sender: PageSender | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Handle a message from the page: a command, or a JPEG picture of its camera.

        Raises:
            ConfigError: The message is invalid.
        """
        if isinstance(message, bytes):
            if self._browser is None:
                raise ConfigError("open the camera before pictures are sent")
            self._browser.put(message)
            return
        try:
            self._strength = min(1.0, max(0.0, float(message.get("strength", self._strength))))
            number = int(message.get("number", 0))
        except (TypeError, ValueError):
            raise ConfigError("a message to the camera has a wrong value") from None
        if message.get("command") == "shown" and self._sender is not None:
            self._sender.acknowledge(number)
        elif message.get("command") == "open":
            self._open(str(message.get("source", "browser")))

    def close(self) -> None:
        """Stop, and free everything."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _open(self, source: str) -> None:
        self.close()
        if source != "browser" and source not in self._devices():
            raise ConfigError(f"{source}: there is no such camera any more")
        self._closed.clear()
        quality = LiveQuality()
        self._sender = PageSender(self._send, width=_MAX_SIDE, quality=quality)
        self._browser = _BrowserCamera() if source == "browser" else None
        self._thread = threading.Thread(
            target=self._run,
            args=(source, self._sender, quality),
            name="studio-camera",
            daemon=True,
        )
        self._thread.start()

    def _run(self, source: str, sender: PageSender, quality: LiveQuality) -> None:
        try:
            if self._browser is not None:
                self._enhance(self._browser, sender, quality)
            else:
                with LiveReader(source) as reader:
                    self._enhance(_WhileShown(reader, sender), sender, quality)
        except CrsrError as error:
            self._send(json.dumps({"error": str(error)}))

    def _enhance(self, source: LiveSource, sender: PageSender, quality: LiveQuality) -> None:
        with LiveRunner(
            source,
            sender,
            quality,
            max_latency_seconds=_MAX_LATENCY_SECONDS,
            controller=QualityController(quality, _MAX_LATENCY_SECONDS),
            watchdog=Watchdog(lambda _: None),
            strength=lambda: self._strength,
        ) as runner:
            runner.start()
            config = EnhancerConfig.from_options(region="face", on_error="passthrough")
            networks = self._networks.get(config)
            with build(config, live=True, networks=networks, quality=quality) as pipeline:
                pipeline.observer = sender.observe
                runner.use(pipeline)
                while not runner.wait(_STATUS_SECONDS) and not self._closed.is_set():
                    facts = {
                        "fps": runner.latency.recent_rate(),
                        "latency": runner.latency.recent().p50 / 1e3,
                        "quality": quality.level.name,
                    }
                    self._send(json.dumps(facts))
                runner.close()  # The runner uses the pipeline, so it closes first.


class _WhileShown:
    """The items of a reader, without the frames for which the page has no room."""

    def __init__(self, reader: LiveReader, sender: PageSender) -> None:
        self._reader, self._sender = reader, sender

    @property
    def state(self) -> str:
        return self._reader.state

    def __iter__(self) -> Iterator[Arrival]:
        for arrival in self._reader:
            if not isinstance(arrival.item, Frame) or self._sender.has_room:
                yield arrival

    def interrupt(self) -> None:
        self._reader.interrupt()


class _BrowserCamera:
    """Pictures that a page sends."""

    state = "waiting for the browser"

    def __init__(self) -> None:
        self._pictures: Queue[tuple[float, bytes] | None] = Queue(_WAITING_PICTURES)
        self._stop = threading.Event()

    def put(self, data: bytes) -> None:
        """Queue a JPEG picture. The oldest one is dropped if too many wait."""
        if self._pictures.full():
            self._drop_oldest()
        with suppress(Full):  # The session is ending.
            self._pictures.put_nowait((time.monotonic(), data))

    def __iter__(self) -> Iterator[Arrival]:
        count = 0
        while not self._stop.is_set() and (found := self._pictures.get()) is not None:
            count += 1
            yield Arrival(_decoded(found[1], count), found[0])

    def interrupt(self) -> None:
        self._stop.set()
        self._drop_oldest()
        with suppress(Full):  # If the queue is full, the iteration ends after one more picture.
            self._pictures.put_nowait(None)

    def _drop_oldest(self) -> None:
        with suppress(Empty):
            self._pictures.get_nowait()


def _decoded(data: bytes, index: int) -> Frame:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or max(picture.shape[:2]) > _MAX_SIDE:
        raise ConfigError(f"a camera picture must be a JPEG of at most {_MAX_SIDE} pixels a side")
    return from_rgb(np.ascontiguousarray(picture[..., ::-1]), index)
