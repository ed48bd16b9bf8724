"""Assignment of segments when workers die, are late or see no files, with a fake Ray."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crsr_video.config import Config
from crsr_video.errors import ClusterError
from crsr_video.jobs.cluster import actor_pool
from crsr_video.jobs.cluster.actor_pool import MAX_RETRIES, ActorPool, WorkerResources
from crsr_video.jobs.cluster.worker import SegmentDone, WorkerFailure, WorkerReady
from crsr_video.jobs.segments import Plan, Segment, SegmentResult
from crsr_video.types import RunStatistics

CONFIG = Config.from_options(model="identity", device="cpu", precision="fp32")
UNSEEN = WorkerFailure("in.mkv: does not exist (machine b)", "InputError", files_unseen=True)
EMPTY = SegmentResult(0, "", 0, "", 0, 0, (), 0, RunStatistics(), {}, {}, ())


class ActorDiedError(Exception):
    """Stand-in for Ray's exception."""


class FakeRay:
    """The part of Ray that the pool uses. Calls are answered at once or never.

    Args:
        answers: Answers of each actor to its calls, in order: a value, an exception to raise, or
            None for no answer.
    """

    exceptions = SimpleNamespace(RayActorError=ActorDiedError)

    def __init__(self, **answers: list[Any]) -> None:
        self._answers = {name: iter(row) for name, row in answers.items()}
        self._names = iter(answers)
        self.killed: list[str] = []
        self.made: list[str] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": float(len(self._answers))}}]

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._actor))

    def _actor(self, _: int) -> Any:
        name = next(self._names)

        def call(*_: Any) -> Future[Any]:
            self.made.append(name)
            future: Future[Any] = Future()
            answer = next(self._answers[name])
            if isinstance(answer, Exception):
                future.set_exception(answer)
            elif answer is not None:
                future.set_result(answer)
            return future

        method = SimpleNamespace(remote=call, options=lambda **_: SimpleNamespace(remote=call))
        return SimpleNamespace(name=name, prepare=method, enhance=method)

    def wait(
        self, calls: list[Future[Any]], *, num_returns: int, timeout: float
    ) -> tuple[list[Future[Any]], list[Future[Any]]]:
        done = [call for call in calls if call.done()][:num_returns]
        if not done:
            time.sleep(min(timeout, 0.01))
        return done, [call for call in calls if call not in done]

    def get(self, call: Future[Any]) -> Any:
        return call.result(0)

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.name)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "in.mkv").write_bytes(b"x")
    return Plan(
        tmp_path / "in.mkv", tmp_path / "out.mkv", CONFIG, 1, True, None, None, (), {"a": "1"}
    )


def segments(count: int) -> list[Segment]:
    return [Segment(number, None, None, None, 1) for number in range(count)]


def done(number: int) -> SegmentDone:
    return SegmentDone(replace(EMPTY, number=number), (), "a")


@contextmanager
def working(ray: FakeRay, on_notice: Callable[[str], None] = lambda _: None) -> Iterator[ActorPool]:
    fleet = ActorPool(ray, on_notice=on_notice)
    fleet.start(CONFIG, WorkerResources(), None)
    yield fleet
    fleet.stop()


def results(fleet: ActorPool, plan: Plan, count: int) -> list[int]:
    """Enhance segments, and return their numbers in the order of completion."""
    numbers: list[int] = []
    errors: list[Exception] = []

    def add(result: SegmentResult) -> None:
        numbers.append(result.number)

    def ask() -> None:
        try:
            fleet.enhance(plan, segments(count), plan.source.parent, add)
        except ClusterError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        fleet.serve(lambda: not thread.is_alive())
    finally:
        fleet.stop()
        thread.join(10)
    if errors:
        raise errors[0]
    return numbers


def test_a_segment_whose_worker_died_goes_to_another(plan: Plan) -> None:
    ray = FakeRay(
        a=[WorkerReady("a"), ActorDiedError(), None], b=[WorkerReady("b"), done(1), done(0)]
    )
    with working(ray) as fleet:
        assert sorted(results(fleet, plan, 2)) == [0, 1]


def test_a_restarted_worker_works_again(plan: Plan) -> None:
    ray = FakeRay(a=[WorkerReady("a"), ActorDiedError(), WorkerReady("a"), done(0), done(1)])
    with working(ray) as fleet:
        assert results(fleet, plan, 2) == [0, 1]


def test_a_worker_that_stays_dead_is_left_out(plan: Plan) -> None:
    ray = FakeRay(
        a=[WorkerReady("a"), ActorDiedError(), ActorDiedError()],
        b=[WorkerReady("b"), *map(done, range(5))],
    )
    notices: list[str] = []
    with working(ray, notices.append) as fleet:
        assert len(results(fleet, plan, 5)) == 5
    assert ray.made.count("a") == 3
    assert notices == ["left out: a worker cannot be started: ActorDiedError"]


def test_a_segment_that_kills_all_workers_fails(plan: Plan) -> None:
    lives = [WorkerReady("a"), ActorDiedError("SIGSEGV")] * (MAX_RETRIES + 1)
    ray = FakeRay(a=[*lives, WorkerReady("a")])
    with working(ray) as fleet, pytest.raises(ClusterError, match=r"in\.mkv: SIGSEGV"):
        results(fleet, plan, 1)


def test_a_machine_that_does_not_see_the_files_is_left_out(plan: Plan) -> None:
    ray = FakeRay(a=[WorkerReady("a"), *map(done, range(4))], b=[WorkerReady("b"), UNSEEN])
    notices: list[str] = []
    with working(ray, notices.append) as fleet:
        assert len(results(fleet, plan, 4)) == 4
    assert notices == [f"left out: {UNSEEN.message}"]
    assert ray.killed[0] == "b"


def test_a_machine_is_kept_if_the_files_do_not_exist_here_either(
    plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "in.mkv").unlink()
    ray = FakeRay(a=[WorkerReady("a"), UNSEEN])
    with working(ray) as fleet, pytest.raises(ClusterError, match="does not exist"):
        results(fleet, plan, 1)
    assert ray.killed == ["a"] * 2  # When the pool was stopped, not before.


def test_the_work_fails_when_all_workers_are_lost(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay(a=[WorkerReady("a"), UNSEEN])
    lost = r"all workers of the cluster are lost: in\.mkv: does not exist \(machine b\)"
    with working(ray) as fleet, pytest.raises(ClusterError, match=lost):
        results(fleet, plan, 2)
    monkeypatch.setattr(actor_pool, "START_SECONDS", 0.2)
    ray = FakeRay(
        a=[WorkerReady("a"), ActorDiedError(), None]
    )  # Its machine is gone, and there is no other one.
    with working(ray) as fleet, pytest.raises(ClusterError, match=r"all workers .* are lost$"):
        results(fleet, plan, 2)


def test_late_and_unusable_workers_are_left_out(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor_pool, "START_SECONDS", 0.1)
    notices: list[str] = []
    other = WorkerFailure("planned by a machine with crsr-video 0.1 (machine b)", "InputError")
    ray = FakeRay(a=[WorkerReady("a"), done(0)], b=[other], c=[None])
    with working(ray, notices.append) as fleet:
        assert results(fleet, plan, 1) == [0]
    assert notices == [
        f"left out: {other.message}",
        "left out: 1 worker did not start within 0.1 s",
    ]
    with pytest.raises(ClusterError, match=r"no worker of the cluster can be used: planned by"):
        ActorPool(FakeRay(b=[other])).start(CONFIG, WorkerResources(), None)
