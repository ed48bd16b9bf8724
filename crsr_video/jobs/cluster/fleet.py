"""Workers as Ray's actors, which take segments of all videos.

Ray chooses the machines, starts workers and starts those again that have died. The segment that one
was at goes to whoever is free: a machine that is gone may not come back, nor leave room elsewhere.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from crsr_video.config import Config
from crsr_video.errors import ClusterError, CrsrError
from crsr_video.jobs.cluster.places import Share, places_for
from crsr_video.jobs.cluster.units import Ticket, Unit, checked, is_seen, line
from crsr_video.jobs.cluster.worker import Done, Ready, SegmentWorker, Trouble, packed
from crsr_video.jobs.segments import Plan, Segment, SegmentResult, facts

RETRIES = 3
"""Times that a worker which died is started again, and that a segment is tried anew."""
START_SECONDS = 180.0
"""In which the first worker must be ready, and one be there again when all have died."""
_POLL_SECONDS = 0.2


class Fleet:
    """Workers; `enhance` may be called from many threads, the rest from one.

    Args: ray: the module, connected.
          check: called again and again while it waits; may raise.
          tell: called with lines that the user should read.
    """

    def __init__(
        self,
        ray: Any,
        check: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ray, self._check, self._tell = ray, check, tell
        self._inbox: SimpleQueue[Unit] = SimpleQueue()
        self._open: deque[Unit] = deque()
        """Units that wait for a worker."""
        self._idle: list[Any] = []
        """Actors that are ready."""
        self._greeted: dict[Any, Any] = {}
        """Actors that are asked whether they are ready, by Ray's number of the call."""
        self._at: dict[Any, tuple[Any, Unit]] = {}
        """Actors that are at work, likewise."""
        self._actors: list[Any] = []
        self._troubles: dict[str, None] = {}
        """Why workers were left out."""
        self._load = b""
        self._abandoned = False
        self.nodes: list[str] = []
        """Machine of each worker that has become ready."""

    # Workers ------------------------------------------------------------------------------------

    def start(self, config: Config, share: Share, most: int | None) -> None:
        """Start as many workers as fit into the cluster.

        Raises: ClusterError: none is fit for the work.
        """
        places = places_for(self._ray.nodes(), share)
        count = places if most is None else min(most, places)
        if count == 0:
            what = f"{share.cpus:g} CPUs" + (f" and {share.gpus:g} GPUs" if share.gpus else "")
            raise ClusterError(f"no machine of the cluster has {what} for a worker")
        self._load = packed(config, facts.versions(config))
        kind = self._ray.remote(SegmentWorker).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=RETRIES,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(max(1, int(share.cpus)))}},
        )
        self._actors = [kind.remote(max(1, int(share.cpus) // 4)) for _ in range(count)]
        for actor in self._actors:
            self._greet(actor)
        self._gather()

    def _gather(self) -> None:
        """Wait for workers to be ready; those that come later are welcome, too.

        Raises: ClusterError: none is.
        """
        end = time.monotonic() + START_SECONDS
        while self._greeted and time.monotonic() < end:
            self._check()
            self._hear()
        if self._greeted:
            told = f"{len(self._greeted)} workers did not start within {START_SECONDS:g} s"
            self._leave_out(None, told)
        if not self._idle:
            raise ClusterError(f"no worker of the cluster is fit: {next(iter(self._troubles))}")

    def _greet(self, actor: Any) -> None:
        """Ask a worker to get ready; Ray asks again if it has to be started again first."""
        call = actor.prepare.options(max_task_retries=-1).remote(self._load)
        self._greeted[call] = actor

    def _meet(self, call: Any, actor: Any) -> None:
        try:
            answer = self._ray.get(call)
        except Exception as error:  # crsr-video is not there at all, say.
            self._leave_out(actor, f"a worker cannot be started: {line(error)}")
            return
        if isinstance(answer, Ready):
            self.nodes.append(answer.node)
            self._idle.append(actor)
        else:
            self._leave_out(actor, answer.message)

    def _leave_out(self, actor: Any | None, why: str) -> None:
        """Do without a worker from now on."""
        if actor is not None:
            self._ray.kill(actor)
        if why not in self._troubles:
            self._troubles[why] = None
            self._tell(f"left out: {why}")

    def stop(self) -> None:
        """End all workers, whatever they are at."""
        self._abandoned = True
        for actor in self._actors:
            with suppress(Exception):
                self._ray.kill(actor)
        with suppress(Empty):
            while True:
                self._open.append(self._inbox.get_nowait())
        for unit in (*(unit for _, unit in self._at.values()), *self._open):
            unit.ticket.answers.put(Trouble("stopped", "ClusterError"))

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
        ticket, notices = Ticket(), dict[str, None]()
        for segment in segments:
            self._inbox.put(Unit(plan, segment, folder, ticket))
        if self._abandoned:
            raise ClusterError(f"{plan.source}: stopped")
        trouble: CrsrError | None = None
        for _ in segments:
            answer = ticket.answers.get()
            try:
                if trouble is None:
                    add(checked(answer, folder))
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
        seen = time.monotonic()
        while not is_over():
            self._check()
            self._give()
            if not self._hear():
                with suppress(Empty):
                    self._open.append(self._inbox.get(timeout=_POLL_SECONDS))
            now = time.monotonic()
            if self._idle or self._at:
                seen = now
            elif not self._greeted or now - seen > START_SECONDS:
                why = "".join(f": {trouble}" for trouble in list(self._troubles)[-1:])
                raise ClusterError(f"all workers of the cluster are lost{why}")

    def _give(self) -> None:
        """Give what is to be done to whoever is free."""
        with suppress(Empty):
            while True:
                self._open.append(self._inbox.get_nowait())
        while self._open and self._idle:
            unit = self._open.popleft()
            if unit.ticket.given_up.is_set():
                unit.ticket.answers.put(Trouble("given up", "ClusterError"))
                continue
            actor = self._idle.pop(0)
            call = actor.enhance.remote(packed(unit.plan, unit.segment, unit.folder))
            self._at[call] = actor, unit

    def _hear(self) -> bool:
        """Wait a little for an answer; whether there are any to be waited for."""
        calls = [*self._greeted, *self._at]
        if not calls:
            return False
        done, _ = self._ray.wait(calls, num_returns=1, timeout=_POLL_SECONDS)
        for call in done:
            if call in self._greeted:
                self._meet(call, self._greeted.pop(call))
            else:
                self._take(call, *self._at.pop(call))
        return True

    def _take(self, call: Any, actor: Any, unit: Unit) -> None:
        """What has become of a segment."""
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            self._greet(actor)  # Ray starts it again, if it can.
            if unit.tried < RETRIES:
                self._open.appendleft(replace(unit, tried=unit.tried + 1))
                return
            answer = Trouble(f"{unit.plan.source}: {line(error)}", "ClusterError")
        except Exception as error:
            self._idle.append(actor)
            answer = Trouble(f"{unit.plan.source}: {line(error)}", "ClusterError")
        else:
            if isinstance(answer, Trouble) and answer.blind and is_seen(unit):
                self._open.appendleft(unit)
                self._leave_out(actor, answer.message)
                return
            self._idle.append(actor)
        unit.ticket.answers.put(answer)
