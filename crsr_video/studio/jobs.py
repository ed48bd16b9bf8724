"""The queue of exports. It is stored, so jobs continue after a restart of the studio."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from crsr_video.errors import CrsrError
from crsr_video.files import write_file
from crsr_video.studio.command import CommandRun

State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
_OPEN = ("waiting", "running", "paused")
_PUBLISH_SECONDS = 0.5


class JobError(CrsrError):
    """A request about a job cannot be fulfilled."""


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One export and its progress."""

    id: str
    source: str
    source_name: str
    output: str
    options: tuple[str, ...]
    """Options of ``crsr-video enhance``."""
    resumable: bool = True
    report: str = ""
    """Path of the report, empty for still pictures."""
    state: State = "waiting"
    frames: int = 0
    total: int = 0
    fps: float = 0.0
    error: str = ""
    bytes: int = 0
    source_file: str = ""
    """ID by which the page opens the source."""
    start: float = 0.0
    """Seconds of the source at which the result begins."""
    result_file: str = ""
    """ID by which the page opens the result."""

    @property
    def progress(self) -> float:
        """Share of the frames that are done, 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.frames / self.total) if self.total else 0.0

    @property
    def command(self) -> list[str]:
        """Arguments of the command that runs this job."""
        words = ["enhance", self.source, "-o", self.output, *self.options, "--json"]
        if self.resumable:
            words += ["--resume"]
        if self.report:
            words += ["--report", self.report, "--overwrite"]
        return words

    def facts(self) -> dict[str, Any]:
        """Return the values that are sent to the page."""
        left = (self.total - self.frames) / self.fps if self.fps > 0 and self.total else None
        shown = asdict(self)
        for key in ("options", "source", "resumable", "report"):
            del shown[key]
        return {
            **shown,
            "progress": self.progress,
            "seconds_left": left if self.state == "running" else None,
            "has_report": bool(self.report),
        }


class JobQueue:
    """Runs jobs one after another or several at a time, and stores the queue in a file.

    Args:
        path: File in which the queue is stored.
        on_change: Called with the facts of all jobs whenever something changes.
        on_done: Called with the path of a result; returns the ID by which the page opens it.
        on_problem: Called with a message when the queue cannot be stored.
        parallel: Number of jobs that may run at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_change: Callable[[list[dict[str, Any]]], None],
        on_done: Callable[[Path], str],
        on_problem: Callable[[str], None] = lambda _: None,
        parallel: int = 1,
    ) -> None:
        self._path, self._on_change, self._on_done = path, on_change, on_done
        self._on_problem = on_problem
        self._parallel = parallel
        self._lock = threading.RLock()
        self._jobs: dict[str, ExportJob] = {job.id: job for job in _read(path)}
        self._runs: dict[str, CommandRun] = {}
        self._closed = False
        self._published = 0.0

    def start(self) -> None:
        """Continue the jobs that an earlier studio left unfinished."""
        with self._lock:
            for job in list(self._jobs.values()):
                if job.state == "running":
                    self._jobs[job.id] = replace(job, state="waiting")
                elif job.state == "done":
                    self._jobs[job.id] = replace(job, result_file=self._on_done(Path(job.output)))
            self._run_waiting()

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts of all jobs, oldest first."""
        with self._lock:
            return [job.facts() for job in self._jobs.values()]

    def job(self, job_id: str) -> ExportJob:
        """Return one job.

        Raises:
            JobError: There is no job with that ID.
        """
        with self._lock:
            if job_id not in self._jobs:
                raise JobError("this export is not in the queue any more")
            return self._jobs[job_id]

    def writes(self, path: Path) -> bool:
        """Return whether an unfinished job writes its result to this path."""
        with self._lock:
            return any(j.output == str(path) and j.state in _OPEN for j in self._jobs.values())

    def add(
        self,
        source: Path,
        name: str,
        source_id: str,
        output: Path,
        options: list[str],
        *,
        resumable: bool,
        reports: Path,
        start: float = 0.0,
    ) -> ExportJob:
        """Append a job.

        Args:
            source: File to enhance.
            name: Name of the source on the page.
            source_id: ID by which the page opens the source.
            output: Path of the result.
            options: Options of ``crsr-video enhance``.
            resumable: Whether the source is a video. Videos are enhanced in segments and get a
                report.
            reports: Folder for the report.
            start: Seconds of the source at which the result begins.

        Raises:
            JobError: Another unfinished job writes the same result.
        """
        with self._lock:
            if self.writes(output):
                raise JobError(f"another export already writes {output}")
            key = secrets.token_hex(6)
            report = str(reports / f"{key}.html") if resumable else ""
            job = ExportJob(
                key,
                str(source),
                name,
                str(output),
                tuple(options),
                resumable,
                report,
                source_file=source_id,
                start=start,
            )
            self._jobs[key] = job
            self._save()
            self._run_waiting()
            return self._jobs[key]

    def pause(self, job_id: str) -> None:
        """Stop a running or waiting job, so that it can be resumed."""
        self._stop(job_id, "paused", {"running", "waiting"})

    def cancel(self, job_id: str) -> None:
        """Stop an unfinished job, and mark it as cancelled. `resume` can start it again."""
        self._stop(job_id, "cancelled", {"running", "waiting", "paused"})

    def resume(self, job_id: str) -> None:
        """Put a paused, cancelled or failed job into the queue again."""
        with self._lock:
            job = self.job(job_id)
            if job.state not in ("paused", "cancelled", "failed"):
                raise JobError(f"an export that is {job.state} cannot be started again")
            self._jobs[job_id] = replace(job, state="waiting", error="")
            self._save()
            self._run_waiting()

    def remove(self, job_id: str) -> None:
        """Remove a finished, failed or cancelled job from the queue. Its result is kept."""
        with self._lock:
            if self.job(job_id).state in _OPEN:
                raise JobError("cancel the export before it is removed")
            del self._jobs[job_id]
            self._save()

    def begin_closing(self) -> None:
        """Ask all runs to stop, and prevent new runs."""
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        for run in runs:
            run.stop()

    def close(self) -> None:
        """Stop all runs. The next studio continues them."""
        self.begin_closing()
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.wait()

    def _stop(self, job_id: str, state: State, allowed: set[str]) -> None:
        with self._lock:
            job = self.job(job_id)
            if job.state not in allowed:
                raise JobError(f"an export that is {job.state} cannot be {state}")
            self._jobs[job_id] = replace(job, state=state, fps=0.0)
            run = self._runs.get(job_id)
            self._save()
        if run is not None:
            run.stop()
        with self._lock:
            self._run_waiting()

    def _run_waiting(self) -> None:
        for job in list(self._jobs.values()):
            if self._closed or len(self._runs) >= self._parallel:
                return
            if job.state == "waiting" and job.id not in self._runs:
                self._jobs[job.id] = replace(job, state="running", error="")
                try:
                    self._runs[job.id] = CommandRun(
                        job.command,
                        on_event=partial(self._follow, job.id),
                        on_end=partial(self._end, job.id),
                    )
                except OSError as error:
                    reason = f"the export cannot be started: {error.strerror}"
                    self._jobs[job.id] = replace(job, state="failed", error=reason)
                self._save()

    def _follow(self, job_id: str, event: dict[str, Any]) -> None:
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return
            if event.get("event") == "progress":
                frames, total = int(event["frames"]), int(event["total"] or 0)
                self._jobs[job_id] = replace(job, frames=frames, total=total, fps=event["fps"])
                now = time.monotonic()
                if now - self._published >= _PUBLISH_SECONDS:
                    self._published = now
                    self._on_change(self.facts())

    def _end(self, job_id: str, code: int, error: str) -> None:
        with self._lock:
            self._runs.pop(job_id, None)
            job = self._jobs.get(job_id)
            if job is not None and job.state == "running" and not self._closed:
                output = Path(job.output)
                if code in (0, 3) and output.is_file():
                    job = replace(job, state="done", fps=0.0, bytes=output.stat().st_size)
                    job = replace(job, result_file=self._on_done(output))
                else:
                    job = replace(job, state="failed", fps=0.0, error=error)
                self._jobs[job_id] = job
            self._save()
            self._run_waiting()

    def _save(self) -> None:
        data = json.dumps([asdict(job) for job in self._jobs.values()], indent=1)
        try:
            write_file(self._path, [data.encode()])
        except OSError as error:
            self._on_problem(
                f"The queue cannot be stored in {self._path.parent}: {error.strerror}. Exports go "
                "on, but a restart of the studio would lose changes to the queue."
            )
        self._on_change(self.facts())


def _read(path: Path) -> list[ExportJob]:
    """Return the jobs in a file, or an empty list if the file is missing or damaged."""
    try:
        return [
            ExportJob(**{**facts, "options": tuple(facts["options"])})
            for facts in json.loads(path.read_text("utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []
