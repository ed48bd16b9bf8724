"""Queues of real files, in one worker process and in several."""

import multiprocessing
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from crsr_video.config import Config, OutputSettings
from crsr_video.errors import CrsrError, WeightsError
from crsr_video.jobs import queue as work_queue
from crsr_video.jobs.queue import Failed, Finished, Job, Skipped, Started, process_pool
from crsr_video.jobs.segments.work_folder import work_folder_of
from tests.support.video import make_video, repeat_video

pytestmark = pytest.mark.usefixtures("face_models")

CONFIG = Config.from_options(
    model="identity",
    device="cpu",
    precision="fp32",
    output=OutputSettings(preset="ultrafast"),
)


def jobs_for(folder: Path, *names: str) -> list[Job]:
    for name in names:
        make_video(folder / name, frames=5)
    return [Job(folder / name, folder / "out" / name) for name in names]


def run(jobs: list[Job], config: Config = CONFIG, **how: Any) -> list[Any]:
    events: list[Any] = []
    work_queue.run(jobs, config, events.append, **how)
    return events


def ended(events: list[Any]) -> dict[str, str]:
    """Return the name of the last event of each source."""
    return {
        event.job.source.name: type(event).__name__
        for event in events
        if isinstance(event, (Finished, Failed, Skipped))
    }


def test_one_process_does_all_jobs_and_a_failure_does_not_stop_it(tmp_path: Path) -> None:
    jobs = jobs_for(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    jobs[1].source.write_bytes(b"junk")
    events, children = list[Any](), set[int | None]()

    def note(event: Any) -> None:
        events.append(event)
        if isinstance(event, Started):
            children.update(child.pid for child in multiprocessing.active_children())

    work_queue.run(jobs, CONFIG, note)
    assert len(children) == 1
    assert ended(events) == {"a.mp4": "Finished", "b.mp4": "Failed", "c.mp4": "Finished"}
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert (failed.message, failed.kind) == (
        f"{jobs[1].source}: is not a media file, or damaged beyond reading",
        "InputError",
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "c.mp4"]
    frames = [e.summary.statistics.frames for e in events if isinstance(e, Finished)]
    assert frames == [5, 5]
    # In the second run, only the failed file is left.
    assert ended(run(jobs)) == {"a.mp4": "Skipped", "b.mp4": "Failed", "c.mp4": "Skipped"}
    assert ended(run(jobs[:1], CONFIG.with_options(overwrite=True))) == {"a.mp4": "Finished"}


def test_the_folder_of_a_failed_result_is_removed(tmp_path: Path) -> None:
    job = Job(tmp_path / "none.mp4", tmp_path / "out" / "deep" / "none.mp4")
    assert ended(run([job])) == {"none.mp4": "Failed"}
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "place"), [(signal.SIGSEGV, 0), (signal.SIGABRT, 1), (signal.SIGKILL, 2)]
)
def test_a_crash_of_the_interpreter_ends_only_its_own_job(
    tmp_path: Path, number: signal.Signals, place: int
) -> None:
    jobs, events = jobs_for(tmp_path, "a.mp4", "b.mp4", "c.mp4"), list[Any]()

    def crash_once(event: Any) -> None:
        events.append(event)
        if event == Started(jobs[place]):
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, number)

    work_queue.run(jobs, CONFIG, crash_once)
    ends = ended(events)
    assert ends.pop(jobs[place].source.name) == "Failed"
    assert list(ends.values()) == ["Finished", "Finished"]
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert failed.message.endswith(f"the worker process ended unexpectedly: {number.name}")
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("names", [["a.mp4"], ["a.mp4", "b.mp4"]])
def test_missing_weights_fail_before_the_first_job(tmp_path: Path, names: list[str]) -> None:
    jobs, config = jobs_for(tmp_path, *names), CONFIG.with_options(model="nonesuch")
    with pytest.raises(WeightsError, match="unknown model"):
        run(jobs, config)
    assert not (tmp_path / "out").exists()


