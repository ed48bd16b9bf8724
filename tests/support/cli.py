"""The command line, called in this process."""

from click.testing import CliRunner, Result

from crsr_video.cli import main

QUICK = ["--model", "identity", "--precision", "fp32", "--preset", "ultrafast"]
"""Options of a quick run: networks that change almost nothing, and the fastest encoder."""


def run(*words: object) -> Result:
    """Run ``crsr-video WORDS``."""
    return CliRunner().invoke(main, [str(word) for word in words])
