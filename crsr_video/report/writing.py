"""Write reports: under a hidden name first, so that no half of one is ever there."""

from collections.abc import Sequence
from pathlib import Path

from crsr_video.errors import ConfigError, OutputError
from crsr_video.files import write_file
from crsr_video.io import pyav
from crsr_video.io.output_file import check_output
from crsr_video.report.document import as_json
from crsr_video.report.facts import Report
from crsr_video.report.page import as_html


def check(
    paths: Sequence[Path],
    source: Path,
    output: Path,
    *,
    overwrite: bool,
    inputs: Sequence[Path] = (),
) -> None:
    """See, before any work, that reports can be written.

    Args:   inputs: further files that the run reads, and that no report may replace.
    Raises: OutputError: one cannot, or exists already.
            ConfigError: two of them, or one and the result, are the same file.
    """
    for number, path in enumerate(paths):
        check_output(path, source, overwrite)
        if path.absolute() in {other.absolute() for other in (output, *paths[:number])}:
            raise ConfigError(f"{path}: two results cannot have the same name")
        if path.resolve() in {other.resolve() for other in inputs}:
            raise ConfigError(f"{path}: the report would replace what is read")


def write(report: Report, paths: Sequence[Path]) -> None:
    """Write a report in each file's own format.

    Raises: OutputError: a file cannot be written; no part of it is left.
    """
    for path in paths:
        text = as_json(report) if path.suffix.lower() == ".json" else as_html(report)
        _write(path, text.encode("utf-8", "replace"))


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, [data])
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {pyav.reason(error)}") from error
