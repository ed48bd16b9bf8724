"""Files that the page has opened, and the pipelines that enhance their frames."""

from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig, PersonSettings
from crsr_video.errors import InputError
from crsr_video.inspection.single_frame import timed
from crsr_video.io.reader import Reader
from crsr_video.pipeline import Pipeline, build, replay_for
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.models import LoadedNetworks
from crsr_video.studio.pictures import jpeg_of
from crsr_video.studio.settings import PersonChoice, StudioSettings
from crsr_video.track.tracker import FaceModels, Tracker
from crsr_video.track.tracks_file import Person
from crsr_video.types import Frame, TrackedFrame

_SAME_TIME_SECONDS = 0.004
"""Maximum time difference between matching frames of a source and its result."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that the page has opened, with the people that were found in it."""

    path: Path
    tracks: Path | None = None
    groups: tuple[Person, ...] = ()
    result: Path | None = None
    """A finished export, which is shown as the enhanced picture instead of a preview."""
    result_start: float = 0.0
    """Seconds of the source at which the result begins."""

    @property
    def person_of(self) -> dict[int, int]:
        """Number of the person by track ID."""
        return {track: group.id for group in self.groups for track in group.tracks}


def config_of(settings: StudioSettings, source: OpenedFile) -> EnhancerConfig:
    """Return the configuration for the page's settings."""
    people: dict[int, PersonSettings] = {}
    for group in source.groups:
        choice = settings.people.get(group.id, PersonChoice())
        if not choice.enabled or choice.strength < 1:
            made = PersonSettings(enabled=choice.enabled, strength=choice.strength)
            people[group.id] = made
    return EnhancerConfig.from_options(
        strength=settings.strength,
        texture=settings.texture,
        region=settings.region,
        scale=settings.scale,
        background=settings.background,
        model=settings.model,
        people=people,
        tracks=source.tracks,
        on_error="passthrough",
    )


def tracker_of(
    source: OpenedFile, reader: Reader, face_models: FaceModels
) -> Stage[Frame, TrackedFrame]:
    """Return the stage that finds faces: a replay of the tracks file, a tracker, or `NoFaces`."""
    if source.result is not None:
        return NoFaces()
    config = config_of(StudioSettings(), source)
    replay = replay_for(config, reader.path, reader.info, shift=reader.source.shift)
    return replay or Tracker(lookahead=0, min_face=config.faces.min_face, face_models=face_models)


def pipeline_of(
    source: OpenedFile,
    settings: StudioSettings,
    networks: LoadedNetworks,
    tracker: Stage[Frame, TrackedFrame],
    quality: LiveQuality,
    *,
    start: float,
    takes_turns: bool = False,
) -> Pipeline:
    """Return the pipeline that makes the enhanced pictures of a file.

    Args:
        source: The file.
        settings: How faces are enhanced.
        networks: The loaded networks.
        tracker: First stage, see `tracker_of`. Pipelines for other settings may share it.
        quality: Quality of the enhancement, which can change during the run.
        start: Seconds of the file at which its reader began.
        takes_turns: See `LoadedNetworks.get`.
    """
    if source.result is not None:
        return Pipeline([("track", tracker), ("result", _Result(source, source.result, start))])
    config = config_of(settings, source)
    loaded = networks.get(config, takes_turns=takes_turns)
    return build(config, live=True, tracker=tracker, networks=loaded, quality=quality)


def thumbnail(path: Path, at: float, width: int) -> bytes:
    """Return a JPEG of the unchanged frame at a time.

    Raises:
        InputError: The file cannot be read.
    """
    with Reader(path, start=max(0.0, at), threads=1) as reader:
        for item in reader:
            if isinstance(item, Frame):
                return jpeg_of(item, width)
    raise InputError(f"{path.name}: there is no frame at {at:.3f} s")


class NoFaces(Stage[Frame, TrackedFrame]):
    """A tracker that finds no faces."""

    def push(self, item: Frame) -> list[TrackedFrame]:
        """Return the frame without faces."""
        return [TrackedFrame(item)]


class _Result(Stage[TrackedFrame, Frame]):
    """Replaces each frame of a source by the frame of an export at the same time."""

    def __init__(self, source: OpenedFile, result: Path, start: float) -> None:
        self._source, self._path, self._start = source, result, start
        self._reader: Reader | None = None
        self._frames: Iterator[tuple[float, Frame]] = iter(())
        self._next: tuple[float, Frame] | None = None
        self._shown: Frame | None = None

    def push(self, item: TrackedFrame) -> list[Frame]:
        seconds = self._start + item.frame.seconds
        if self._reader is None:
            self._open(seconds)
        while self._next is not None and self._next[0] <= seconds + _SAME_TIME_SECONDS:
            self._shown = self._next[1]
            self._next = next(self._frames, None)
        frame = item.frame
        if self._shown is None:
            return [frame]
        return [replace(self._shown, pts=frame.pts, time_base=frame.time_base)]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _open(self, seconds: float) -> None:
        """Open the result a little before a time of the source."""
        start = self._source.result_start
        begin = max(0.0, seconds - start - _SAME_TIME_SECONDS)
        self._reader = Reader(self._path, start=begin)
        self._frames = timed(self._reader, begin + start)
        self._next = next(self._frames, None)


_MAX_BYTES = 32 << 20

Key = tuple[Path, int, float, int]
"""Path, modification time of the file in nanoseconds, time of the frame in seconds, and width."""


class Thumbnails(Closing):
    """Makes thumbnails in a separate thread, and caches the most recently requested ones."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="studio-thumbnail")
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, path: Path, at: float, width: int) -> bytes:
        """Return a JPEG of the frame at a time in seconds, reduced to a width in pixels."""
        key = (path, path.stat().st_mtime_ns, round(at, 3), width)
        return self._executor.submit(self._get, key).result()

    def close(self) -> None:
        """Finish the thumbnail in progress, and cancel all others."""
        self._executor.shutdown(cancel_futures=True)

    def _get(self, key: Key) -> bytes:
        data = self._kept.pop(key, None)
        if data is None:
            data = thumbnail(key[0], key[2], key[3])
            self._bytes += len(data)
        self._kept[key] = data
        while self._bytes > _MAX_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data
