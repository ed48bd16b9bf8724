"""Several processes that take jobs, watched from the one that gives them out.

A process that dies loses its job only: what it had half written is removed, and another takes its
place. When the watching process is left by an exception, or dies itself, the others give up what
they do, and end.
"""

import logging
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from crsr_video.config import Config
from crsr_video.errors import CrsrError
from crsr_video.io import pyav
from crsr_video.io.output_file import remove_traces
from crsr_video.jobs.queue.events import Failed, OnEvent
from crsr_video.jobs.queue.jobs import Job
from crsr_video.jobs.queue.process import Idle, Unfit, serve

_PATIENCE = 20.0
"""Seconds in which a process that was told to stop has removed what it had half written."""
_VAIN = 3
"""Processes one after the other that may end before they are ready."""

_logger = logging.getLogger(__name__)


class _Member:
    """A process, and what it is at."""

    def __init__(self, config: Config, processes: int, command: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, inner = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=serve, args=(inner, config, processes, tuple(command)), daemon=True
        )
        self.job: Job | None = None
        self.ready = False
        with _interrupts_held():
            self.process.start()
        inner.close()

    def give(self, job: Job | None) -> None:
        """Hand over a job; None: there are no more."""
        self.job, self.ready = job, False
        with suppress(OSError):  # It has died, which will be seen.
            self.pipe.send(job)

    def bury(self) -> str:
        """Wait for a process that has died or was told to stop; returns of what it died."""
        self.process.join(_PATIENCE)
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


class Crew:
    """Processes for jobs; a context manager, which ends them.

    Args: processes: how many. command: the command line, to be told in reports.
    """

    def __init__(self, config: Config, processes: int, command: Sequence[str]) -> None:
        self._config, self._command, self._size = config, command, processes
        self._members: list[_Member] = []
        self._vain = 0
        """Of the processes so far, the last ones that came to nothing."""

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes, in peace if nothing went wrong."""
        for member in self._members:
            if kind is None:
                member.give(None)
            else:
                member.process.terminate()
        for member in self._members:
            member.bury()
            if member.job is not None:
                _clear_up(member.job)
        self._members.clear()

    def work(self, jobs: deque[Job], on_event: OnEvent) -> None:
        """Have all jobs done.

        Raises: CrsrError: no process can do any, for want of weights, say.
        """
        while jobs or any(member.job is not None for member in self._members):
            self._hire(len(jobs))
            for member in self._members:
                if member.ready and jobs:
                    member.give(jobs.popleft())
            for pipe in wait([member.pipe for member in self._members]):
                member = next(m for m in self._members if m.pipe is pipe)
                self._hear(member, on_event)

    def _hire(self, waiting: int) -> None:
        """As many processes as there is work for.

        Raises: CrsrError: none can be started, and none is there.
        """
        free = sum(member.job is None for member in self._members)
        for _ in range(min(self._size - len(self._members), waiting - free)):
            if self._vain < _VAIN:
                self._start()
        if waiting and not self._members:
            raise CrsrError(f"{self._vain} processes for the videos ended before they began")

    def _start(self) -> None:
        try:
            self._members.append(_Member(self._config, self._size, self._command))
        except OSError as error:  # There are too many already, or there is too little memory.
            self._lament(f"a process for the videos cannot be started: {pyav.reason(error)}")

    def _hear(self, member: _Member, on_event: OnEvent) -> None:
        try:
            told = member.pipe.recv()
        except (EOFError, OSError):
            self._lose(member, on_event)
            return
        if isinstance(told, Unfit):
            raise told.error
        if isinstance(told, Idle):
            member.job, member.ready, self._vain = None, True, 0
        else:
            on_event(told)

    def _lose(self, member: _Member, on_event: OnEvent) -> None:
        """A process has died, in the middle of a job or at its start."""
        self._members.remove(member)
        job, cause = member.job, member.bury()
        if job is None:
            self._lament(f"a process for the videos ended before it began: {cause}")
            return
        _clear_up(job)
        told = f"{job.source}: the process that enhanced it was ended: {cause}"
        on_event(Failed(job, told, "CrsrError"))

    def _lament(self, told: str) -> None:
        self._vain += 1
        _logger.warning("%s", told)


def _clear_up(job: Job) -> None:
    """Remove what a process that died had half written."""
    for path in (job.output, *job.report):
        remove_traces(path)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back, and for good in a process that starts here: it is told by its watcher."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
