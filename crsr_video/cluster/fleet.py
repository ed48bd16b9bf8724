"""Workers as Ray's actors, and a pool of them that takes segments of all videos."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from crsr_video.cluster.worker import Done, Ready, SegmentWorker, Trouble, packed
from crsr_video.config import Config
from crsr_video.errors import ClusterError, CrsrError
from crsr_video.segments import Plan, Segment, SegmentResult, facts

RETRIES = 3
"""Times that a worker which died is started again, and that a segment is tried anew."""
START_SECONDS = 180.0
"""In which the first worker must be ready."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker takes of a machine."""

    cpus: float = 1.0
    gpus: float = 0.0
    """A fraction lets several workers use one GPU."""


@dataclass(slots=True)
class _Ticket:
    """A video's segments on their way."""

    answers: SimpleQueue[Done | Trouble] = field(default_factory=SimpleQueue)
    given_up: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True, eq=False)
class _Unit:
    plan: Plan
    segment: Segment
    folder: Path
    ticket: _Ticket


class Actor(SegmentWorker):
    """The same as an actor, whose answers say whose they are."""

    def introduce(self, load: bytes) -> tuple[str, Ready | Trouble]:
        """Ray's number of the actor, and `prepare`."""
        from ray import get_runtime_context

        return get_runtime_context().get_actor_id(), self.prepare(load)

    def take(self, number: str, load: bytes) -> tuple[str, Done | Trouble]:
        """That number again, and `enhance`."""
        return number, self.enhance(load)


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    number: str
    handle: Any


