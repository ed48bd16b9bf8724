"""The preview: single frames, and a stream of frames that plays, enhanced on the fly."""

import json
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig, PersonSettings
from crsr_video.errors import ConfigError, CrsrError, InputError
from crsr_video.inspection.single_frame import search_for, timed
from crsr_video.io.reader import Reader
from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.pipeline import Pipeline, build, replay_for
from crsr_video.runtime.loading import Networks, load_networks
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.pictures import face_facts, jpeg_of, packet_of
from crsr_video.studio.settings import PersonChoice, Settings
from crsr_video.track.tracks_file import Person
from crsr_video.types import Frame, TrackedFrame

MAX_WIDTH = 3840
_LOADED = 4
"""Networks that stay in memory."""
_MAX_UNSHOWN = 3
"""Packets on their way to the page beyond which frames are dropped."""
_LATE_SECONDS = 0.15
"""Delay beyond which frames are dropped."""
_SAME_TIME_SECONDS = 0.004
"""Difference of times up to which frames of a source and a result belong together."""
_RATE_WINDOW = 30
"""Frames over which the frame rate is averaged."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the page, with what is known of its people."""

    path: Path
    tracks: Path | None = None
    groups: tuple[Person, ...] = ()
    result: Path | None = None
    """A finished export, which is shown as the picture after instead of a preview."""
    result_start: float = 0.0
    """Seconds of the source at which the result begins."""

    @property
    def person_of(self) -> dict[int, int]:
        """Number of the person by track ID."""
        return {track: group.id for group in self.groups for track in group.tracks}


