"""Who speaks a protocol: PyAV's own FFmpeg, or the ffmpeg program."""

import shutil
import subprocess
from contextlib import suppress
from functools import lru_cache

import av
from av.error import FFmpegError, ProtocolNotFoundError

from crsr_video.errors import OutputError
from crsr_video.io.outgoing.address import Target


@lru_cache
def is_spoken(protocol: str) -> bool:
    """Whether PyAV's FFmpeg knows a protocol."""
    try:
        with av.open(f"{protocol}://127.0.0.1:0", "w", format="data") as trial:
            trial.add_data_stream()
            trial.start_encoding()
    except ProtocolNotFoundError:
        return False
    except (FFmpegError, ValueError, OSError):
        return True
    return True


@lru_cache
def _search(protocol: str) -> str | None:
    """An ffmpeg program that knows a protocol."""
    found = shutil.which("ffmpeg")
    if found is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        known = subprocess.run(
            [found, "-hide_banner", "-protocols"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=True,
            text=True,
        ).stdout
        if protocol in known.partition("Output:")[2].split():
            return found
    return None


def find_program(target: Target) -> str:
    """An ffmpeg program that knows a target's protocol.

    Raises: OutputError: there is none.
    """
    found = _search(target.kind)
    if found is None:
        what = f"{target.kind} needs the ffmpeg program, built with lib{target.kind}, on the PATH"
        raise OutputError(f"{target.name}: {what}")
    return found
