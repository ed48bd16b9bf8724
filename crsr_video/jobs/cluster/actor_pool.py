"""A pool of workers, which are Ray actors and enhance segments of all videos.

Ray chooses the machines, starts the workers and restarts those that died. The segment of a worker
that died goes to the next free worker, because a lost machine may not come back.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from crsr_video.config import Config
from crsr_video.errors import ClusterError, CrsrError
from crsr_video.files import sha256_of_file
from crsr_video.formatting import format_count
from crsr_video.jobs.cluster.connection import MAX_REASON_CHARACTERS
from crsr_video.jobs.cluster.worker import (
    ClusterWorker,
    SegmentDone,
    WorkerFailure,
    WorkerReady,
    packed,
)
from crsr_video.jobs.segments import Plan, Segment, SegmentResult, compatibility

MAX_RETRIES = 3
"""Number of times that a dead worker is restarted, and that a segment is tried again."""
START_SECONDS = 180.0
"""Timeout for workers to start, and for a worker to come back after all of them have died."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """Resources that each worker takes of its machine."""

    cpus: float = 1.0
    gpus: float = 0.0
    """GPUs of one worker. With a fraction, several workers share a GPU."""

    def count_workers(self, nodes: Iterable[dict[str, Any]]) -> int:
        """Return how many workers fit into a cluster.

        Args:
            nodes: Description of the machines, as `ray.nodes` returns it.
        """
        count = 0
        for node in nodes:
            if not node.get("Alive"):
                continue
            available = node.get("Resources", {})
            fits = int(available.get("CPU", 0) / self.cpus)
            if self.gpus > 0:
                fits = min(fits, int(available.get("GPU", 0) / self.gpus))
            count += fits
        return count


@dataclass(slots=True)
class _Batch:
    """The segments of one video that are enhanced together."""

    answers: SimpleQueue[SegmentDone | WorkerFailure] = field(default_factory=SimpleQueue)
    is_cancelled: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """A segment that must be enhanced."""

    plan: Plan
    segment: Segment
    folder: Path
    batch: _Batch
    failures: int = 0
    """Number of workers that died while they enhanced this segment."""

    def is_visible_here(self) -> bool:
        """Return whether this machine sees the source and the work folder."""
        return os.access(self.plan.source, os.R_OK) and os.access(self.folder, os.W_OK)


class ActorPool:
    """Workers of a cluster. Only `enhance` may be called from several threads at the same time.

    Args:
        ray: The `ray` module, connected to a cluster.
        check: Called repeatedly while the pool waits. It may raise an exception.
        on_notice: Called with each notice for the user.
    """

    def __init__(
        self,
        ray: Any,
        check: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ray, self._check, self._on_notice = ray, check, on_notice
        self._inbox: SimpleQueue[_Task] = SimpleQueue()
        self._waiting: deque[_Task] = deque()
        self._idle: list[Any] = []
        self._preparing: dict[Any, Any] = {}
        """Actors that are getting ready, by Ray's reference to the call."""
        self._busy: dict[Any, tuple[Any, _Task]] = {}
        """Actors that enhance a segment, by Ray's reference to the call."""
        self._actors: list[Any] = []
        self._reasons: dict[str, None] = {}
        """Why workers were left out."""
        self._load = b""
        self._is_stopped = False
        self.machines: list[str] = []
        """Machine of each worker that has become ready."""

    # Workers -------------------------------------------------------------------------------------

    def start(self, config: Config, resources: WorkerResources, limit: int | None) -> None:
        """Start as many workers as fit into the cluster.

        Raises:
            ClusterError: No worker can do the work.
        """
        count = resources.count_workers(self._ray.nodes())
        count = count if limit is None else min(limit, count)
        if count == 0:
            wanted = f"{resources.cpus:g} CPUs"
            wanted += f" and {resources.gpus:g} GPUs" if resources.gpus else ""
            raise ClusterError(f"no machine of the cluster has {wanted} for a worker")
        self._load = packed(config, compatibility.versions(config))
        threads = str(max(1, int(resources.cpus)))
        kind = self._ray.remote(ClusterWorker).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=MAX_RETRIES,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": threads}},
        )
        self._actors = [kind.remote(max(1, int(resources.cpus) // 4)) for _ in range(count)]
        for actor in self._actors:
            self._prepare(actor)
        self._await_workers()

    def stop(self) -> None:
        """End all workers and cancel their tasks."""
        self._is_stopped = True
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor)
        self._collect_tasks()
        for task in (*(task for _, task in self._busy.values()), *self._waiting):
            task.batch.answers.put(WorkerFailure("stopped", "ClusterError"))

    def _await_workers(self) -> None:
        """Wait until all workers are ready, or until `START_SECONDS` have passed."""
        end = time.monotonic() + START_SECONDS
        while self._preparing and time.monotonic() < end:
            self._check()
            self._receive()
        if self._preparing:
            late = format_count(len(self._preparing), "worker")
            self._leave_out(None, f"{late} did not start within {START_SECONDS:g} s")
        if not self._idle:
            raise ClusterError(f"no worker of the cluster can be used: {next(iter(self._reasons))}")

    def _prepare(self, actor: Any) -> None:
        """Ask a worker to get ready. Ray repeats the call if it must restart the worker first."""
        call = actor.prepare.options(max_task_retries=-1).remote(self._load)
        self._preparing[call] = actor

    def _finish_preparing(self, call: Any, actor: Any) -> None:
        try:
            answer = self._ray.get(call)
        except Exception as error:  # For example, crsr-video is not installed on that machine.
            self._leave_out(actor, f"a worker cannot be started: {_last_line(error)}")
            return
        if isinstance(answer, WorkerReady):
            self.machines.append(answer.machine)
            self._idle.append(actor)
        else:
            self._leave_out(actor, answer.message)

    def _leave_out(self, actor: Any | None, reason: str) -> None:
        """Stop using a worker, and notify the user once of each reason."""
        if actor is not None:
            self._ray.kill(actor)
        if reason not in self._reasons:
            self._reasons[reason] = None
            self._on_notice(f"left out: {reason}")

    # Threads of the videos -----------------------------------------------------------------------

    def enhance(
        self,
        plan: Plan,
        segments: Sequence[Segment],
        folder: Path,
        on_result: Callable[[SegmentResult], None],
    ) -> Iterable[str]:
        """Let the workers enhance segments, and wait for all. This method is a `SegmentExecutor`.

        Raises:
            ClusterError: A segment cannot be enhanced. By then, no worker uses the folder any more.
        """
        batch, notices = _Batch(), dict[str, None]()
        for segment in segments:
            self._inbox.put(_Task(plan, segment, folder, batch))
        if self._is_stopped:
            raise ClusterError(f"{plan.source}: stopped")
        failure: CrsrError | None = None
        for _ in segments:
            answer = batch.answers.get()
            try:
                if failure is None:
                    done = _checked(answer, folder)
                    on_result(done.result)
                    notices |= dict.fromkeys(done.notices)
            except (CrsrError, OSError) as error:
                failure = error if isinstance(error, CrsrError) else ClusterError(str(error))
                batch.is_cancelled.set()
        if failure is not None:
            raise failure
        return notices

    # Thread that talks to Ray --------------------------------------------------------------------

    def serve(self, is_over: Callable[[], bool]) -> None:
        """Pass segments to the workers, and results back, until `is_over` returns True.

        Raises:
            ClusterError: All workers are lost.
        """
        last_seen = time.monotonic()
        while not is_over():
            self._check()
            self._assign_tasks()
            if not self._receive():
                with suppress(Empty):
                    self._waiting.append(self._inbox.get(timeout=_POLL_SECONDS))
            now = time.monotonic()
            if self._idle or self._busy:
                last_seen = now
            elif not self._preparing or now - last_seen > START_SECONDS:
                reason = "".join(f": {reason}" for reason in list(self._reasons)[-1:])
                raise ClusterError(f"all workers of the cluster are lost{reason}")

    def _collect_tasks(self) -> None:
        with suppress(Empty):
            while True:
                self._waiting.append(self._inbox.get_nowait())

    def _assign_tasks(self) -> None:
        """Give waiting tasks to idle workers."""
        self._collect_tasks()
        while self._waiting and self._idle:
            task = self._waiting.popleft()
            if task.batch.is_cancelled.is_set():
                task.batch.answers.put(WorkerFailure("cancelled", "ClusterError"))
                continue
            actor = self._idle.pop(0)
            call = actor.enhance.remote(packed(task.plan, task.segment, task.folder))
            self._busy[call] = actor, task

    def _receive(self) -> bool:
        """Wait briefly for answers and handle them. Return False if no call is in progress."""
        calls = [*self._preparing, *self._busy]
        if not calls:
            return False
        done, _ = self._ray.wait(calls, num_returns=1, timeout=_POLL_SECONDS)
        for call in done:
            if call in self._preparing:
                self._finish_preparing(call, self._preparing.pop(call))
            else:
                self._finish_task(call, *self._busy.pop(call))
        return True

    def _finish_task(self, call: Any, actor: Any, task: _Task) -> None:
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._prepare(actor)  # Ray restarts the worker if it can.
            if task.failures < MAX_RETRIES:
                self._waiting.appendleft(replace(task, failures=task.failures + 1))
                return
            answer = _failure(task, error)
        except Exception as error:
            self._idle.append(actor)
            answer = _failure(task, error)
        else:
            unseen = isinstance(answer, WorkerFailure) and answer.files_unseen
            if unseen and task.is_visible_here():
                self._waiting.appendleft(task)
                self._leave_out(actor, answer.message)
                return
            self._idle.append(actor)
        task.batch.answers.put(answer)


def _failure(task: _Task, error: Exception) -> WorkerFailure:
    return WorkerFailure(f"{task.plan.source}: {_last_line(error)}", "ClusterError")


def _checked(answer: SegmentDone | WorkerFailure, folder: Path) -> SegmentDone:
    """Return an answer after checking that this machine sees the file that the worker wrote."""
    if isinstance(answer, WorkerFailure):
        raise ClusterError(answer.message)
    result = answer.result
    if result.name:
        path = folder / result.name
        try:
            checksum = sha256_of_file(path)
        except OSError as error:
            raise ClusterError(
                f"{path}: cannot be read: {error.strerror} (written by {answer.machine})"
            ) from error
        if checksum != result.sha256:
            raise ClusterError(f"{path}: differs from the file that {answer.machine} wrote")
    return answer


def _last_line(error: BaseException) -> str:
    """Return the last line of an error message, because those of Ray are long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:MAX_REASON_CHARACTERS]
