"""The worker that runs on each machine of a cluster. It does not use Ray and never raises."""

import os
import pickle
import platform
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from crsr_video.config import Config
from crsr_video.errors import InputError
from crsr_video.jobs.events import describe_error
from crsr_video.jobs.segments import Plan, SegmentResult, SegmentWorker, compatibility
from crsr_video.runtime import loading
from crsr_video.track import litert

VISIBILITY_SECONDS = 3.0
"""Time in which a file of another machine must become visible on network storage."""


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """A segment is enhanced, and its file is in the work folder."""

    result: SegmentResult
    notices: tuple[str, ...]
    machine: str


@dataclass(frozen=True, slots=True)
class WorkerFailure:
    """A worker could not be prepared, or could not enhance a segment."""

    message: str
    """One line that includes the name of the machine."""
    kind: str
    """Name of the exception class."""
    files_unseen: bool = False
    """Whether the machine cannot access the files, so that another machine may succeed."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker is ready for work."""

    machine: str


def packed(*things: Any) -> bytes:
    """Serialise objects so that any machine accepts them, even if it lacks their classes."""
    return pickle.dumps(things)


class ClusterWorker:
    """Enhances segments of any video. The networks stay loaded between segments.

    Args:
        threads: Number of threads of the networks on a CPU.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._machine = platform.node() or "unnamed"
        self._networks: loading.Networks | None = None
        self._plan: bytes | None = None
        self._worker: SegmentWorker | None = None

    def prepare(self, load: bytes) -> WorkerReady | WorkerFailure:
        """Check whether this machine can do the work, and load the networks.

        Args:
            load: Packed `Config` and versions of the planning machine.
        """
        try:
            config, versions = _unpacked(load)
            difference = compatibility.first_difference(versions, compatibility.versions(config))
            if difference is not None:
                raise InputError(f"the work was planned by a machine with {difference}")
            self._load(config)
        except Exception as error:
            return self._failure(error)
        return WorkerReady(self._machine)

    def enhance(self, load: bytes) -> SegmentDone | WorkerFailure:
        """Enhance a segment.

        Args:
            load: Packed `Plan`, `Segment` and work folder.
        """
        try:
            plan, segment, folder = _unpacked(load)
            unseen = _unseen_file(plan, folder)
            if unseen is not None:
                return replace(self._failure(InputError(unseen)), files_unseen=True)
            if self._networks is None:  # Ray has restarted this worker.
                self._load(plan.config)
            worker = self._worker_for(plan)
            return SegmentDone(worker.enhance(segment, folder), worker.notices, self._machine)
        except Exception as error:
            return self._failure(error)

    def _load(self, config: Config) -> None:
        if config.faces.tracks is None:
            litert.prepare_process()
        config = config.with_options(threads=self._threads)
        self._networks = loading.load_networks(config).taking_turns()
        if self._networks.placement.device.type == "cpu":
            cv2.setNumThreads(1)  # This process belongs to the worker, and shares the machine.

    def _worker_for(self, plan: Plan) -> SegmentWorker:
        """Return the worker of the last segment if it had the same plan, or else a new one."""
        key = packed(plan)
        if self._worker is None or key != self._plan:
            if self._worker is not None:
                self._worker.close()
                self._worker = None
            self._worker, self._plan = SegmentWorker(plan, networks=self._networks), key
        return self._worker

    def _failure(self, error: Exception) -> WorkerFailure:
        message = f"{describe_error(error)} (machine {self._machine})"
        return WorkerFailure(message, type(error).__name__)


def _unseen_file(plan: Plan, folder: Path) -> str | None:
    """Return a message about the first path that this machine cannot use, or None."""
    advice = "--ray needs storage that all machines have under the same path"
    for path, mode, what in ((plan.source, os.R_OK, "read"), (folder, os.W_OK, "written to")):
        end = time.monotonic() + VISIBILITY_SECONDS
        while not os.access(path, mode):
            if time.monotonic() > end:
                return f"{path}: does not exist or cannot be {what}; {advice}"
            time.sleep(VISIBILITY_SECONDS / 20)
            with suppress(OSError):
                os.listdir(path.parent)  # noqa: PTH208 - refreshes network file systems
    return None


def _unpacked(load: bytes) -> Any:
    """Return the objects that `packed` serialised."""
    try:
        return pickle.loads(load)
    except Exception as error:
        raise InputError(
            f"the work comes from an incompatible version of crsr-video ({error})"
        ) from error