class LoadedNetworks:
    """Networks in memory, shared by all previews. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, float, bool], Networks] = {}
        self.turn = threading.Lock()
        """Held by whoever uses networks of which pipelines take turns."""

    def get(self, config: EnhancerConfig, *, takes_turns: bool = False) -> Networks:
        """Return the networks of a configuration; the last ones stay loaded.

        Args:
            config: The configuration.
            takes_turns: The caller holds `turn` while it runs them. Pipelines are then built in a
                fraction of the time.
        """
        key = (config.networks.model, config.networks.texture, takes_turns)
        with self._lock:
            found = self._loaded.pop(key, None)
            if found is None:
                found = self._loaded.get((*key[:2], not takes_turns)) or load_networks(config)
                found = found.taking_turns() if takes_turns else replace(found, shared=None)
            self._loaded[key] = found
            for old in list(self._loaded)[:-_LOADED]:
                del self._loaded[old]
            return found


def config_of(settings: Settings, source: Source) -> EnhancerConfig:
    """Return the configuration that the page's settings stand for.

    Raises:
        ConfigError: A value is out of range.
    """
    people: dict[int, PersonSettings] = {}
    for group in source.groups:
        choice = settings.people.get(group.id, PersonChoice())
        if not choice.enabled or choice.strength < 1:
            made = PersonSettings(enabled=choice.enabled, strength=choice.strength)
            people[group.id] = made
    return EnhancerConfig.from_options(
        strength=settings.strength,
        texture=settings.texture,
        scale=settings.scale,
        model=settings.model,
        people=people,
        tracks=source.tracks,
        on_error="passthrough",
    )


def thumbnail(path: Path, at: float, width: int) -> bytes:
    """Return a JPEG of the frame at a time, as it is.

    Raises:
        InputError: The file cannot be read.
    """
    with Reader(path, start=max(0.0, at)) as reader:
        for item in reader:
            if isinstance(item, Frame):
                return jpeg_of(item, width)
    raise InputError(f"{path.name}: there is no frame at {at:.3f} s")


def single_frame(
    source: Source,
    settings: Settings,
    networks: LoadedNetworks,
    at: float,
    width: int,
    *,
    fps: float,
) -> bytes:
    """Return a packet with the frame at a time, before and after.

    Args:
        source: The file.
        settings: How faces are enhanced.
        networks: Where networks are taken from.
        at: Seconds from the beginning of the file; the nearest frame is taken.
        width: Largest width of the pictures in pixels.
        fps: Frame rate of the file.

    Raises:
        CrsrError: The file cannot be read, or the settings cannot be used.
    """
    search = search_for(source.path, at, fps=fps)
    with (
        networks.turn,
        _open_stream(
            source, settings, networks, search.begin, LiveQuality(), takes_turns=True
        ) as stream,
    ):
        moment = search.run(stream.frames(), stream.track)
        if moment is None:
            raise InputError(f"{source.path.name}: there is no frame at {at:.3f} s")
        header = {"at": moment.seconds, "width": _upright_width(moment.frame)}
        return stream.packet(header, moment.frame, moment.tracked, width)


class _Stream(Closing):
    """Frames of a file from a time on, and what is shown as the picture after."""

    def __init__(self, source: Source, start: float) -> None:
        self._source = source
        self._start = start
        self.reader = Reader(source.path, start=start)

    def frames(self) -> Iterator[tuple[float, Frame]]:
        """Yield frames with their times in the file."""
        return timed(self.reader, self._start)

    @abstractmethod
    def change(self, settings: Settings) -> None:
        """Use other settings from the next frame on."""

    @abstractmethod
    def track(self, frame: Frame) -> TrackedFrame:
        """Search a frame for faces."""

    @abstractmethod
    def packet(
        self, header: dict[str, Any], frame: Frame, tracked: TrackedFrame, width: int
    ) -> bytes:
        """Return a frame before and after."""

    def close(self) -> None:
        self.reader.close()


def _open_stream(
    source: Source,
    settings: Settings,
    networks: LoadedNetworks,
    start: float,
    quality: LiveQuality,
    *,
    takes_turns: bool = False,
) -> _Stream:
    if source.result is not None:
        return _ResultStream(source, source.result, start)
    return _EnhancedStream(source, settings, networks, start, quality, takes_turns=takes_turns)


class _EnhancedStream(_Stream):
    """A file, enhanced on the fly."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        networks: LoadedNetworks,
        start: float,
        quality: LiveQuality,
        *,
        takes_turns: bool,
    ) -> None:
        self._networks, self._quality, self._takes_turns = networks, quality, takes_turns
        self._pipeline: Pipeline | None = None
        super().__init__(source, start)
        try:
            self.change(settings)
        except CrsrError:
            self.close()
            raise

    def change(self, settings: Settings) -> None:
        config, reader = config_of(settings, self._source), self.reader
        networks = self._networks.get(config, takes_turns=self._takes_turns)
        replay = replay_for(config, reader.path, reader.info, shift=reader.source.shift)
        pipeline = build(
            config, live=True, tracker=replay, networks=networks, quality=self._quality
        )
        if self._pipeline is not None:
            self._pipeline.close()
        self._seen: TrackedFrame | None = None
        pipeline.observer = self._observe
        self._pipeline = pipeline

    def track(self, frame: Frame) -> TrackedFrame:
        assert self._pipeline is not None
        return self._pipeline.track(frame)[0]

    def packet(
        self, header: dict[str, Any], frame: Frame, tracked: TrackedFrame, width: int
    ) -> bytes:
        assert self._pipeline is not None
        done = self._pipeline.restore(tracked)
        after = done[0] if done else frame
        seen = self._seen or tracked
        person_of = self._source.person_of
        faces = [face_facts(face, frame, person_of) for face in seen.faces]
        shown = jpeg_of(frame, width)
        changed = shown if after is frame or not after.changed else jpeg_of(after, width)
        return packet_of({**header, "faces": faces}, shown, changed)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
        super().close()

    def _observe(self, item: TrackedFrame, _: Frame) -> None:
        self._seen = item


class _ResultStream(_Stream):
    """A file, beside the result of an export of it."""

    def __init__(self, source: Source, result: Path, start: float) -> None:
        super().__init__(source, start)
        begin = max(0.0, start - source.result_start)
        try:
            self._result = Reader(result, start=begin)
        except CrsrError:
            self.reader.close()
            raise
        self._frames = timed(self._result, begin + source.result_start)
        self._next = next(self._frames, None)
        self._shown: Frame | None = None

    def change(self, settings: Settings) -> None:
        """Do nothing: a result has the settings of its export."""

    def track(self, frame: Frame) -> TrackedFrame:
        return TrackedFrame(frame)

    def packet(
        self,
        header: dict[str, Any],
        frame: Frame,
        tracked: TrackedFrame,  # noqa: ARG002 - a result has no faces of its own
        width: int,
    ) -> bytes:
        while self._next is not None and self._next[0] <= header["at"] + _SAME_TIME_SECONDS:
            self._shown = self._next[1]
            self._next = next(self._frames, None)
        before = jpeg_of(frame, width)
        after = before if self._shown is None else jpeg_of(self._shown, width)
        return packet_of({**header, "faces": [], "result": True}, before, after)

    def close(self) -> None:
        self._result.close()
        super().close()


