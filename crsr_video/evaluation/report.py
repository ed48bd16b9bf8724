"""Results of an evaluation: rows, tables, a Markdown report, and values for JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crsr_video.errors import TrainingError
from crsr_video.evaluation.metrics import FACE_REGION
from crsr_video.files import writing
from crsr_video.formatting import markdown_table


@dataclass(frozen=True)
class Row:
    """Results of one method for one kind of input at one input size."""

    tier: int
    """Side of the input in pixels, or the enlargement factor of a video."""
    input: str
    """Name of the degradation, of the file of real low-resolution faces, or of a group of clips."""
    method: str
    faces: int
    """Number of measured faces, summed over the frames of a video."""
    figures: dict[str, float]
    """Values by the key of their column. A measure that was not taken has no key."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    key: str
    title: str
    form: str
    """Format specification of the value."""
    factor: float = 1.0
    """Factor by which the table multiplies the value."""

    def cell(self, row: Row) -> str:
        """Return the value of a row as text, or a dash if there is none."""
        value = row.figures.get(self.key)
        return "-" if value is None else format(value * self.factor, self.form)


PAIRED = (
    Column("psnr", "PSNR", ".2f"),
    Column("psnr_worst", "worst", ".2f"),
    Column("gain", "gain", "+.2f"),
    Column("better", "better", ".0%"),
    Column("ssim", "SSIM", ".3f"),
    Column("st_lpips", "ST-LPIPS", ".3f"),
    Column("identity", "ID dist.", ".3f"),
    Column("identity_worst", "worst", ".3f"),
    Column("same", "same", ".0%"),
    Column("skin", "skin", ".2f"),
    Column("iris", "iris", ".2f"),
    Column("landmarks", "landm.", ".1%"),
    Column("confidence", "det.", ".2f"),
)
GENUINE = (
    Column("frechet", "Frechet", ".4f"),
    Column("kid", "KID x1000", ".1f", 1000),
    Column("kid_error", "+-", ".1f", 1000),
    Column("identity", "ID", ".3f"),
    Column("identity_worst", "worst", ".3f"),
    Column("same", "same", ".0%"),
    Column("confidence", "det.", ".2f"),
)
VIDEO = (
    Column("psnr", "PSNR", ".2f"),
    Column("psnr_worst", "worst", ".2f"),
    Column("ssim", "SSIM", ".3f"),
    Column("ssim_worst", "worst", ".3f"),
    Column("identity", "ID", ".3f"),
    Column("identity_worst", "worst", ".3f"),
    Column("identity_spread", "spread", ".3f"),
    Column("flicker", "flicker", ".2f"),
    Column("flicker_worst", "worst", ".2f"),
    Column("flicker_of_truth", "of truth's", ".2f"),
    Column("flicker_at_equal_sharpness", "equally sharp", ".2f"),
    Column("gain", "gain", ".2f"),
    Column("motion", "motion", ".4f"),
    Column("motion_worst", "worst", ".4f"),
)

PAIRED_LEGEND = """\
PSNR (in dB, over red, green and blue), SSIM and ST-LPIPS are measured in the face region. gain: how
much the PSNR exceeds that of bicubic enlargement; better: share of faces for which it does; ID
dist.: Euclidean distance between the face-recognition embeddings of the result and of the truth
(0.6 or more: another person); same: share of faces whose distance is less than 0.6; skin, iris:
distance in CIELAB between their mean colours and those of the truth; landm.: mean distance of five
landmarks from those of the truth, relative to the distance between the eyes; det.: score of the
face detector; worst: mean of the worst 5 % of the measure to its left. Lower is better for
ST-LPIPS, ID dist., skin, iris and landm."""
GENUINE_LEGEND = """\
Frechet, KID: Frechet distance and KID between the face-recognition embeddings of the results and
those of photographs; +-: standard error of the KID; ID: cosine similarity between the
face-recognition embeddings of the result and of its input, enlarged bicubically; worst: mean of its
worst 5 %; same: share of results that show the same person as their input; det.: score of the face
detector. Lower is better for Frechet and KID."""
VIDEO_LEGEND = """\
Tier: enlargement; input: face width in the degraded clips, or the name of a pair of files; faces:
summed over frames. PSNR (in dB) and SSIM are measured in the face region; ID: cosine similarity of
the face-recognition embedding with that of the truth; spread: its standard deviation over a track;
flicker: change that motion does not explain, relative to that of the enlarged input, to that of the
truth, and to that of the input after the fine detail was scaled to the input's; gain: RMS of the
fine detail relative to the input's; motion: of the landmarks relative to the truth, in eye
distances per frame; worst: mean of the worst 5 % of the measure to its left. Lower is better for
spread, flicker and motion."""


def as_text(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Return the rows as a Markdown table. Columns without any value are left out."""
    shown = [c for c in columns if any(c.key in row.figures for row in rows)]
    header = ["tier", "input", "method", "faces", *(column.title for column in shown)]
    cells = [
        [str(r.tier), r.input, r.method, str(r.faces), *(column.cell(r) for column in shown)]
        for r in rows
    ]
    return markdown_table(header, cells, (1, 2))


def as_dicts(rows: Sequence[Row]) -> list[dict[str, float | int | str]]:
    """Return the rows for JSON, flat and rounded."""
    return [
        {
            "tier": r.tier,
            "input": r.input,
            "method": r.method,
            "faces": r.faces,
            **{key: round(value, 5) for key, value in r.figures.items()},
        }
        for r in rows
    ]


@dataclass(frozen=True)
class EvaluationReport:
    """Results of one run of the evaluation."""

    settings: dict[str, Any]
    """Models with their hashes, seeds, numbers of faces and options."""
    paired: list[Row]
    """Results for degraded faces with ground truth."""
    genuine: list[Row] = field(default_factory=list)
    video: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Measures that were left out, and why."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that each measure took."""

    def as_text(self) -> str:
        """Return all tables and notes as Markdown."""
        parts = [as_text(self.paired, PAIRED), PAIRED_LEGEND]
        if self.genuine:
            parts += [as_text(self.genuine, GENUINE), GENUINE_LEGEND]
        if self.video:
            parts += [as_text(self.video, VIDEO), VIDEO_LEGEND]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return all results for JSON."""
        return {
            **self.settings,
            "region": FACE_REGION,
            "rows": as_dicts(self.paired),
            "genuine": as_dicts(self.genuine),
            "video": as_dicts(self.video),
            "notes": self.notes,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }

    def save(self, *, markdown: Path | None = None, data: Path | None = None) -> None:
        """Write the report as Markdown, as JSON, or both."""
        if markdown:
            settings = json.dumps(self.settings, indent=1)
            made_with = f"## Made with\n\n```json\n{settings}\n```"
            write(markdown, f"# Evaluation\n\n{self.as_text()}\n\n{made_with}\n")
        if data:
            write(data, json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write a text file, and create its folder if needed.

    Raises:
        TrainingError: If the file cannot be written.
    """
    with writing(path, TrainingError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