def harmed(job: Job, how: str) -> str:
    """Damage a result, and return part of the expected message."""
    data = job.output.read_bytes()
    if how == "older":
        os.utime(job.output, (1, 1))
        return "is older than"
    if how == "junk":
        job.output.write_bytes(b"junk")
        return "is not a media file"
    if how == "cut":
        job.output.write_bytes(data[: len(data) * 3 // 4])
        return "is cut off"
    make_video(job.output, frames=200)
    return "is not as long as its source"


@pytest.mark.parametrize("how", ["older", "junk", "cut", "longer"])
def test_another_file_under_the_name_of_a_result_is_kept(tmp_path: Path, how: str) -> None:
    [job] = jobs_for(tmp_path, "a.mkv")
    assert ended(run([job])) == {"a.mkv": "Finished"}
    expected = harmed(job, how)
    there = job.output.read_bytes()
    [failed] = run([job])
    assert expected in failed.message
    assert "`overwrite`" in failed.message
    assert job.output.read_bytes() == there


def test_a_stopped_resumable_run_is_resumed(tmp_path: Path) -> None:
    [job] = jobs_for(tmp_path, "a.mp4")
    run([job])
    folder = work_folder_of(job.output)
    folder.mkdir()  # As after a run that was stopped while it cleaned up.
    config = CONFIG.with_options(resume=True)
    [_, failed] = run([job], config)  # As with one file: the origin of the result is unknown.
    assert "exists already" in failed.message
    assert not folder.exists()
    assert ended(run([job], config)) == {"a.mp4": "Skipped"}


@pytest.mark.processes
def test_a_dead_process_loses_only_its_own_job(tmp_path: Path) -> None:
    """One of two processes is killed at its first job, and another process replaces it."""
    jobs = jobs_for(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4")
    jobs[3].source.write_bytes(b"junk")
    killed: list[str] = []
    events: list[Any] = []
    with process_pool.ProcessPool(CONFIG, 2, ()) as processes:

        def tell(event: Any) -> None:
            events.append(event)
            if isinstance(event, Started) and not killed:
                victim = next(w for w in processes.workers if w.job == event.job)
                victim.process.kill()
                killed.append(event.job.source.name)

        processes.run(deque(jobs), tell)
        children = [worker.process for worker in processes.workers]
    assert all(child.exitcode == 0 for child in children)
    ends = ended(events)
    assert ends.pop(killed[0]) == ends.pop("d.mp4") == "Failed"
    assert list(ends.values()) == ["Finished", "Finished"]
    messages = {e.job.source.name: e.message for e in events if isinstance(e, Failed)}
    assert messages[killed[0]].endswith("SIGKILL")
    assert "not a media file" in messages["d.mp4"]


@pytest.mark.processes
def test_incomplete_results_of_a_dead_process_are_removed(tmp_path: Path) -> None:
    (short,) = jobs_for(tmp_path, "b.mp4")
    long = repeat_video(tmp_path / "a.h264", 20)
    jobs = [Job(long, tmp_path / "out" / "a.mp4"), short]
    left: list[str] = []
    with process_pool.ProcessPool(CONFIG, 1, ()) as processes:

        def tell(event: Any) -> None:
            if isinstance(event, work_queue.Advanced) and not left:
                left.extend(path.name for path in jobs[0].output.parent.iterdir())
                processes.workers[0].process.kill()

        processes.run(deque(jobs), tell)
    assert sorted(name[-9:] for name in left) == [".mp4.lock", ".part.mp4"]
    assert [path.name for path in jobs[0].output.parent.iterdir()] == ["b.mp4"]


def killed_at_the_start(patch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Kill the first processes at their start, and return the list of their IDs."""
    original, killed = process_pool.WorkerProcess.__init__, list[int]()

    def start(self: Any, *args: Any) -> None:
        original(self, *args)
        if len(killed) < times:
            self.process.kill()
            killed.append(self.process.pid)

    patch.setattr(process_pool.WorkerProcess, "__init__", start)
    return killed


@pytest.mark.processes
def test_a_process_that_dies_at_its_start_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = jobs_for(tmp_path, "a.mp4", "b.mp4")
    killed = killed_at_the_start(monkeypatch, 2)
    assert list(ended(run(jobs, processes=2)).values()) == ["Finished", "Finished"]
    assert len(killed) == 2
    messages = [record.getMessage() for record in caplog.records if "processes" not in record.name]
    assert messages == ["a worker process ended before it was ready: SIGKILL"] * 2


def test_the_queue_ends_if_all_processes_die_at_their_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_for(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    killed = killed_at_the_start(monkeypatch, 100)
    with pytest.raises(CrsrError, match="worker processes ended before they were ready"):
        run(jobs, processes=2)
    assert 3 <= len(killed) <= 4
    assert not (tmp_path / "out").exists()


@pytest.mark.processes
def test_all_processes_end_with_the_main_process(tmp_path: Path) -> None:
    long = repeat_video(tmp_path / "long.h264", 4)
    jobs = [Job(long, tmp_path / "out" / f"{name}.mp4") for name in "abc"]
    children: list[Any] = []

    def stop(event: Any) -> None:
        if isinstance(event, work_queue.Advanced):
            raise CrsrError("enough")

    with (
        pytest.raises(CrsrError, match="enough"),
        process_pool.ProcessPool(CONFIG, 2, ()) as processes,
    ):
        try:
            processes.run(deque(jobs), stop)
        finally:
            children += [worker.process for worker in processes.workers]
    end = time.monotonic() + 20
    assert children
    for child in children:
        child.join(max(0.0, end - time.monotonic()))
        # It cleaned up and ended, or it had not begun yet.
        assert child.exitcode in (0, -signal.SIGTERM)
    left = [p for p in tmp_path.rglob("*") if p.parent != tmp_path and p.is_file()]
    assert left == []
