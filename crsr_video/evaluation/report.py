"""One evaluation: everything that was measured and with what, as Markdown and for JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crsr_video.errors import TrainingError
from crsr_video.evaluation import table
from crsr_video.evaluation.metrics import FACE_REGION


@dataclass(frozen=True)
class Report:
    """The tables of one run of the command."""

    settings: dict[str, Any]
    """Models with their hashes, seeds, numbers of faces, options."""
    paired: list[table.Row]
    """On artificial low resolution."""
    genuine: list[table.Row] = field(default_factory=list)
    video: str = ""
    """The table of the videos."""
    video_rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each measure took."""

    def as_text(self) -> str:
        """All tables and notes, Markdown."""
        parts = [table.as_text(self.paired, table.PAIRED), table.PAIRED_KEY]
        if self.genuine:
            parts += [table.as_text(self.genuine, table.GENUINE), table.GENUINE_KEY]
        if self.video:
            parts.append(self.video)
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            **self.settings,
            "region": FACE_REGION,
            "rows": table.as_dicts(self.paired),
            "genuine": table.as_dicts(self.genuine),
            "video": self.video_rows,
            "notes": self.notes,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }

    def save(self, *, markdown: Path | None = None, data: Path | None = None) -> None:
        """Write either file. Raises TrainingError: it cannot be written."""
        if markdown:
            write(markdown, f"# Evaluation\n\n{self.as_text()}\n\n{self._made_with()}\n")
        if data:
            write(data, json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n")

    def _made_with(self) -> str:
        """The settings, for whoever would repeat the run."""
        text = json.dumps(self.settings, indent=1)
        return f"## Made with\n\n```json\n{text}\n```"


def write(path: Path, text: str) -> None:
    """Put a text into a file, whose folder is made if missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error
