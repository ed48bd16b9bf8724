"""The table of the README says what is measured."""

from pathlib import Path

from contract.kept import kept_table

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_tells_what_is_kept() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| kept |"))
    table = kept_table().splitlines()
    assert lines[start : start + len(table)] == table
