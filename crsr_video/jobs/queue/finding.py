"""Turn files and folders into jobs: find sources, name results, and leave out earlier results."""

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from crsr_video.config import Config
from crsr_video.errors import ConfigError, CrsrError, InputError
from crsr_video.io import still_files
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_plan import plan_output, usual_suffix
from crsr_video.io.reader import Reader
from crsr_video.jobs.events import Job

RESULT_MARK = ".enhanced"
"""Part of a result's name between the stem and the suffix of its source."""
_READ_ONLY_SUFFIXES = (
    *(".ogv", ".ogm", ".gif", ".y4m", ".mxf", ".dv", ".rm", ".rmvb", ".f4v", ".divx"),
    *(".m1v", ".m2v", ".mpv", ".m2t", ".mod", ".tod", ".amv", ".h264", ".264", ".hevc"),
)
"""Suffixes of videos that can be read but not written."""
_SOUND_OR_VIDEO = (".ogg",)
"""Suffixes of files that are taken only if they hold a video."""
_MOST_NAMES = 5
"""Largest number of files that are named in a notice about files that are left out."""
_HIDDEN = "as hidden"
SUFFIXES = frozenset((*BY_SUFFIX, *_READ_ONLY_SUFFIXES, *still_files.FORMATS))
"""Suffixes of the files that are taken from folders."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that cannot become a job."""

    path: Path
    message: str
    kind: str = "InputError"
    """Name of the exception class."""


@dataclass(slots=True)
class Found:
    """Jobs, refused inputs and notices for the user."""

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
    """Return the jobs for some files and folders.

    Args:
        inputs: Files and folders.
        folder: Folder of all results. Defaults to the folder of each source.
        config: Settings of the run.
        recursive: Also take the videos and pictures in input folders and in the folders below.
        patterns: File names to take from folders, such as ``*.mp4``, or paths below the folder.
            Defaults to all videos and pictures, by suffix.

    Raises:
        ConfigError: The options exclude each other.
        InputError: There is nothing to do at all.
    """
    _check_options(inputs, folder, config, recursive, patterns)
    found = Found()
    walk = _Walk(folder, recursive, patterns, found, overwrite=config.job.overwrite)
    sources: dict[str, Path] = {}
    for source, subfolder in walk.sources(inputs):
        first = sources.setdefault(_resolved(source), source)
        if first is not source:
            found.notices.append(f"{source} is the same file as {first} and is done once")
            continue
        try:
            found.jobs.append(make_job(source, subfolder, folder, config))
        except CrsrError as error:
            found.refused.append(Refused(source, str(error), type(error).__name__))
    _refuse_clashes(found)
    _leave_out_results(found)
    if not found.jobs and not found.refused:
        raise InputError(f"{', '.join(map(str, inputs))}: there is nothing to enhance")
    return found


def make_job(source: Path, subfolder: Path, folder: Path | None, config: Config) -> Job:
    """Return the job for a source, with the names of its result and reports.

    The result has the suffix of the source if such files can be written. Otherwise, the suffix
    depends on the content of the source.

    Args:
        source: A video or a picture.
        subfolder: Folder of the source relative to the input folder.
        folder: Folder of all results. Defaults to the folder of the source.
        config: Settings of the run.

    Raises:
        InputError: The suffix depends on the content, which cannot be read.
        OutputError: No container can hold the result.
    """
    is_still = still_files.is_still(source)
    suffix = source.suffix if is_still else usual_suffix(config.output, source.suffix)
    if suffix.lower() not in BY_SUFFIX and not is_still:
        with Reader(source) as reader:
            suffix = plan_output(reader.source, None, config.output, scale=config.scale).path.suffix
    if folder is None:
        output = source.with_name(f"{source.stem}{RESULT_MARK}{suffix}")
    else:
        output = folder / subfolder / f"{source.stem}{suffix}"
    reports = tuple(_report_path(pattern, output, subfolder) for pattern in config.job.report)
    return Job(source, output, subfolder, reports)


def _report_path(pattern: Path, output: Path, subfolder: Path) -> Path:
    """Return the path of one result's report. A star stands for the result's name without suffix.

    A pattern without a star names an overview, and the reports are in a folder beside it.
    """
    if "*" not in pattern.name:
        folder = pattern.with_name(f"{pattern.stem}_files")
        return folder / subfolder / f"{output.name}{pattern.suffix}"
    name = pattern.name.replace("*", output.stem)
    if pattern.parent == Path():
        return output.with_name(name)
    return pattern.parent / subfolder / name


def _check_options(
    inputs: Sequence[Path],
    folder: Path | None,
    config: Config,
    recursive: bool,
    patterns: Sequence[str],
) -> None:
    if patterns and not recursive:
        raise ConfigError("`patterns` select files in folders and need `recursive`")
    if "-" in map(str, (*inputs, folder)):
        raise ConfigError("standard input and output can be used for one video only")
    if folder is not None and (
        folder.is_file()
        or (not folder.is_dir() and folder.suffix.lower() in (*BY_SUFFIX, *still_files.FORMATS))
    ):
        raise ConfigError(f"{folder}: several inputs need an output folder, not a file")
    if config.faces.tracks is not None:
        raise ConfigError("a tracks file belongs to one video and cannot be used for several")


