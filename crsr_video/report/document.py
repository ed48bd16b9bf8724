"""Assemble a report and write it, or an overview of many files with links to their reports."""

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from crsr_video import weights
from crsr_video._version import __version__
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError
from crsr_video.files import open_regular, sha256_of_file, write_file, writing
from crsr_video.formatting import format_count
from crsr_video.io.output_file import check_output
from crsr_video.machine import library_versions
from crsr_video.report import media
from crsr_video.report.facts import FORMAT, VERSION, FrameFacts, MediaFacts, Observations, RunReport
from crsr_video.runner import RunSummary
from crsr_video.runtime.placement import Placement
from crsr_video.track import face_models
from crsr_video.types import RunStatistics

MAX_PEOPLE = 10_000
"""Largest number of people in a report. The people seen longest are kept."""


def assemble(
    summary: RunSummary,
    statistics: RunStatistics,
    observed: Observations,
    *,
    fps: float,
    resumed: int = 0,
    source: MediaFacts,
    output: MediaFacts,
    config: EnhancerConfig,
    placement: Placement,
    command: Sequence[str] = (),
) -> RunReport:
    """Put together the report of a finished run.

    Args:
        summary: Outcome of the run.
        statistics: Counts of frames and faces, and the time of every stage.
        observed: Facts that an `Observer` gathered.
        fps: Frames per second after start-up.
        resumed: Number of frames that an earlier run finished.
        source: Properties of the source.
        output: Properties of the result.
        config: Settings of the run.
        placement: Device and precision of the networks.
        command: Words of the command line, if there was one.
    """
    people = sorted(observed.people, key=lambda person: (-person.frames, person.id))[:MAX_PEOPLE]
    return RunReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        complete=not summary.partial,
        command=tuple(command),
        settings={name: _plain(value) for name, value in config.options().items()},
        versions=_versions(),
        hashes=_hashes(config),
        device=str(placement.device),
        precision=placement.precision,
        source=source,
        output=output,
        frames=FrameFacts(
            total=statistics.frames,
            changed=observed.changed,
            passed_through=statistics.passed_through,
            concealed=summary.concealed,
            damaged=summary.damaged,
            resumed=resumed,
            truncated=summary.truncated,
        ),
        faces=statistics.faces,
        enhanced=statistics.enhanced,
        skipped=dict(sorted(statistics.skipped.items())),
        masks=observed.masks,
        seconds=round(summary.seconds, 3),
        startup_seconds=round(summary.startup_seconds, 3),
        fps=round(fps, 2),
        stages={name: round(seconds, 3) for name, seconds in statistics.stage_seconds.items()}
        | {"report": round(observed.seconds, 3)},
        cuts=observed.cuts,
        people=tuple(sorted(people, key=lambda person: person.id)),
        people_left_out=len(observed.people) - len(people),
        notices=tuple(summary.notices),
    )


def check_paths(
    paths: Sequence[Path],
    source: Path,
    output: Path,
    *,
    overwrite: bool,
    inputs: Sequence[Path] = (),
) -> None:
    """Check, before any work is done, that reports can be written.

    Args:
        paths: Files of the report.
        source: Source of the run.
        output: Result of the run.
        overwrite: Whether existing files may be replaced.
        inputs: Further files that the run reads.

    Raises:
        OutputError: A report exists or cannot be written.
        ConfigError: A report has the name of another report, of the result, or of an input.
    """
    for number, path in enumerate(paths):
        check_output(path, source, overwrite)
        if path.absolute() in {other.absolute() for other in (output, *paths[:number])}:
            raise ConfigError(f"{path}: two output files cannot have the same name")
        if path.resolve() in {other.resolve() for other in inputs}:
            raise ConfigError(f"{path}: the report would replace a file that the run reads")


