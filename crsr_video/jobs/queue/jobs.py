"""One video to be enhanced."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Job:
    """A source and the names of all that comes of it."""

    source: Path
    output: Path
    folder: Path = Path()
    """Where the source lies below the folder that was asked for; "." for a file by itself."""
    report: tuple[Path, ...] = ()
