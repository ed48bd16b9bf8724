"""Functions that format times, counts, file sizes and tables for people to read."""

from collections.abc import Collection, Sequence


def format_time(seconds: float) -> str:
    """Return a time such as 0:04.2 or 1:02:03.0."""
    tenths = round(abs(seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if seconds < 0 and tenths else ""
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{start}:{rest // 10:02d}.{rest % 10}"


def format_count(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 frame", "2 frames" or "2 people"."""
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def format_bytes(size: int) -> str:
    """Return the size of a file, such as "820 kB" or "1.4 GB"."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(value) < 1000:
            break
        value, unit = value / 1000, larger
    digits = 1 if unit != "bytes" and value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


_MIN_WIDTH = 3
"""Markdown needs three dashes in the rule below the header."""


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left_columns: Collection[int] = (0,)
) -> str:
    """Return a padded Markdown table without a trailing newline.

    Args:
        header: Column titles.
        rows: Cells, one sequence of `len(header)` strings for each row.
        left_columns: Indices of the columns that hold words. All others are aligned to the right.
    """
    grid = [header, *rows]
    widths = [max(_MIN_WIDTH, *(len(row[i]) for row in grid)) for i in range(len(header))]
    rule = ["-" * w if i in left_columns else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    lines = [header, rule, *rows]
    forms = [f"{'<' if i in left_columns else '>'}{width}" for i, width in enumerate(widths)]
    return "\n".join(
        f"| {' | '.join(format(cell, form) for cell, form in zip(line, forms, strict=True))} |"
        for line in lines
    )
