"""Find an `ffmpeg` program for protocols that PyAV's own FFmpeg was built without."""

import shutil
import subprocess
from contextlib import suppress
from typing import Literal


def find_ffmpeg(protocol: str, direction: Literal["input", "output"]) -> str | None:
    """Return the path of an `ffmpeg` program that supports a protocol, or None if there is none.

    Args:
        protocol: FFmpeg's name of the protocol, such as "srt".
        direction: Whether the program is to receive or to send.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    listed = ""
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            [program, "-hide_banner", "-loglevel", "error", "-protocols"],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
            check=False,
        ).stdout
    inputs, _, outputs = listed.partition("Output:")
    return program if protocol in (inputs if direction == "input" else outputs).split() else None
