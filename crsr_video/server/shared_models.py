"""Resources shared by all clients: networks, face models, tracks files, memory, threads."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ServerError, TracksError
from crsr_video.runtime import loading
from crsr_video.runtime.loading import Networks
from crsr_video.server.recorded_faces import TracksIndex
from crsr_video.track import tracks_file
from crsr_video.track.tracker import FaceModels

_T = TypeVar("_T")

MAX_MODELS = 4
"""Maximum number of models that each worker keeps loaded."""
MAX_TRACKS_FILES = 8
"""Maximum number of tracks files that are held at the same time."""
MAX_FRAME_BYTES = 4 << 30
"""Maximum number of bytes of frames that all clients together may share with the server."""


class ModelCache(Generic[_T]):
    """Keeps the most recently used objects, and finds every object that is still in use.

    Args:
        size: Number of objects that are kept.
        plural: Name of the objects, for messages.
    """

    def __init__(self, size: int, plural: str) -> None:
        self._size, self._plural = size, plural
        self._lock = threading.Lock()
        self._in_use: WeakValueDictionary[Hashable, _T] = WeakValueDictionary()
        self._kept: OrderedDict[Hashable, _T] = OrderedDict()

    def get(self, key: Hashable, create: Callable[[], _T]) -> _T:
        """Return the object of a key, and create it if there is none.

        Raises:
            ServerError: Too many other objects are in use.
        """
        with self._lock:
            found = self._in_use.get(key)
            if found is None:
                while len(self._kept) >= self._size:
                    self._kept.popitem(last=False)
                if len(self._in_use) >= self._size:
                    raise ServerError(f"more than {self._size} {self._plural} are in use at once")
                found = self._in_use[key] = create()
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return found


class _Task(Generic[_T]):
    """A function that a worker calls for a waiting thread."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function: Callable[[], _T] | None = function
        self._is_done = threading.Event()
        self._result: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call the function, in the thread of the worker."""
        assert self._function is not None
        try:
            self._result.append(self._function())
        except BaseException as error:
            self._error = error
        finally:
            self._function = None
            self._is_done.set()

    def wait(self) -> _T:
        """Wait, and return the result or raise the exception in the waiting thread."""
        self._is_done.wait()
        error, self._error = self._error, None
        if error is None:
            return self._result.pop()
        try:
            raise error
        finally:
            del error  # Its traceback refers to this frame and would keep it alive.


class WorkerThread(Closing):
    """Enhances one frame at a time, in the order in which the frames came.

    The work has a thread of its own because torch and OpenCV keep memory for each thread that uses
    them. The thread is a daemon, so that a task that never ends does not keep the process alive.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task[Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._thread.start()
        self.users = 0
        """Number of clients whose frames this worker enhances."""
        self._face_models: FaceModels | None = None
        self._planes: list[NDArray[np.uint8]] = []
        self._networks: ModelCache[Networks] = ModelCache(MAX_MODELS, "models")

    def run(self, task: Callable[[], _T]) -> _T:
        """Run a task when its turn has come, and return its result or raise its exception.

        Raises:
            ServerError: The worker is closed.
        """
        waiting = _Task(task)
        with self._lock:
            if self._is_closed:
                raise ServerError("the server is ending")
            self._tasks.put(waiting)
        return waiting.wait()

    def face_models(self) -> FaceModels:
        """Return the face models, which are loaded once. Call this inside a task."""
        if self._face_models is None:
            self._face_models = FaceModels()
        return self._face_models

    def networks(self, model: str) -> Networks:
        """Return the networks of a model, which are loaded once. Call this inside a task.

        Raises:
            ServerError: Too many other models are in use.
            WeightsError: The weights cannot be loaded.
            DeviceError: The device is not available.
        """
        config = EnhancerConfig.from_options(model=model)
        return self._networks.get(model, lambda: loading.load_networks(config).taking_turns())

    def split(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
        """Return the planes R, G and B of an RGBA picture (H, W, 4), valid until the next call."""
        if not self._planes or self._planes[0].shape != picture.shape[:2]:
            self._planes = [np.empty(picture.shape[:2], np.uint8) for _ in range(4)]
        cv2.split(picture, self._planes)
        return tuple(self._planes[:3])

    def close(self) -> None:
        """Finish all tasks that were submitted, and release the models."""
        self.close_within(None)

    def close_within(self, seconds: float | None) -> bool:
        """Close, and return whether all tasks ended in time. Otherwise, the rest is abandoned."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._tasks.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._face_models is not None:
            self._face_models.close()
            self._face_models = None
        return True

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
            task = None  # Its objects, such as a model, must not live until the next task.


class SharedModels(Closing):
    """The resources that all clients share.

    Args:
        threads: Number of frames that are enhanced at the same time.
    """

    def __init__(self, threads: int = 1) -> None:
        self._workers = [WorkerThread() for _ in range(threads)]
        self._tracks: ModelCache[TracksIndex] = ModelCache(MAX_TRACKS_FILES, "tracks files")
        self._lock = threading.Lock()
        self._frame_bytes = 0

    def take_worker(self) -> WorkerThread:
        """Return the worker with the fewest users, to be given back with `leave_worker`."""
        with self._lock:
            found = min(self._workers, key=lambda worker: worker.users)
            found.users += 1
            return found

    def leave_worker(self, worker: WorkerThread) -> None:
        """Give a worker back."""
        with self._lock:
            worker.users -= 1

    def preload(self, model: str) -> None:
        """Load the networks and the face models before the first client needs them."""
        for worker in self._workers:
            worker.run(partial(_preload, worker, model))

    def tracks(self, path: Path) -> TracksIndex:
        """Return a tracks file, which is read once as long as it does not change.

        Raises:
            TracksError: The file cannot be used.
        """
        try:
            now = path.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TracksError(f"{path}: cannot be read: {reason}") from error
        key = path, now.st_mtime_ns, now.st_size, now.st_ino
        return self._tracks.get(key, lambda: _read_tracks(path))

    def claim_frame_bytes(self, size: int) -> None:
        """Claim memory for a frame, or give it back with a negative size.

        Raises:
            ServerError: There is not enough memory left.
        """
        with self._lock:
            if self._frame_bytes + size > MAX_FRAME_BYTES:
                raise ServerError("the server has no memory left for frames of another client")
            self._frame_bytes += size

    def close(self) -> None:
        """Finish all tasks that were submitted, and release the models."""
        self.close_within(None)

    def close_within(self, seconds: float | None) -> bool:
        """Close, and return whether all tasks ended in time. Otherwise, the rest is abandoned."""
        end = None if seconds is None else time.monotonic() + seconds
        is_done = True
        for worker in self._workers:
            is_done &= worker.close_within(None if end is None else max(0, end - time.monotonic()))
        return is_done


def _preload(worker: WorkerThread, model: str) -> None:
    worker.face_models()
    worker.networks(model)


def _read_tracks(path: Path) -> TracksIndex:
    recording = tracks_file.read(path)
    if not recording.signatures:
        raise TracksError(f"{path}: has no thumbnails to find frames by; write the file again")
    try:
        return TracksIndex(recording)
    except TracksError as error:
        raise TracksError(f"{path}: {error}") from error
