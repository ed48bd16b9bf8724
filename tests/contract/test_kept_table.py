"""The tables in docs/what-is-kept.md agree with measurements."""

from tests.contract.kept_table import table_of_containers, table_of_encoders
from tests.support.paths import ROOT

PAGE = ROOT / "docs/what-is-kept.md"


def documented(measured: str) -> list[str]:
    """Return the lines of the page that begin like a table, as many as the table has."""
    lines, length = PAGE.read_text(encoding="utf-8").splitlines(), len(measured.splitlines())
    corner = measured[: measured.index("|", 1) + 1]
    start = next(i for i, line in enumerate(lines) if line.startswith(corner))
    return lines[start : start + length]


def test_the_table_of_containers_is_measured() -> None:
    measured = table_of_containers()
    assert documented(measured) == measured.splitlines()


def test_the_table_of_encoders_is_measured_and_nothing_is_lost_silently() -> None:
    measured = table_of_encoders()
    assert "silently" not in measured
    assert documented(measured) == measured.splitlines()
