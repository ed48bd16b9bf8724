"""A queue of videos on a cluster: threads that plan and join here, workers that enhance there."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.jobs.cluster.connection import connected
from crsr_video.jobs.cluster.fleet import Fleet
from crsr_video.jobs.cluster.places import Share
from crsr_video.jobs.cluster.signals import DeferredSignals
from crsr_video.jobs.queue import Event, Job, OnEvent, one
from crsr_video.jobs.queue.folders import tidied
from crsr_video.jobs.segments.planning import settled


def run(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    *,
    address: str,
    share: Share | None = None,
    workers: int | None = None,
    on_notice: Callable[[str], None] = lambda _: None,
    command: Sequence[str] = (),
) -> None:
    """Enhance all on a cluster; what becomes of each is told as events, from the calling thread.

    What is finished is kept beside the results as by a resumable run: the same call goes on.
    Args:   address: see `connected`. share: what a worker takes of a machine.
            workers: how many; None: as many as fit.
            on_notice: called with lines that concern the cluster.
    Raises: ClusterError: it cannot be reached, no machine is fit, or all are lost.
            DeviceError, WeightsError: nothing can be enhanced.
    """
    chosen = _travelling(config, share or Share())
    placement = pipeline.placed(chosen)
    exact: Any = placement.precision
    with DeferredSignals() as signals, connected(address) as ray:
        signals.check()
        fleet = Fleet(ray, signals.check, on_notice)
        try:
            fleet.start(settled(chosen, str(placement.device), exact), share or Share(), workers)
            machines = len(set(fleet.nodes))
            on_notice(f"{len(fleet.nodes)} workers on {machines} machine{'s'[: machines != 1]}")
            with tidied(jobs):
                _share_out(jobs, chosen, on_event, fleet, command)
        finally:
            fleet.stop()


def _travelling(config: Config, share: Share) -> Config:
    """The configuration with what other machines must know: whole paths, and a kind of device."""
    device = config.networks.device
    if device == "auto" and share.gpus > 0:
        device = "cuda"
    elif device == "auto" and torch.cuda.is_available():
        device = "cpu"  # Ray hides GPUs from those who did not ask for one.
    model = Path(config.networks.model)
    return config.with_options(
        device=device,
        model=str(model.absolute()) if model.is_file() else config.networks.model,
        tracks=config.faces.tracks.absolute() if config.faces.tracks is not None else None,
        resume=True,
    )


def _share_out(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    fleet: Fleet,
    command: Sequence[str],
) -> None:
    """A thread for each video that is under way, as many as keep all workers busy."""
    events: SimpleQueue[Event] = SimpleQueue()

    def tell_all() -> None:
        with suppress(Empty):
            while True:
                on_event(events.get_nowait())

    with ThreadPoolExecutor(len(fleet.nodes) + 1, "video") as threads:
        calls = [
            threads.submit(
                one.do,
                _absolute(job),
                config,
                events.put,
                command=command,
                workers=fleet.enhance,
            )
            for job in jobs
        ]

        def is_over() -> bool:
            tell_all()
            return not wait(calls, timeout=0).not_done

        try:
            fleet.serve(is_over)
        except BaseException:
            for call in calls:
                call.cancel()
            fleet.stop()  # Wakes the threads, which wait for their segments.
            raise
    tell_all()


def _absolute(job: Job) -> Job:
    """With paths that mean the same on every machine."""
    return Job(
        job.source.absolute(),
        job.output.absolute(),
        job.folder,
        tuple(path.absolute() for path in job.report),
    )
