"""Rows and columns of the tables, as Markdown and for JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One method on one kind of input at one tier."""

    tier: int
    """Side of the input, pixels."""
    input: str
    """Clean or degraded, or the name of the file of genuine faces."""
    method: str
    faces: int
    """How many were measured."""
    figures: dict[str, float]
    """By the key of their column; what could not be measured is absent."""


@dataclass(frozen=True)
class Column:
    """How one figure is shown."""

    key: str
    title: str
    form: str
    """Of `format`."""
    factor: float = 1.0
    """Shown is so many times the figure."""

    def cell(self, row: Row) -> str:
        """The figure of a row, or a dash."""
        value = row.figures.get(self.key, math.nan)
        return "-" if math.isnan(value) else format(value * self.factor, self.form)


PAIRED = (
    Column("psnr", "PSNR", ".2f"),
    Column("psnr_worst", "worst", ".2f"),
    Column("gain", "gain", "+.2f"),
    Column("better", "better", ".0%"),
    Column("ssim", "SSIM", ".3f"),
    Column("gmsd", "GMSD", ".3f"),
    Column("lpips", "LPIPS", ".3f"),
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
    Column("inception", "FID", ".1f"),
    Column("identity", "ID", ".3f"),
    Column("identity_worst", "worst", ".3f"),
    Column("same", "same", ".0%"),
    Column("confidence", "det.", ".2f"),
)

PAIRED_KEY = """\
PSNR (dB, over red, green and blue), SSIM, GMSD and ST-LPIPS over the face region; gain: PSNR over
bicubic, better: share of faces with any; ID dist.: Euclidean distance of the face-recognition
embedding from the truth's (0.6 and more: another person), same: share within 0.6; skin, iris:
distance of their mean colours from the truth's in CIELAB; landm.: mean distance of five landmarks
over that of the eyes; det.: the face detector's score. Lower is better for GMSD, LPIPS, ST-LPIPS,
ID dist., skin, iris and landm.; "worst" is the mean of the worst 5 %."""
GENUINE_KEY = """\
Frechet distance and KID (with its standard error) to photographs in the space of the
face-recognition embedding, lower is better; FID: Frechet distance of Inception's features; ID,
same: between the input, enlarged bicubically, and the result; det.: the face detector's score."""


def as_text(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A Markdown table, padded to be read as it is; columns without a figure are left out."""
    shown = [c for c in columns if any(c.key in row.figures for row in rows)]
    grid = [["tier", "input", "method", "faces", *(column.title for column in shown)]]
    grid += [
        [str(r.tier), r.input, r.method, str(r.faces), *(column.cell(r) for column in shown)]
        for r in rows
    ]
    left = {1, 2}
    widths = [max(3, *(len(cells[i]) for cells in grid)) for i in range(len(grid[0]))]
    lines = [
        [
            c.ljust(w) if i in left else c.rjust(w)
            for i, (c, w) in enumerate(zip(g, widths, strict=True))
        ]
        for g in grid
    ]
    rule = ["-" * w if i in left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], rule, *lines[1:]])


def as_dicts(rows: Sequence[Row]) -> list[dict[str, float | int | str | None]]:
    """For JSON, flat, rounded to what the figures are worth; what is not finite is None."""
    return [
        {
            "tier": r.tier,
            "input": r.input,
            "method": r.method,
            "faces": r.faces,
            **{k: round(v, 5) if math.isfinite(v) else None for k, v in r.figures.items()},
        }
        for r in rows
    ]
