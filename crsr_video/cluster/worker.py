"""What runs on each machine of a cluster: knows nothing of Ray, and never raises."""

import os
import pickle
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crsr_video import face_models, pipeline
from crsr_video.config import Config
from crsr_video.errors import CrsrError, InputError, OutputError
from crsr_video.segments import Plan, SegmentResult, Worker, facts


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
            return self._trouble(_defect(error), type(error).__name__)
        return Ready(self._node)

    def enhance(self, load: bytes) -> Done | Trouble:
        """Enhance a segment.

        Args: load: packed `Plan`, `Segment`, and the folder of all segments' files.
        """
        try:
            plan, segment, folder = _unpacked(load)
            self._check_storage(plan, folder)
            if self._networks is None:  # Ray has started this worker again.
                self._load(plan.config)
            worker = self._worker_for(plan)
            result = worker.enhance(segment, folder)
            return Done(result, worker.notices, self._node)
        except CrsrError as error:
            return self._trouble(str(error), type(error).__name__)
        except Exception as error:
            return self._trouble(_defect(error), type(error).__name__)

    def _load(self, config: Config) -> None:
        if config.tracks is None:
            face_models.resolve_all()
        self._networks = pipeline.load_networks(config)
        if self._networks.placement.device.type == "cpu":
            torch.set_num_threads(self._threads)

    def _check_storage(self, plan: Plan, folder: Path) -> None:
        """Raises: InputError, OutputError: this machine does not see the same files."""
        needs = "--ray needs storage that all machines have under the same path"
        if not os.access(plan.source, os.R_OK):
            raise InputError(f"{plan.source}: is not there, or may not be read; {needs}")
        if not os.access(folder, os.W_OK):
            raise OutputError(f"{folder}: is not there, or may not be written to; {needs}")

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


def _unpacked(load: bytes) -> Any:
    """Raises: InputError: it comes from a version that has other things."""
    try:
        return pickle.loads(load)
    except Exception as error:
        raise InputError(
            f"what to do cannot be understood: other versions of crsr-video ({error})"
        ) from error


def _defect(error: Exception) -> str:
    return f"internal error, please report it: {type(error).__name__}: {error}"
