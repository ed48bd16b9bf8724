"""Playing a file in the preview, enhanced on the fly under the policy of live runs."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from crsr_video.closing import Closing
from crsr_video.errors import ConfigError, CrsrError
from crsr_video.inspection.single_frame import timed
from crsr_video.io.reader import Reader
from crsr_video.io.source import Arrival
from crsr_video.live.quality_controller import QualityController
from crsr_video.live.runner import LiveRunner
from crsr_video.live.watchdog import Watchdog
from crsr_video.pipeline import Pipeline
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import QUALITY_LEVELS, LiveQuality
from crsr_video.studio.models import LoadedNetworks
from crsr_video.studio.settings import StudioSettings
from crsr_video.studio.sockets import PageSender, Send
from crsr_video.studio.sources import OpenedFile, pipeline_of, tracker_of
from crsr_video.track.tracker import FaceModels
from crsr_video.types import Frame, TrackedFrame

MAX_WIDTH = 3840
_MAX_LATENCY_SECONDS = 0.3
"""Delay that 95 % of the frames should stay below. Nobody waits for the frames of a file as for
those of a camera, so short loads of the machine need not lower the quality."""
_LEVELS = tuple(level for level in QUALITY_LEVELS if level.enhances)
"""If there is no time for the last level, frames are left out. A preview without enhancement would
show nothing."""
_LATE_SECONDS = 0.15
"""Delay of the decoder beyond which frames are left out."""
_FAR_BEHIND_SECONDS = 1.0
"""Delay, such as after a pause of the machine, beyond which the clock restarts at this frame."""
_TICK_SECONDS = 0.02
"""Interval between two checks for new requests of the page."""


class PlaySession(Closing):
    """Plays one file for one page.

    Args:
        source: The file.
        networks: The loaded networks.
        send: Sends a message to the page.
    """

    def __init__(self, source: OpenedFile, networks: LoadedNetworks, send: Send) -> None:
        self._source, self._networks, self._send = source, networks, send
        self._changed = threading.Condition()
        self._settings = StudioSettings()
        self._has_new_settings = False
        self._width = 1280
        self._begin: float | None = None
        self._sender: PageSender | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="studio-play", daemon=True)
        self._thread.start()

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Handle a message from the page.

        Raises:
            ConfigError: The message is invalid.
        """
        if not isinstance(message, dict):
            raise ConfigError("a playing file takes no pictures")
        with self._changed:
            try:
                if "settings" in message:
                    self._settings = StudioSettings.model_validate(message["settings"])
                    self._has_new_settings = True
                if message.get("command") == "play":
                    self._begin = max(0.0, float(message.get("at", 0.0)))
                    self._width = min(MAX_WIDTH, max(16, int(message.get("width", 1280))))
                elif message.get("command") == "shown" and self._sender is not None:
                    self._sender.acknowledge(int(message.get("number", 0)))
            except (ValidationError, TypeError, ValueError) as error:
                raise ConfigError("a message to the preview has a wrong value") from error
            self._changed.notify()

    def close(self) -> None:
        """Stop playing, and free everything."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            with FaceModels() as face_models:
                while (begin := self._next_begin()) is not None:
                    if self._play(begin, face_models):
                        self._send(json.dumps({"ended": True}))
        except CrsrError as error:
            self._send(json.dumps({"error": str(error)}))

    def _next_begin(self) -> float | None:
        """Wait for a request to play, and return its start, or None if the session was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._begin is not None)
            begin, self._begin, self._has_new_settings = self._begin, None, False
            return None if self._is_closed else begin

    def _play(self, begin: float, face_models: FaceModels) -> bool:
        """Play from a start time, and return whether the end of the file was reached."""
        quality = LiveQuality(_LEVELS)
        person_of = self._source.person_of
        sender = PageSender(
            self._send,
            width=self._width,
            quality=quality,
            start=begin,
            person_of=person_of,
            number=0 if self._sender is None else self._sender.number,
        )
        self._sender = sender
        with Reader(self._source.path, start=begin) as reader:
            tracker = tracker_of(self._source, reader, face_models)
            with LiveRunner(
                _PacedFile(reader, begin, sender),
                sender,
                quality,
                max_latency_seconds=_MAX_LATENCY_SECONDS,
                controller=QualityController(quality, _MAX_LATENCY_SECONDS),
                watchdog=Watchdog(lambda _: None),
                strength=lambda: self._settings.strength,
            ) as runner:
                runner.start(self._pipeline(tracker, quality, begin))
                while not runner.wait(_TICK_SECONDS):
                    if self._is_closed or self._begin is not None:
                        return False
                    if self._has_new_settings:
                        self._has_new_settings = False
                        runner.use(self._pipeline(tracker, quality, begin))
        return True

    def _pipeline(
        self, tracker: Stage[Frame, TrackedFrame], quality: LiveQuality, begin: float
    ) -> Pipeline:
        assert self._sender is not None
        # The background takes too long to be treated while the file plays.
        settings = self._settings.model_copy(update={"background": "keep"})
        made = pipeline_of(self._source, settings, self._networks, tracker, quality, start=begin)
        made.observer = self._sender.observe
        return made


class _PacedFile:
    """Frames of a file at the speed of the file, while the page has room for them."""

    def __init__(self, reader: Reader, begin: float, sender: PageSender) -> None:
        self._reader, self._begin, self._sender = reader, begin, sender
        self._stop = threading.Event()
        self.state = "decoding"

    def __iter__(self) -> Iterator[Arrival]:
        clock: float | None = None
        for seconds, frame in timed(self._reader, self._begin):
            now = time.monotonic()
            if clock is None or now - clock - seconds > _FAR_BEHIND_SECONDS:
                clock = now - seconds
            ahead = clock + seconds - now
            if ahead > 0:
                self._stop.wait(ahead)
            if self._stop.is_set():
                return
            if ahead > -_LATE_SECONDS and self._sender.has_room:
                yield Arrival(frame, time.monotonic())

    def interrupt(self) -> None:
        self._stop.set()
