"""What runs on each machine of a cluster: knows nothing of Ray, and never raises."""

import os
import pickle
import platform
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.errors import CrsrError, InputError
from crsr_video.jobs.queue.one import defect
from crsr_video.jobs.segments import Plan, SegmentResult, Worker, facts
from crsr_video.track import litert

SIGHT_SECONDS = 3.0
"""After which a file that another machine has made must be seen: networks are slow to tell."""


@dataclass(frozen=True, slots=True)
class Done:
    """A segment is enhanced, and its file lies in the folder."""

    result: SegmentResult
    notices: tuple[str, ...]
    node: str
    """Name of the machine."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something could not be done."""

    message: str
    """One line, with the name of the machine."""
    kind: str
    """Name of the error."""
    blind: bool = False
    """The machine does not see the files: another may."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that can do the work."""

    node: str


def packed(*things: Any) -> bytes:
    """For the way to another machine, where another version may not know these things."""
    return pickle.dumps(things)


class SegmentWorker:
    """Enhances segments of any video; the networks stay loaded.

    Args: threads: of the networks, on a CPU.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._node = platform.node() or "unnamed"
        self._networks: pipeline.Networks | None = None
        self._key: bytes | None = None
        self._worker: Worker | None = None

    def prepare(self, load: bytes) -> Ready | Trouble:
        """See whether this machine can do the work, and load the networks.

        Args: load: packed `Config`, and the versions of the machine that plans.
        """
        try:
            config, versions = _unpacked(load)
            differs = facts.difference(versions, facts.versions(config))
            if differs is not None:
                told = f"the work was planned by a machine with {differs}"
                return self._trouble(told, "InputError")
            self._load(config)
        except CrsrError as error:
            return self._trouble(str(error), type(error).__name__)
        except Exception as error:
            return self._trouble(defect(error), type(error).__name__)
        return Ready(self._node)

    def enhance(self, load: bytes) -> Done | Trouble:
        """Enhance a segment.

        Args: load: packed `Plan`, `Segment`, and the folder of all segments' files.
        """
        try:
            plan, segment, folder = _unpacked(load)
            missing = _unseen(plan, folder)
            if missing is not None:
                return replace(self._trouble(missing, "InputError"), blind=True)
            if self._networks is None:  # Ray has started this worker again.
                self._load(plan.config)
            worker = self._worker_for(plan)
            result = worker.enhance(segment, folder)
            return Done(result, worker.notices, self._node)
        except CrsrError as error:
            return self._trouble(str(error), type(error).__name__)
        except Exception as error:
            return self._trouble(defect(error), type(error).__name__)

    def _load(self, config: Config) -> None:
        if config.faces.tracks is None:
            litert.prepare_process()
        config = config.with_options(threads=self._threads)
        self._networks = pipeline.load_networks(config).taking_turns()
        if self._networks.placement.device.type == "cpu":
            cv2.setNumThreads(1)  # This process is the worker's own, and shares the machine.

    def _worker_for(self, plan: Plan) -> Worker:
        """The worker of the last segment, if that was of the same plan."""
        key = packed(plan)
        if self._worker is None or key != self._key:
            if self._worker is not None:
                self._worker.close()
                self._worker = None
            self._worker, self._key = Worker(plan, networks=self._networks), key
        return self._worker

    def _trouble(self, message: str, kind: str) -> Trouble:
        return Trouble(f"{' '.join(message.split())} (machine {self._node})", kind)


def _unseen(plan: Plan, folder: Path) -> str | None:
    """What this machine does not see of the files, in words."""
    needs = "--ray needs storage that all machines have under the same path"
    for place, mode, what in ((plan.source, os.R_OK, "read"), (folder, os.W_OK, "written to")):
        end = time.monotonic() + SIGHT_SECONDS
        while not os.access(place, mode):
            if time.monotonic() > end:
                return f"{place}: is not there, or may not be {what}; {needs}"
            time.sleep(SIGHT_SECONDS / 20)
            with suppress(OSError):
                os.listdir(place.parent)  # noqa: PTH208 - has file systems look again
    return None


def _unpacked(load: bytes) -> Any:
    """Raises: InputError: it comes from a version that has other things."""
    try:
        return pickle.loads(load)
    except Exception as error:
        raise InputError(
            f"what to do cannot be understood: other versions of crsr-video ({error})"
        ) from error
