"""Run the jobs of a queue on a cluster.

Threads of this process plan and join the segments of the videos; the workers enhance them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue

import torch

from crsr_video.config import Config
from crsr_video.formatting import format_count
from crsr_video.jobs.cluster.actor_pool import ActorPool, WorkerResources
from crsr_video.jobs.cluster.connection import connected
from crsr_video.jobs.cluster.ray_isolation import DeferredSignals
from crsr_video.jobs.events import Event, Job, OnEvent
from crsr_video.jobs.queue import removing_empty_folders, run_job
from crsr_video.runtime import loading


def run(
    jobs: Sequence[Job],
    config: Config,
    on_event: OnEvent,
    *,
    address: str,
    resources: WorkerResources | None = None,
    workers: int | None = None,
    on_notice: Callable[[str], None] = lambda _: None,
    command: Sequence[str] = (),
) -> None:
    """Run all jobs on a cluster.

    Finished segments are kept beside the results, as in a resumable run, so the same call resumes
    an interrupted queue.

    Args:
        jobs: The jobs.
        config: Settings of all jobs.
        on_event: Receives all events, in the calling thread.
        address: HOST:PORT of a cluster, or "local"; see `connected`.
        resources: Resources that each worker takes.
        workers: Number of workers. Defaults to as many as fit.
        on_notice: Called with each notice about the cluster.
        command: Words of the command line, for reports.

    Raises:
        ClusterError: The cluster cannot be reached, no worker can be used, or all workers are lost.
        DeviceError: The device cannot be used.
        WeightsError: The weights cannot be loaded.
    """
    resources = resources or WorkerResources()
    config = _for_other_machines(config, resources)
    placement = loading.resolve_placement(config)
    fixed = config.with_options(device=str(placement.device), precision=placement.precision)
    with DeferredSignals() as signals, connected(address) as ray:
        signals.check()
        pool = ActorPool(ray, signals.check, on_notice)
        try:
            pool.start(fixed, resources, workers)
            count = format_count(len(pool.machines), "worker")
            on_notice(f"{count} on {format_count(len(set(pool.machines)), 'machine')}")
            with removing_empty_folders(jobs):
                _run_in_threads(jobs, config, on_event, pool, command)
        finally:
            pool.stop()


def _for_other_machines(config: Config, resources: WorkerResources) -> Config:
    """Return settings for any machine: absolute paths, an explicit kind of device, and resume."""
    networks, tracks = config.networks, config.faces.tracks
    device = networks.device
    if device == "auto" and resources.gpus > 0:
        device = "cuda"
    elif device == "auto" and torch.cuda.is_available():
        device = "cpu"  # Ray hides GPUs from workers that did not ask for one.
    model = Path(networks.model)
    return config.with_options(
        device=device,
        model=str(model.absolute()) if model.is_file() else networks.model,
        tracks=tracks.absolute() if tracks is not None else None,
        resume=True,
    )


def _run_in_threads(
    jobs: Sequence[Job], config: Config, on_event: OnEvent, pool: ActorPool, command: Sequence[str]
) -> None:
    """Run the jobs in enough threads to keep all workers busy."""
    events: SimpleQueue[Event] = SimpleQueue()

    def pass_events_on() -> None:
        with suppress(Empty):
            while True:
                on_event(events.get_nowait())

    with ThreadPoolExecutor(len(pool.machines) + 1, "video") as threads:
        calls = [
            threads.submit(
                run_job,
                _with_absolute_paths(job),
                config,
                events.put,
                command=command,
                executor=pool.enhance,
            )
            for job in jobs
        ]

        def is_over() -> bool:
            pass_events_on()
            return not wait(calls, timeout=0).not_done

        try:
            pool.serve(is_over)
        except BaseException:
            for call in calls:
                call.cancel()
            pool.stop()  # Wakes the threads that wait for their segments.
            raise
    pass_events_on()


def _with_absolute_paths(job: Job) -> Job:
    """Return a job with paths that are the same on every machine."""
    return replace(
        job,
        source=job.source.absolute(),
        output=job.output.absolute(),
        report=tuple(path.absolute() for path in job.report),
    )
