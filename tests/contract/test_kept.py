"""The table in docs/what-is-kept.md says what is measured."""

from tests.contract.kept import kept_table
from tests.support.paths import ROOT

PAGE = ROOT / "docs/what-is-kept.md"


def test_the_table_of_what_is_kept_is_true() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| kept |"))
    table = kept_table().splitlines()
    assert lines[start : start + len(table)] == table
