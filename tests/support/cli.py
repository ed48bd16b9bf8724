"""The command line, called in this process."""

from click.testing import CliRunner, Result

from crsr_video.cli import main

QUICK = ["--model", "identity", "--precision", "fp32", "--preset", "ultrafast"]
"""Options of a quick run: networks that change almost nothing, and the fastest encoder."""


def run(*words: object) -> Result:
    """Run ``crsr-video WORDS``."""
    return CliRunner().invoke(main, [str(word) for word in words])


def assert_one_line_error(result: Result, *fragments: str, code: int = 1) -> None:
    """Check that a command failed with one line on standard error that holds the fragments."""
    assert result.exit_code == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("crsr-video: error:")]
    assert len(lines) == 1, result.stderr
    for fragment in fragments:
        assert fragment in lines[0], lines[0]
    assert "Traceback" not in result.stderr
