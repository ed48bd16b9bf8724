"""Several processes that take jobs, watched from the one that gives them out.

A process that dies loses its job only: another takes its place. When the watching process is left
by an exception, or dies itself, the others give up what they do, and end.
"""

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
from crsr_video.work_queue.events import Failed, OnEvent
from crsr_video.work_queue.jobs import Job
from crsr_video.work_queue.process import Idle, Unfit, serve

_PATIENCE = 20.0
"""Seconds in which a process that was told to stop has removed what it had half written."""


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
        """Wait for a process that has died; returns of what."""
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
            member.process.join(_PATIENCE)
            if member.process.is_alive():
                member.process.kill()
            member.bury()
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
        """As many processes as there is work for."""
        free = sum(member.job is None for member in self._members)
        for _ in range(min(self._size - len(self._members), waiting - free)):
            self._members.append(_Member(self._config, self._size, self._command))

    def _hear(self, member: _Member, on_event: OnEvent) -> None:
        try:
            told = member.pipe.recv()
        except (EOFError, OSError):
            self._lose(member, on_event)
            return
        if isinstance(told, Unfit):
            raise told.error
        if isinstance(told, Idle):
            member.job, member.ready = None, True
        else:
            on_event(told)

    def _lose(self, member: _Member, on_event: OnEvent) -> None:
        """A process has died in the middle of a job, or before its first.

        Raises: CrsrError: it could not even begin: neither would the next.
        """
        self._members.remove(member)
        job, cause = member.job, member.bury()
        if job is None:
            raise CrsrError(f"a process for the videos ended before it began: {cause}")
        told = f"{job.source}: the process that enhanced it was ended: {cause}"
        on_event(Failed(job, told, "CrsrError"))


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
