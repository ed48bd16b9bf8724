"""The table of the README says what is measured."""

from tests.contract.kept import kept_table
from tests.support.paths import ROOT

README = ROOT / "README.md"


def test_the_readme_tells_what_is_kept() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| kept |"))
    table = kept_table().splitlines()
    assert lines[start : start + len(table)] == table