class PlaySession:
    """Plays one file for one page.

    Args:
        source: The file.
        networks: Where networks are taken from.
        send: Sends a message to the page; may be called from any thread.
    """

    def __init__(
        self, source: Source, networks: LoadedNetworks, send: Callable[[bytes | str], None]
    ) -> None:
        self._source, self._networks, self._send = source, networks, send
        self._changed = threading.Condition()
        self._settings = Settings()
        self._new_settings = False
        self._width = 1280
        self._begin: float | None = None
        self._sent = self._shown = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="studio-play", daemon=True)
        self._thread.start()

    def receive(self, message: dict[str, Any] | bytes) -> None:
        """Take a message of the page.

        Raises:
            ConfigError: The message makes no sense.
        """
        if not isinstance(message, dict):
            raise ConfigError("a playing file takes no pictures")
        with self._changed:
            try:
                if "settings" in message:
                    self._settings = Settings.model_validate(message["settings"])
                    self._new_settings = True
                if message.get("command") == "play":
                    self._begin = max(0.0, float(message.get("at", 0.0)))
                    self._width = min(MAX_WIDTH, max(16, int(message.get("width", 1280))))
                elif message.get("command") == "shown":
                    self._shown = max(self._shown, int(message.get("number", 0)))
            except (ValidationError, TypeError, ValueError) as error:
                raise ConfigError("a message to the preview has a wrong value") from error
            self._changed.notify()

    def close(self) -> None:
        """Stop playing, and free everything."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._begin is not None)
                    if self._closed:
                        return
                    begin, self._begin, self._new_settings = self._begin, None, False
                    assert begin is not None
                if self._play(begin):
                    self._send(json.dumps({"ended": True}))
        except CrsrError as error:
            self._send(json.dumps({"error": str(error)}))

    def _play(self, begin: float) -> bool:
        """Play from a time on. Return whether the end of the file was reached."""
        quality = LiveQuality()
        controller = QualityController(quality, _LATE_SECONDS)
        with _open_stream(self._source, self._settings, self._networks, begin, quality) as stream:
            rate = _FrameRate()
            clock: float | None = None
            for time_of_frame, frame in stream.frames():
                if self._closed or self._begin is not None:
                    return False
                if self._new_settings:
                    self._new_settings = False
                    stream.change(self._settings)
                now = time.monotonic()
                clock = now - time_of_frame if clock is None else clock
                ahead = clock + time_of_frame - now
                if ahead > 0:
                    time.sleep(ahead)
                elif ahead < -1.0:  # Far behind, for example after a pause of the machine.
                    clock = now - time_of_frame
                if self._sent - self._shown >= _MAX_UNSHOWN or ahead < -_LATE_SECONDS:
                    continue
                self._show(stream, controller, quality, frame, time_of_frame, rate, clock)
        return True

    def _show(
        self,
        stream: _Stream,
        controller: QualityController,
        quality: LiveQuality,
        frame: Frame,
        time_of_frame: float,
        rate: "_FrameRate",
        clock: float,
    ) -> None:
        began = time.monotonic()
        tracked = stream.track(frame)
        found = time.monotonic()
        self._sent += 1
        header = {
            "at": time_of_frame,
            "number": self._sent,
            "width": _upright_width(frame),
            "fps": rate.tick(),
            "quality": quality.level.name,
            "note": "" if quality.index == 0 else f"Preview quality: {quality.level.name}",
        }
        self._send(stream.packet(header, frame, tracked, self._width))
        done = time.monotonic()
        latency = done - clock - time_of_frame
        controller.push(FrameTiming(latency, found - began, done - found, 0.0, fresh=quality.fresh))


class _FrameRate:
    """Frames per second over the last frames."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def tick(self) -> float:
        """Count a frame, and return the rate."""
        self._times = [*self._times[-_RATE_WINDOW:], time.monotonic()]
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(1e-6, self._times[-1] - self._times[0])


def _upright_width(frame: Frame) -> int:
    """Return the width of an upright frame with square pixels."""
    if frame.rotation % 180:
        return round(frame.height / min(float(frame.sample_aspect), 1.0))
    return round(frame.width * max(float(frame.sample_aspect), 1.0))
