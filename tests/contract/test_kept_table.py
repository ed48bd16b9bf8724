"""The table in docs/what-is-kept.md is what is measured."""

from tests.contract.kept_table import kept_table
from tests.support.paths import ROOT

PAGE = ROOT / "docs/what-is-kept.md"


def test_the_table_in_the_documentation_is_measured() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| kept |"))
    table = kept_table().splitlines()
    assert lines[start : start + len(table)] == table
