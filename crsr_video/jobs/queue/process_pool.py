"""Do jobs in worker processes.

A process that dies loses only its own job: its incomplete result is removed, and another process
replaces it. If the main process leaves the pool with an exception or dies, the workers abandon
their jobs and end.
"""

import logging
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn, Self

import cv2

from crsr_video.config import Config
from crsr_video.errors import CrsrError
from crsr_video.io import pyav
from crsr_video.io.output_file import remove_traces
from crsr_video.jobs.events import Advanced, Event, Failed, Job, OnEvent
from crsr_video.jobs.queue.job_runner import removing_empty_folders, run_job
from crsr_video.runtime import loading
from crsr_video.runtime import placement as devices
from crsr_video.track import litert

_STOP_SECONDS = 20.0
"""Time in which a stopped process must have removed its incomplete result."""
_MAX_FAILED_STARTS = 3
"""Number of consecutive processes that may end before they are ready."""
_PROGRESS_SECONDS = 0.1
"""Minimum time between two progress events of a process."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Idle:
    """Message of a worker: it waits for a job."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Message of a worker: it cannot do any job."""

    error: CrsrError


# Main process ------------------------------------------------------------------------------------


class WorkerProcess:
    """A worker process and its current job."""

    def __init__(self, config: Config, processes: int, command: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, inner = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_main, args=(inner, config, processes, tuple(command)), daemon=True
        )
        self.job: Job | None = None
        self.is_ready = False
        with _interrupts_blocked():
            self.process.start()
        inner.close()

    def assign(self, job: Job | None) -> None:
        """Send a job, or None to say that there are no more."""
        self.job, self.is_ready = job, False
        with suppress(OSError):  # The process has died, which `ProcessPool` notices later.
            self.pipe.send(job)

    def join(self) -> str:
        """Wait for a process that has died or was stopped, and return why it ended."""
        self.process.join(_STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"


class ProcessPool:
    """Worker processes for jobs. Use it as a context manager, which ends the processes.

    Args:
        config: Settings of all jobs.
        processes: Number of processes.
        command: Words of the command line, for reports.
    """

    def __init__(self, config: Config, processes: int, command: Sequence[str]) -> None:
        self._config, self._command, self._size = config, command, processes
        self._failed_starts = 0
        self.workers: list[WorkerProcess] = []
        """The processes that are alive."""

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End all processes: stop them after an exception, and otherwise let them finish."""
        for worker in self.workers:
            if kind is None:
                worker.assign(None)
            else:
                worker.process.terminate()
        for worker in self.workers:
            worker.join()
            if worker.job is not None:
                _remove_leftovers(worker.job)
        self.workers.clear()

    def run(self, jobs: deque[Job], on_event: OnEvent) -> None:
        """Do all jobs.

        Args:
            jobs: The jobs, which are taken out of the queue.
            on_event: Receives all events, in the calling thread.

        Raises:
            CrsrError: No process can do any job, for example because there are no weights.
        """
        while jobs or any(worker.job is not None for worker in self.workers):
            self._start_workers(len(jobs))
            for worker in self.workers:
                if worker.is_ready and jobs:
                    worker.assign(jobs.popleft())
            for pipe in wait([worker.pipe for worker in self.workers]):
                self._receive(next(w for w in self.workers if w.pipe is pipe), on_event)

    def _start_workers(self, waiting: int) -> None:
        """Start as many processes as there is work for."""
        free = sum(worker.job is None for worker in self.workers)
        for _ in range(min(self._size - len(self.workers), waiting - free)):
            if self._failed_starts >= _MAX_FAILED_STARTS:
                break
            try:
                self.workers.append(WorkerProcess(self._config, self._size, self._command))
            except OSError as error:  # Too many processes, or too little memory.
                self._note_failed_start(f"cannot start a worker process: {pyav.reason(error)}")
        if waiting and not self.workers:
            raise CrsrError(f"{self._failed_starts} worker processes ended before they were ready")

    def _receive(self, worker: WorkerProcess, on_event: OnEvent) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker, on_event)
            return
        if isinstance(message, Unfit):
            raise message.error
        if isinstance(message, Idle):
            worker.job, worker.is_ready, self._failed_starts = None, True, 0
        else:
            on_event(message)

    def _lose(self, worker: WorkerProcess, on_event: OnEvent) -> None:
        """Handle the death of a process, during a job or at its start."""
        self.workers.remove(worker)
        job, cause = worker.job, worker.join()
        if job is None:
            self._note_failed_start(f"a worker process ended before it was ready: {cause}")
            return
        _remove_leftovers(job)
        message = f"{job.source}: the worker process ended unexpectedly: {cause}"
        on_event(Failed(job, message, "CrsrError"))

    def _note_failed_start(self, message: str) -> None:
        self._failed_starts += 1
        _LOG.warning("%s", message)


def _remove_leftovers(job: Job) -> None:
    """Remove the incomplete files of a process that died."""
    for path in (job.output, *job.report):
        remove_traces(path)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C. A process started meanwhile keeps it blocked: the main process will stop it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# Worker process ----------------------------------------------------------------------------------


class _StopError(BaseException):
    """The main process wants no more work."""


def _main(
    pipe: "Connection[Any, Any]", config: Config, processes: int, command: tuple[str, ...]
) -> None:
    """Run a worker process until there are no more jobs or the main process is gone."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _serve(pipe, config, processes, command)
    except (_StopError, EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        pipe.close()


def _serve(
    pipe: "Connection[Any, Any]", config: Config, processes: int, command: tuple[str, ...]
) -> None:
    try:
        if config.faces.tracks is None:
            litert.prepare_process()
        config = config.with_options(threads=devices.network_threads(processes))
        networks = loading.load_networks(config).taking_turns()
    except CrsrError as error:
        pipe.send(Unfit(error))
        return
    if networks.placement.device.type == "cpu":
        cv2.setNumThreads(1)  # As `cli.process` does: the encoder needs the other cores.
    on_event = _throttled(pipe.send)
    while True:
        pipe.send(Idle())
        job = pipe.recv()
        if job is None:
            return
        run_job(job, config, on_event, command=command, networks=networks)


def _stop(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _StopError


def _throttled(send: Callable[[Event], None]) -> OnEvent:
    """Return a function that sends all events except frequent progress events."""
    last = 0.0

    def on_event(event: Event) -> None:
        nonlocal last
        now = time.monotonic()
        if isinstance(event, Advanced):
            if now - last < _PROGRESS_SECONDS:
                return
            last = now
        try:
            send(event)
        except OSError as error:
            raise _StopError from error  # The main process is gone.

    return on_event


def run(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    *,
    processes: int = 1,
    command: Sequence[str] = (),
) -> None:
    """Run all jobs. Each process loads the networks once.

    A single job runs in this process. Several jobs run in worker processes, even if only one runs
    at a time, so that a file that crashes the interpreter ends only its own job.

    Args:
        jobs: The jobs.
        config: Settings of all jobs.
        on_event: Receives all events, in the calling thread. An exception that it raises ends all
            processes.
        processes: Maximum number of jobs that run at the same time.
        command: Words of the command line, for reports.

    Raises:
        DeviceError: The device cannot be used.
        WeightsError: The weights cannot be loaded.
    """
    with removing_empty_folders(jobs):
        if len(jobs) == 1:
            networks = loading.load_networks(config).taking_turns()
            run_job(jobs[0], config, on_event, command=command, networks=networks)
            return
        with ProcessPool(config, min(processes, len(jobs)), command) as pool:
            pool.run(deque(jobs), on_event)
