"""Tables in Markdown that are also readable as plain text."""

from collections.abc import Collection, Sequence

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
    return "\n".join(
        f"| {' | '.join(_pad(cell, i, widths[i], left_columns) for i, cell in enumerate(line))} |"
        for line in lines
    )


def _pad(cell: str, column: int, width: int, left_columns: Collection[int]) -> str:
    return cell.ljust(width) if column in left_columns else cell.rjust(width)
