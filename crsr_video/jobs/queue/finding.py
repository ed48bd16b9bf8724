"""From what was asked for to jobs: folders are walked, names are given, own results left out."""

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from crsr_video.config import Config
from crsr_video.errors import ConfigError, CrsrError, InputError
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.jobs.queue.jobs import Job
from crsr_video.jobs.queue.naming import MARK, check_reports, clashes, job_of

READ_ONLY = (".ogv", ".ogm", ".gif", ".y4m", ".mxf", ".dv", ".rm", ".rmvb", ".f4v", ".divx")
_OLDER = (".m1v", ".m2v", ".mpv", ".m2t", ".mod", ".tod", ".amv", ".h264", ".264", ".hevc")
"""Endings of videos that are read, beside those that are written too."""
ENDINGS = frozenset((*BY_SUFFIX, *READ_ONLY, *_OLDER))
"""Of the files that are taken from a folder."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that cannot become a job."""

    path: Path
    message: str
    kind: str = "InputError"


@dataclass(slots=True)
class Found:
    """What came of the inputs."""

    jobs: list[Job] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def find(
    inputs: Sequence[Path],
    folder: Path | None,
    config: Config,
    *,
    recursive: bool = False,
    patterns: Sequence[str] = (),
) -> Found:
    """Jobs for files, and for what lies in folders.

    Args:   folder: of all results; None: each beside its source.
            recursive: take folders too, with all below them.
            patterns: names to take from folders, such as ``*.mp4``, or paths below the folder;
            none: all videos, by their endings.
    Raises: ConfigError: the options do not fit together.
            InputError: there is nothing to do at all.
    """
    _check_options(inputs, folder, config, recursive, patterns)
    found = Found()
    sources: dict[str, Path] = {}
    for source, below in _all_sources(
        inputs, folder, recursive, patterns, found, config.job.overwrite
    ):
        first = sources.setdefault(_real(source), source)
        if first is not source:
            found.notices.append(f"{source} is {first} again: it is done once")
            continue
        try:
            found.jobs.append(job_of(source, below, folder, config))
        except CrsrError as error:
            found.refused.append(Refused(source, str(error), type(error).__name__))
    _refuse_clashes(found)
    _leave_out_results(found)
    if not found.jobs and not found.refused:
        raise InputError(f"{', '.join(map(str, inputs))}: there is nothing to enhance")
    return found


def _check_options(
    inputs: Sequence[Path],
    folder: Path | None,
    config: Config,
    recursive: bool,
    patterns: Sequence[str],
) -> None:
    if patterns and not recursive:
        raise ConfigError("pattern chooses files in folders: it needs --recursive")
    if "-" in map(str, (*inputs, folder)):
        raise ConfigError("standard input and output are for one video, not for several")
    if folder is not None and (
        folder.is_file() or (not folder.is_dir() and folder.suffix.lower() in BY_SUFFIX)
    ):
        raise ConfigError(f"{folder}: several inputs need a folder for their results, not a file")
    if config.faces.tracks is not None:
        raise ConfigError("tracks are of one video, not of several")
    check_reports(config)


def _all_sources(
    inputs: Iterable[Path],
    folder: Path | None,
    recursive: bool,
    patterns: Sequence[str],
    found: Found,
    overwrite: bool,
) -> Iterator[tuple[Path, Path]]:
    """Files, and where they lie below the folder that was asked for."""
    for path in inputs:
        if not _is_folder(path):
            yield path, Path()
        elif not recursive:
            found.refused.append(
                Refused(path, f"{path}: is a folder; --recursive takes what is in it")
            )
        elif folder is not None and Path(_real(path)).is_relative_to(_real(folder)):
            told = f"{path}: lies in {folder}, where results go: they would be enhanced again"
            found.refused.append(Refused(path, told, "ConfigError"))
        else:
            yield from _walked(path, folder, patterns, found, overwrite)


def _walked(
    top: Path, folder: Path | None, patterns: Sequence[str], found: Found, overwrite: bool
) -> Iterator[tuple[Path, Path]]:
    """Videos in a folder, in order of their names; nothing hidden, no result of ours.

    Raises: ConfigError: results would replace what is there, in a folder among the sources.
    """
    results = _real(folder) if folder is not None else None

    def tell(error: OSError) -> None:
        name = error.filename or top
        found.refused.append(Refused(Path(name), f"{name}: cannot be read: {error.strerror}"))

    any_found = False
    for place, folders, names in os.walk(top, onerror=tell):
        here = Path(place)
        if results is not None and _real(here) == results:
            if overwrite and (names or folders):
                # Who tells a result of ours from somebody's own video? It would be gone.
                told = f"{here}: lies in {top} and holds files: overwriting could hit a source"
                raise ConfigError(told)
            found.notices.append(f"{here} is left out of {top}: results go there")
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = here.relative_to(top)
        stems = {Path(name).stem for name in names}
        for name in sorted(names):
            if _is_wanted(below / name, patterns) and not _is_result(name, stems):
                any_found = True
                yield here / name, below
    if not any_found:
        what = f"nothing matches {' or '.join(patterns)}" if patterns else "no video was found"
        found.refused.append(Refused(top, f"{top}: {what} in it"))


def _is_wanted(path: Path, patterns: Sequence[str]) -> bool:
    if path.name.startswith("."):
        return False
    if not patterns:
        return path.suffix.lower() in ENDINGS
    return any(fnmatch(str(path) if "/" in p else path.name, p) for p in patterns)


def _is_result(name: str, stems: Container[str]) -> bool:
    """Whether a file is called as the result of one beside it, by all names without endings."""
    stem = Path(name).stem
    base = stem.removesuffix(MARK)
    return base != stem and base in stems


def _refuse_clashes(found: Found) -> None:
    """Of results that would have one name none is made: nobody can tell which was meant."""
    refused: dict[Job, str] = {}
    for first, second, path in clashes(found.jobs):
        for job, other in ((first, second), (second, first)):
            told = f"{job.source}: would write {path}, as would {other.source}"
            refused.setdefault(job, told)
    found.refused += [Refused(job.source, told, "ConfigError") for job, told in refused.items()]
    found.jobs = [job for job in found.jobs if job not in refused]


def _leave_out_results(found: Found) -> None:
    """A second run over ``*.mp4`` finds the results of the first, which are no sources."""
    made = {_real(job.output): job for job in found.jobs}
    kept = []
    for job in found.jobs:
        maker = made.get(_real(job.source), job)
        if maker is job:
            kept.append(job)
        else:
            found.notices.append(f"{job.source} is left out: it is the result of {maker.source}")
    found.jobs = kept


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - a Path raises where it may not look


def _real(path: Path) -> str:
    """Where a path leads; never raises, not even for links that go in circles."""
    return os.path.realpath(path)
