"""Single frames of the preview, while a file does not play."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import InputError
from crsr_video.inspection.single_frame import Moment, Search, search_for, timed
from crsr_video.io.reader import Reader
from crsr_video.pipeline import build
from crsr_video.stages.quality import LiveQuality
from crsr_video.studio.models import LoadedNetworks
from crsr_video.studio.pictures import face_facts, packet_of
from crsr_video.studio.settings import StudioSettings
from crsr_video.studio.sockets import upright_width
from crsr_video.studio.sources import NoFaces, OpenedFile, pipeline_of, tracker_of
from crsr_video.track.tracker import FaceModels
from crsr_video.types import Frame, TrackedFrame

_FORWARD_FRAMES = 12
"""Farthest frame ahead that is reached by decoding. Beyond that, it is faster to seek."""
_FILES_PER_COLLECTION = 8
"""Number of closed files after which garbage is collected. PyAV's containers and streams refer to
each other, so a closed decoder keeps its memory (3 MB at 640x480) until then. Python itself
collects old objects only every few minutes if a process has many of them."""


class SingleFrames(Closing):
    """Shows single frames of files, one at a time and all in one thread.

    The file that was shown last stays open. A change of settings therefore needs no new decoding or
    tracking, and the next frames need no seeking. One thread and one set of face models keep memory
    use constant, because libraries keep memory for each thread and each model that they have seen.

    Args:
        networks: The networks in memory.
        release_memory: Called now and then after files were closed.
    """

    def __init__(
        self, networks: LoadedNetworks, *, release_memory: Callable[[], object] = gc.collect
    ) -> None:
        self._networks, self._release_memory = networks, release_memory
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="studio-frame")
        self._face_models: FaceModels | None = None
        self._file: _OpenFile | None = None
        self._closed_files = 0

    def prepare(self) -> None:
        """Load the networks and the face models, so that the first frame comes soon."""
        self._executor.submit(self._prepare).result()

    def show(
        self, source: OpenedFile, settings: StudioSettings, at: float, width: int, *, fps: float
    ) -> bytes:
        """Return a packet with the frame at a time, before and after.

        Args:
            source: The file.
            settings: How faces are enhanced.
            at: Seconds from the beginning of the file; the nearest frame is taken.
            width: Largest width of the pictures in pixels.
            fps: Frame rate of the file.
        """
        return self._executor.submit(self._show, source, settings, at, width, fps).result()

    def close(self) -> None:
        """Close the file that is open, and free the face models."""
        self._executor.submit(self._forget).result()
        self._executor.shutdown()

    def _show(
        self, source: OpenedFile, settings: StudioSettings, at: float, width: int, fps: float
    ) -> bytes:
        search = search_for(at, fps)
        try:
            moment = self._open(source, search).find(search)
        except BaseException:
            self._close_file()
            raise
        if moment is None:
            raise InputError(f"{source.path.name}: there is no frame at {at:.3f} s")
        seen: list[TrackedFrame] = []
        assert self._file is not None
        with pipeline_of(
            source,
            settings,
            self._networks,
            self._file.tracker,
            LiveQuality(),
            start=self._file.begin,
            takes_turns=True,
        ) as pipeline:
            pipeline.observer = lambda item, _: seen.append(item)
            done = pipeline.restore(moment.tracked)
        faces = [
            face_facts(face, moment.frame, source.person_of)
            for face in (seen or [moment.tracked])[0].faces
        ]
        header = {"at": moment.seconds, "width": upright_width(moment.frame), "faces": faces}
        return packet_of(header, moment.frame, done[0] if done else moment.frame, width)

    def _prepare(self) -> None:
        self._face_models = self._face_models or FaceModels()
        networks = self._networks.get(EnhancerConfig(), takes_turns=True)
        with build(EnhancerConfig(), live=True, tracker=NoFaces(), networks=networks) as pipeline:
            pipeline.warm_up()

    def _open(self, source: OpenedFile, search: Search) -> "_OpenFile":
        """Return the open file if it reaches the frame soon, or open the file near the frame."""
        version = _version(source)
        if self._file is not None and self._file.version == version and self._file.reaches(search):
            return self._file
        self._close_file()
        self._face_models = self._face_models or FaceModels()
        self._file = _OpenFile(source, version, search.begin, self._face_models)
        return self._file

    def _close_file(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        self._closed_files += 1
        if self._closed_files % _FILES_PER_COLLECTION == 0:
            self._release_memory()

    def _forget(self) -> None:
        self._close_file()
        if self._face_models is not None:
            self._face_models.close()
            self._face_models = None


class _OpenFile(Closing):
    """A file that is read from a given time on, and the frame that was shown last."""

    def __init__(
        self, source: OpenedFile, version: Any, begin: float, face_models: FaceModels
    ) -> None:
        self.version, self.begin = version, begin
        self._reader = Reader(source.path, start=begin)
        try:
            self.tracker = tracker_of(source, self._reader, face_models)
        except BaseException:
            self._reader.close()
            raise
        self._frames: Iterator[tuple[float, Frame]] = timed(self._reader, begin)
        self._moment: Moment | None = None
        self._reached = begin

    def reaches(self, search: Search) -> bool:
        """Return whether the wanted frame is the last one, or follows it soon."""
        moment = self._moment
        if moment is None or moment.seconds < self._reached:
            return False
        return self._is_shown(search) or (
            0 < search.wanted - moment.seconds <= _FORWARD_FRAMES * search.step
        )

    def find(self, search: Search) -> Moment | None:
        """Return the wanted frame, or None if there is none."""
        if not self._is_shown(search):
            self._moment = search.run(self._frames, self._track, self._moment)
        return self._moment

    def close(self) -> None:
        self.tracker.close()
        self._reader.close()

    def _is_shown(self, search: Search) -> bool:
        moment = self._moment
        return moment is not None and 0 <= moment.seconds - search.wanted < search.step

    def _track(self, frame: Frame) -> TrackedFrame:
        self._reached = self.begin + frame.seconds
        return self.tracker.push(frame)[0]


def _version(source: OpenedFile) -> tuple[Any, ...]:
    """Return paths and modification times of a source's files, which differ after a change."""
    files = (source.path, source.tracks, source.result)
    return (*files, *(path.stat().st_mtime_ns for path in files if path is not None))