class Fleet:
    """Workers that are ready; `enhance` may be called from many threads, `serve` from one.

    Args: ray: the module, connected.
          check: called again and again while it waits; may raise.
    """

    def __init__(self, ray: Any, check: Callable[[], None] = lambda: None) -> None:
        self._ray, self._check = ray, check
        self._inbox: SimpleQueue[_Unit] = SimpleQueue()
        self._members: dict[str, _Member] = {}
        """By Ray's number of the actor."""
        self._at: dict[str, _Unit] = {}
        """What each actor has to do, by its number."""
        self._open: deque[_Unit] = deque()
        """Units that wait for a worker."""
        self._abandoned = False
        self.nodes: list[str] = []
        """Machine of each worker."""

    # Workers ------------------------------------------------------------------------------------

    def start(self, config: Config, share: Share, most: int | None) -> list[str]:
        """Start as many workers as fit into the cluster; returns why some are not fit.

        Raises: ClusterError: none is.
        """
        places = places_for(self._ray.nodes(), share)
        count = places if most is None else min(most, places)
        if count == 0:
            what = f"{share.cpus:g} CPUs" + (f" and {share.gpus:g} GPUs" if share.gpus else "")
            raise ClusterError(f"no machine of the cluster has {what} for a worker")
        kind = self._ray.remote(Actor).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(max(1, int(share.cpus)))}},
        )
        actors = [kind.remote(max(1, int(share.cpus) // 4)) for _ in range(count)]
        return self._greet(actors, packed(config, facts.versions(config)))

    def _greet(self, actors: Sequence[Any], load: bytes) -> list[str]:
        """Keep those that can do the work.

        Raises: ClusterError: none can.
        """
        ray, unfit = self._ray, dict[str, None]()
        asked = {actor.introduce.remote(load): actor for actor in actors}
        ready, late = self._wait(list(asked))
        for call in ready:
            number, answer = self._introduction(call)
            if isinstance(answer, Ready):
                self._members[number] = _Member(number, asked[call])
                self.nodes.append(answer.node)
            else:
                unfit[answer.message] = None
                ray.kill(asked[call])
        for call in late:
            ray.kill(asked[call])
        if late:
            unfit[f"{len(late)} workers did not start within {START_SECONDS:g} s"] = None
        if not self._members:
            raise ClusterError(f"no worker of the cluster is fit: {next(iter(unfit))}")
        return list(unfit)

    def _wait(self, calls: list[Any]) -> tuple[list[Any], list[Any]]:
        """Calls that have been answered in time, and those that have not."""
        end = time.monotonic() + START_SECONDS
        ready: list[Any] = []
        while calls and time.monotonic() < end:
            self._check()
            done, calls = self._ray.wait(calls, num_returns=1, timeout=_POLL_SECONDS)
            ready += done
        return ready, calls

    def _introduction(self, call: Any) -> tuple[str, Ready | Trouble]:
        try:
            number, answer = self._ray.get(call)
        except self._ray.exceptions.RayError as error:  # crsr-video is not there at all, say.
            return "", Trouble(f"a worker cannot be started: {_line(error)}", type(error).__name__)
        return number, answer

    def stop(self) -> None:
        """End all workers, whatever they are at."""
        self._abandoned = True
        for member in self._members.values():
            with suppress(Exception):
                self._ray.kill(member.handle)
        with suppress(Empty):
            while True:
                self._answer(self._inbox.get_nowait(), Trouble("stopped", "ClusterError"))
        for unit in (*self._at.values(), *self._open):
            self._answer(unit, Trouble("stopped", "ClusterError"))

    # Videos' side -------------------------------------------------------------------------------

    def enhance(
        self,
        plan: Plan,
        segments: Sequence[Segment],
        folder: Path,
        add: Callable[[SegmentResult], None],
    ) -> Iterable[str]:
        """Have segments enhanced, and wait for all; as `segments.Workers`.

        Raises: ClusterError: one could not be; nobody works in the folder any more then.
        """
        ticket, notices = _Ticket(), dict[str, None]()
        for segment in segments:
            self._inbox.put(_Unit(plan, segment, folder, ticket))
        if self._abandoned:
            raise ClusterError(f"{plan.source}: stopped")
        trouble: CrsrError | None = None
        for _ in segments:
            answer = ticket.answers.get()
            try:
                if trouble is None:
                    add(_checked(answer, folder))
                    assert isinstance(answer, Done)
                    notices |= dict.fromkeys(answer.notices)
            except (CrsrError, OSError) as error:
                trouble = error if isinstance(error, CrsrError) else ClusterError(str(error))
                ticket.given_up.set()
        if trouble is not None:
            raise trouble
        return notices

    # Ray's side ---------------------------------------------------------------------------------

    def serve(self, is_over: Callable[[], bool]) -> None:
        """Pass segments to workers, and results back, until there will be no more.

        Raises: ClusterError: all workers are lost.
        """
        from ray.util import ActorPool

        pool = ActorPool(list(self._members.values()))
        while not is_over():
            self._check()
            self._submit_all(pool)
            if pool.has_next():
                with suppress(TimeoutError):
                    self._take_one(pool)
            else:
                with suppress(Empty):
                    self._open.append(self._inbox.get(timeout=_POLL_SECONDS))
            if not self._members:
                raise ClusterError("all workers of the cluster are lost")

    def _submit_all(self, pool: Any) -> None:
        """Give the pool what it can begin at once: what waits in it could not be called off."""
        with suppress(Empty):
            while True:
                self._open.append(self._inbox.get_nowait())
        while self._open and pool.has_free():
            unit = self._open.popleft()
            if unit.ticket.given_up.is_set():
                self._answer(unit, Trouble("given up", "ClusterError"))
            else:
                pool.submit(self._call, unit)

    def _call(self, member: _Member, unit: _Unit) -> Any:
        self._at[member.number] = unit
        load = packed(unit.plan, unit.segment, unit.folder)
        return member.handle.take.remote(member.number, load)

    def _take_one(self, pool: Any) -> None:
        """Wait a little for a result.

        Raises: TimeoutError: there is none yet.
        """
        try:
            number, answer = pool.get_next_unordered(timeout=_POLL_SECONDS)
        except self._ray.exceptions.RayActorError as error:
            # It was started again as often as is allowed.
            number, answer = error.actor_id, Trouble(_line(error), "ClusterError")
            self._members.pop(number, None)
        unit = self._at.pop(number, None)
        if unit is not None:
            self._answer(unit, answer)

    def _answer(self, unit: _Unit, answer: Done | Trouble) -> None:
        unit.ticket.answers.put(answer)


def places_for(nodes: Iterable[dict[str, Any]], share: Share) -> int:
    """How many workers fit into a cluster, by what `ray.nodes` says of its machines."""
    places = 0
    for node in nodes:
        if not node.get("Alive"):
            continue
        has = node.get("Resources", {})
        fits = int(has.get("CPU", 0) / share.cpus)
        if share.gpus > 0:
            fits = min(fits, int(has.get("GPU", 0) / share.gpus))
        places += fits
    return places


def _checked(answer: Done | Trouble, folder: Path) -> SegmentResult:
    """The result, if its file is here as the worker wrote it.

    Raises: ClusterError.
    """
    if isinstance(answer, Trouble):
        raise ClusterError(answer.message)
    result = answer.result
    if result.name:
        path = folder / result.name
        try:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == result.sha256
        except OSError as error:
            told = f"{path}: cannot be read here: {error.strerror} (written by {answer.node})"
            raise ClusterError(told) from error
        if not same:
            raise ClusterError(f"{path}: is not as machine {answer.node} wrote it")
    return result


def _line(error: BaseException) -> str:
    """What Ray says, without its pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