class _Walk:
    """Finds the sources among the inputs, and adds refusals and notices to `found`."""

    def __init__(
        self,
        folder: Path | None,
        recursive: bool,
        patterns: Sequence[str],
        found: Found,
        *,
        overwrite: bool,
    ) -> None:
        self._folder, self._recursive = folder, recursive
        # A mere ending stands for all files with it.
        self._patterns = [p if p[:1] != "." or set("*?[") & set(p) else f"*{p}" for p in patterns]
        self._found, self._overwrite = found, overwrite

    def sources(self, inputs: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
        """Yield sources and their folders relative to the input folder."""
        for path in inputs:
            if not _is_folder(path):
                yield path, Path()
            elif not self._recursive:
                self._refuse(path, "is a folder; `recursive` takes the videos and pictures in it")
            elif self._is_inside_results(path):
                message = f"is inside the output folder {self._folder}, so results would be sources"
                self._refuse(path, message, "ConfigError")
            else:
                yield from self._sources_in(path)

    def _sources_in(self, top: Path) -> Iterator[tuple[Path, Path]]:
        """Yield the videos and pictures in a folder in order of their names.

        Hidden files and results are left out.
        """
        any_found = False
        left_out: dict[str, list[Path]] = {}
        for place, folders, names in os.walk(
            top, onerror=lambda error: self._unreadable(top, error)
        ):
            here = Path(place)
            if self._folder is not None and _resolved(here) == _resolved(self._folder):
                if self._overwrite and (names or folders):
                    # Results and the user's videos look alike, and a video could be lost.
                    raise ConfigError(
                        f"{here}: is inside {top} and not empty, so `overwrite` could replace "
                        "a source"
                    )
                self._found.notices.append(f"{here} is left out because results are written there")
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            subfolder = here.relative_to(top)
            stems = {Path(name).stem for name in names}
            for name in sorted(names):
                why = _why_left_out(here / name, subfolder, self._patterns, stems)
                if why is None:
                    any_found = True
                    yield here / name, subfolder
                else:
                    left_out.setdefault(why, []).append(here / name)
        left_out.pop(_HIDDEN, None)
        self._found.notices += [_left_out_text(*item) for item in left_out.items()]
        if not any_found:
            wanted = f"no file matches {' or '.join(self._patterns)}" if self._patterns else ""
            self._refuse(top, wanted or "contains no video or picture")

    def _is_inside_results(self, path: Path) -> bool:
        folder = self._folder
        return folder is not None and Path(_resolved(path)).is_relative_to(_resolved(folder))

    def _unreadable(self, top: Path, error: OSError) -> None:
        self._refuse(Path(error.filename or top), f"cannot be read: {error.strerror}")

    def _refuse(self, path: Path, message: str, kind: str = "InputError") -> None:
        self._found.refused.append(Refused(path, f"{path}: {message}", kind))


def _why_left_out(
    path: Path, subfolder: Path, patterns: Sequence[str], stems: Container[str]
) -> str | None:
    """Return why a file of an input folder is left out, or None if it is enhanced.

    Args:
        path: The file.
        subfolder: Its folder relative to the input folder.
        patterns: Names to take; none means all videos and pictures.
        stems: Names without suffix of all files in its folder.
    """
    name, inner = path.name, str(subfolder / path.name)
    if name.startswith("."):
        return _HIDDEN
    if patterns and not any(fnmatch(inner if "/" in p else name, p) for p in patterns):
        return "because no pattern matches"
    if not patterns and path.suffix.lower() not in SUFFIXES and not _is_ogg_video(path):
        return "because they are no videos or pictures"
    return "as results of earlier runs" if _is_result(name, stems) else None


def _is_ogg_video(path: Path) -> bool:
    """Return whether a file with a suffix for sound and videos holds a video."""
    if path.suffix.lower() not in _SOUND_OR_VIDEO:
        return False
    try:
        with Reader(path):
            return True
    except CrsrError:
        return False


def _left_out_text(why: str, paths: Sequence[Path]) -> str:
    """Return a sentence about files of a folder that are left out for the same reason."""
    names = ", ".join(str(path) for path in paths[:_MOST_NAMES])
    more = f" and {len(paths) - _MOST_NAMES} more" if len(paths) > _MOST_NAMES else ""
    return f"left out {why}: {names}{more}"


def _is_result(name: str, stems: Container[str]) -> bool:
    """Return whether a file is named like the result of another file in its folder."""
    stem = Path(name).stem
    base = stem.removesuffix(RESULT_MARK)
    return base != stem and base in stems


def _refuse_clashes(found: Found) -> None:
    """Refuse all jobs that would write the same file, because it is unclear which one is meant."""
    refused: dict[Job, str] = {}
    owners: dict[Path, Job] = {}
    for job in found.jobs:
        for path in (job.output, *job.report):
            other = owners.setdefault(path.absolute(), job)
            if other is not job:
                for one, two in ((other, job), (job, other)):
                    message = f"{one.source}: would write {path}, like {two.source}"
                    refused.setdefault(one, message)
    found.refused += [Refused(job.source, text, "ConfigError") for job, text in refused.items()]
    found.jobs = [job for job in found.jobs if job not in refused]


def _leave_out_results(found: Found) -> None:
    """Leave out sources that are results of other jobs, as in a second run over ``*.mp4``."""
    makers = {_resolved(job.output): job for job in found.jobs}
    kept = []
    for job in found.jobs:
        maker = makers.get(_resolved(job.source), job)
        if maker is job:
            kept.append(job)
        else:
            found.notices.append(
                f"{job.source} is left out because it is the result of {maker.source}"
            )
    found.jobs = kept


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # `Path.is_dir` raises where access is denied.


def _resolved(path: Path) -> str:
    """Return the real path of a file. Unlike `Path.resolve`, this accepts circular links."""
    return os.path.realpath(path)
