"""``crsr-video enhance`` with several inputs: the options, and what they lead to."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import process, values
from crsr_video.cli.queue_reporting import QueueReporter
from crsr_video.config import Config

if TYPE_CHECKING:
    from crsr_video.jobs.queue import Found, Job

CHOICES = ("recursive", "patterns", "jobs", "ray", "ray_cpus", "ray_gpus")
"""Names of the options below."""


def queue_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a queue, whose values `chosen` takes out again."""
    for option in reversed(
        (
            click.option(
                "--recursive",
                is_flag=True,
                help="Take all videos in INPUT folders, and in the folders below.",
            ),
            click.option(
                "--pattern",
                "patterns",
                metavar="GLOB",
                multiple=True,
                help="With --recursive: only names like this, such as '*.mp4'; may be repeated.",
            ),
            click.option(
                "--jobs",
                metavar="N",
                type=click.IntRange(min=1),
                help="Files at a time, each in a process of its own; with --ray, workers."
                "  [default: 1; with --ray, all that fit]",
            ),
            click.option(
                "--ray",
                metavar="ADDRESS|local",
                help="Share the work out over a Ray cluster, the parts of long videos too.",
            ),
            click.option(
                "--ray-cpus",
                metavar="N",
                type=click.FloatRange(min=0, min_open=True),
                default=1.0,
                show_default=True,
                help="CPUs of the cluster that a worker takes.",
            ),
            click.option(
                "--ray-gpus",
                metavar="N",
                type=click.FloatRange(min=0),
                default=0.0,
                show_default=True,
                help="GPUs that a worker takes: 0.25 puts four on each.",
            ),
        )
    ):
        command = option(command)
    return command


def chosen(choices: dict[str, Any]) -> dict[str, Any]:
    """Take the queue's options out of all others."""
    return {name: choices.pop(name) for name in CHOICES}


def is_queue(sources: Sequence[Path], options: dict[str, Any]) -> bool:
    """Whether more was asked for than one video on this machine."""
    asked = options["recursive"] or options["patterns"] or options["ray"] is not None
    return bool(asked) or len(sources) > 1


@contextmanager
def into(folder: Path, source: Path, config: Config) -> Iterator[Path]:
    """The name of a result in a folder, which is made, and goes again if nothing comes into it.

    Raises: CrsrError: the folder cannot be made, or the source cannot be read.
    """
    from crsr_video.jobs.queue import Job, folders, naming

    job = Job(source, naming.job_of(source, Path(), folder, config).output)
    with folders.tidied([job]):
        folders.make(job)
        yield job.output


def enhance_all(
    sources: Sequence[Path],
    place: str | None,
    config: Config,
    options: dict[str, Any],
    *,
    quiet: bool,
    as_json: bool,
) -> int:
    """Do the work; returns the exit code.

    Args:   place: the folder of all results, or the name of a single one.
    Raises: CrsrError: nothing could be begun.
    """
    with QueueReporter(quiet=quiet, as_json=as_json) as reporter:
        # Imported only now: the networks' libraries take seconds, wrong options should not.
        from crsr_video.track import litert

        process.limit_library_threads(config.networks.device)
        found = _found(sources, place, config, options)
        reporter.begin(found)
        if found.jobs:
            litert.prepare_process(reporter.fetching)
            _run(found.jobs, config, options, reporter)
        return reporter.end()


def _found(
    sources: Sequence[Path], place: str | None, config: Config, options: dict[str, Any]
) -> "Found":
    from crsr_video.jobs.queue import Found, Job, find
    from crsr_video.jobs.queue.naming import job_of

    folder = None if place is None else Path(place)
    if len(sources) > 1 or options["recursive"] or values.is_folder(str(sources[0])):
        return find(
            sources,
            folder,
            config,
            recursive=options["recursive"],
            patterns=options["patterns"],
        )
    if folder is not None and not values.is_folder(str(place)):
        name = folder
    else:
        name = job_of(sources[0], Path(), folder, config).output
    return Found([Job(sources[0], name, report=config.job.report)])


def _run(
    jobs: Sequence["Job"], config: Config, options: dict[str, Any], reporter: QueueReporter
) -> None:
    command = ("crsr-video", *sys.argv[1:])
    if options["ray"] is None:
        from crsr_video.jobs import queue as work_queue

        processes = options["jobs"] or 1
        reporter.elsewhere = processes > 1
        work_queue.run(jobs, config, reporter.tell, processes=processes, command=command)
        return
    from crsr_video.jobs import cluster

    reporter.elsewhere = True
    share = cluster.Share(options["ray_cpus"], options["ray_gpus"])
    cluster.run(
        jobs,
        config,
        reporter.tell,
        address=options["ray"],
        share=share,
        workers=options["jobs"],
        on_notice=reporter.notice,
        command=command,
    )