def write(report: RunReport, paths: Sequence[Path]) -> None:
    """Write a report as JSON or HTML, depending on the suffix of each path.

    Raises:
        OutputError: A file cannot be written. No part of it is left.
    """
    # Imported only now: Jinja2 takes time to load, and most runs write no page.
    from crsr_video.report.page import as_html

    for path in paths:
        text = as_json(report) if path.suffix.lower() == ".json" else as_html(report)
        with writing(path):
            write_file(path, [text.encode("utf-8", "replace")])


def as_json(report: RunReport) -> str:
    """Return the report without its pictures, one line for each key and each person."""
    facts = {"format": FORMAT, "version": VERSION, **asdict(report)}
    people = facts.pop("people")
    for person in people:
        person.pop("pictures")
    lines = [f"{_dump(key)}: {_dump(value)}" for key, value in facts.items()]
    lines.append('"people": [' + ",".join("\n" + _dump(person) for person in people) + "\n]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _dump(value: Any) -> str:
    # ASCII only, because file names may contain bytes that are not text in any encoding.
    return json.dumps(value, allow_nan=False)


def _plain(value: Any) -> Any:
    """Convert a setting to JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return [_plain(inner) for inner in sorted(value)]
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _versions() -> dict[str, str]:
    found = {"crsr-video": __version__, "Python": platform.python_version()}
    found |= library_versions()
    return found | {"FFmpeg": media.ffmpeg_version(), "system": platform.platform()}


def _hashes(config: EnhancerConfig) -> dict[str, str]:
    """Return the SHA-256 of the weights and, if faces were searched for, of the face models."""
    pair = weights.load(config.networks.model)
    found = {f"weights {pair.name}": pair.sha256}
    if config.background != "keep":
        found[f"weights {weights.BACKGROUND}"] = weights.background().sha256
    if config.faces.tracks is None:
        for model in face_models.status():
            if model.present:
                found[f"face model {model.model.name}"] = sha256_of_file(model.path)
    return found


_MARKS = (
    '<meta name="generator" content="crsr-video overview">',
    '"format": "crsr-video overview"',
)
"""Texts that only an overview contains near its beginning: first as a page, then as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """The outcome for one file.

    Attributes:
        source: The file.
        output: Its result.
        state: "enhanced"; "unchanged" if no face was enhanced; "skipped" if the result existed
            already; or "failed".
        message: Reason for a failure, or description of the damage in the file.
        people: Number of different people.
        faces: Faces found, summed over frames.
        enhanced: Enhanced faces, summed over frames.
        frames: Number of frames.
        source_bytes: Size of the source.
        output_bytes: Size of the result.
        page: Path of the report on this file, relative to the overview.
    """

    source: str
    output: str | None = None
    state: Literal["enhanced", "unchanged", "skipped", "failed"]
    message: str = ""
    people: int | None = None
    faces: int | None = None
    enhanced: int | None = None
    frames: int | None = None
    source_bytes: int | None = None
    output_bytes: int | None = None
    page: str | None = None


def is_overview(path: Path) -> bool:
    """Return whether a file is an overview, which may be replaced by a newer one."""
    try:
        with open_regular(path, follow_links=True) as file:
            head = file.read(400).decode("utf-8", "replace")
    except OSError:
        return False
    return any(mark in head for mark in _MARKS)


def write_overview(path: Path, rows: Sequence[OverviewRow]) -> None:
    """Write an overview as JSON or HTML, depending on the suffix.

    Raises:
        OutputError: The file cannot be written. No part of it is left.
    """
    if path.suffix.lower() == ".json":
        facts = {"format": "crsr-video overview", "version": 1, "files": [*map(asdict, rows)]}
        text = json.dumps(facts, indent=1)
    else:
        text = _as_html(rows)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [text.encode("utf-8", "replace")])


def _as_html(rows: Sequence[OverviewRow]) -> str:
    from crsr_video.report.page import render  # Loads Jinja2, which takes time.

    states = Counter(row.state for row in rows)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    return render(
        "overview.html",
        rows=rows,
        totals=f"{format_count(len(rows), 'file')}: {counts}" if rows else "no file",
    )
