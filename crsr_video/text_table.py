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
    forms = [f"{'<' if i in left_columns else '>'}{width}" for i, width in enumerate(widths)]
    return "\n".join(
        f"| {' | '.join(format(cell, form) for cell, form in zip(line, forms, strict=True))} |"
        for line in lines
    )
