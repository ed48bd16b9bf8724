"""Under which names the results of many inputs go, and which are the same."""

from collections.abc import Iterable
from pathlib import Path

from crsr_video.config import Config
from crsr_video.errors import ConfigError
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.jobs.queue.jobs import Job

MARK = ".enhanced"
"""Between a source's name and ending, where the result lies beside it."""


def job_of(source: Path, below: Path, folder: Path | None, config: Config) -> Job:
    """A job with all its names.

    The result's ending is the source's own, where such files are written; else what a single file
    would get.
    Args:   below: folder of the source below the one that was asked for.
            folder: of all results; None: each beside its source.
    Raises: InputError, OutputError: the name follows from the content, which cannot be read.
    """
    suffix = source.suffix if source.suffix.lower() in BY_SUFFIX else _found_suffix(source, config)
    if folder is None:
        output = source.with_name(f"{source.stem}{MARK}{suffix}")
    else:
        output = folder / below / f"{source.stem}{suffix}"
    reports = tuple(_report_of(pattern, output, below) for pattern in config.job.report)
    return Job(source, output, below, reports)


def _found_suffix(source: Path, config: Config) -> str:
    with Reader(source) as film:
        return plan_output(film.source, None, config.output, scale=config.scale).path.suffix


def _report_of(pattern: Path, output: Path, below: Path) -> Path:
    """The report of one result: the star stands for the result's name without its ending."""
    name = pattern.name.replace("*", output.stem)
    if pattern.parent == Path():
        return output.with_name(name)
    return pattern.parent / below / name


def check_reports(config: Config) -> None:
    """Raises: ConfigError: the name of a report would be the same for all inputs."""
    for pattern in config.job.report:
        if "*" not in pattern.name:
            told = f"*{pattern.suffix}"
            raise ConfigError(f"{pattern}: several inputs need a star in the report's name: {told}")


def clashes(jobs: Iterable[Job]) -> list[tuple[Job, Job, Path]]:
    """Jobs with a result, or a report, of the same name as an earlier one's: both, and the name."""
    found, owners = [], dict[Path, Job]()
    for job in jobs:
        for path in (job.output, *job.report):
            other = owners.setdefault(path.absolute(), job)
            if other is not job:
                found.append((other, job, path))
    return found
