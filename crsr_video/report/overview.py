"""The overview of many files: a row for each, with links to the reports of single files."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from crsr_video.errors import OutputError
from crsr_video.files import write_file
from crsr_video.formatting import format_count
from crsr_video.io import pyav

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
        with path.open("rb") as file:
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [text.encode("utf-8", "replace")])
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {pyav.reason(error)}") from error


def _as_html(rows: Sequence[OverviewRow]) -> str:
    from crsr_video.report.page import render  # Loads Jinja2, which takes time.

    states = Counter(row.state for row in rows)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    return render(
        "overview.html",
        rows=rows,
        totals=f"{format_count(len(rows), 'file')}: {counts}" if rows else "no file",
    )
