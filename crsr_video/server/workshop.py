"""What all clients share: loaded networks and face models, tracks files, memory, and turns."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ServerError, TracksError
from crsr_video.pipeline import Networks
from crsr_video.server.recall import Known
from crsr_video.track import tracks_file
from crsr_video.track.tracker import FaceModels

_Result = TypeVar("_Result")

MOST_MODELS = 4
"""Loaded at the same time."""
MOST_FILES = 8
"""Tracks files held at the same time."""
MOST_MEMORY = 4 << 30
"""Bytes of frames that all clients may share with the server."""


class Shelf:
    """Things by key, of which a few are kept, and all that somebody still uses."""

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what = most, what
        self._lock = threading.Lock()
        self._used: WeakValueDictionary[Any, Any] = WeakValueDictionary()
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        """The thing of that key, made if it is not there.

        Raises: ServerError: too many others are in use. Whatever `make` raises.
        """
        with self._lock:
            found = self._used.get(key)
            if found is None:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
                if len(self._used) >= self._most:
                    raise ServerError(f"more than {self._most} {self._what} in use at once")
                found = self._used[key] = make()
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return found


class Bench(Closing):
    """A place where one frame at a time is worked on, in the order in which they came.

    It has a thread of its own, as the libraries keep much memory for each thread that uses them.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "bench")
        self.users = 0
        self._eyes: FaceModels | None = None
        self._planes: list[NDArray[np.uint8]] = []
        self._networks = Shelf(MOST_MODELS, "models")

    def work(self, task: Callable[[], _Result]) -> _Result:
        """Do something when it is its turn; whatever it raises is raised here."""
        return self._thread.submit(task).result()

    @property
    def eyes(self) -> FaceModels:
        """The face models, loaded once.

        Raises: FaceModelError.
        """
        if self._eyes is None:
            self._eyes = FaceModels()
        return self._eyes

    def networks(self, model: str) -> Networks:
        """The networks of a model, loaded once; to be asked for, and used, at work only.

        Raises: ServerError: too many others are in use. WeightsError, DeviceError.
        """

        def load() -> Networks:
            return pipeline.load_networks(EnhancerConfig.from_options(model=model)).taking_turns()

        found: Networks = self._networks.get(model, load)
        return found

    def split(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
        """R, G and B, (H, W) each, of an RGBA picture (H, W, 4); good until the next call."""
        if not self._planes or self._planes[0].shape != picture.shape[:2]:
            self._planes = [np.empty(picture.shape[:2], np.uint8) for _ in range(4)]
        cv2.split(picture, self._planes)
        return tuple(self._planes[:3])

    def close(self) -> None:
        """Finish what is begun, and release the models."""
        self._thread.shutdown()
        if self._eyes is not None:
            self._eyes.close()
            self._eyes = None


class Workshop(Closing):
    """Everything that is there once, however many clients there are.

    Args: threads: frames worked on at the same time.
    """

    def __init__(self, threads: int = 1) -> None:
        self._benches = [Bench() for _ in range(threads)]
        self._files = Shelf(MOST_FILES, "tracks files")
        self._lock = threading.Lock()
        self._memory = 0

    def bench(self) -> Bench:
        """The one with the fewest users; to be given back with `leave`."""
        with self._lock:
            found = min(self._benches, key=lambda bench: bench.users)
            found.users += 1
            return found

    def leave(self, bench: Bench) -> None:
        """Say that a bench is no longer used."""
        with self._lock:
            bench.users -= 1

    def preload(self, model: str) -> None:
        """Load what the first client will need.

        Raises: FaceModelError, WeightsError, DeviceError.
        """
        for bench in self._benches:
            bench.work(partial(_load, bench, model))

    def known(self, path: Path) -> Known:
        """A tracks file, read once for as long as it does not change.

        Raises: TracksError: it cannot be used. ServerError: too many at once.
        """
        try:
            now = path.stat()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise TracksError(f"{path}: cannot be read: {why}") from error
        key = path, now.st_mtime_ns, now.st_size, now.st_ino
        found: Known = self._files.get(key, lambda: _read(path))
        return found

    def claim(self, size: int) -> None:
        """Take so many bytes of the memory that there is for frames; negative: give back.

        Raises: ServerError: there is not so much left.
        """
        with self._lock:
            if self._memory + size > MOST_MEMORY:
                raise ServerError("the server has no memory left for frames of another client")
            self._memory += size

    def close(self) -> None:
        """Release the models."""
        for bench in self._benches:
            bench.close()


def _load(bench: Bench, model: str) -> None:
    """Everything that a client of this model will need."""
    _ = bench.eyes
    bench.networks(model)


def _read(path: Path) -> Known:
    recording = tracks_file.read(path)
    if not recording.pictures:
        raise TracksError(f"{path}: has no pictures to know frames by; make it anew")
    try:
        return Known(recording)
    except TracksError as error:
        raise TracksError(f"{path}: {error}") from error
