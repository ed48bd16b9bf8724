"""Protocols that PyAV's FFmpeg was built without, by way of an `ffmpeg` program that has them.

It passes the bytes on as they come, without looking into them.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from crsr_video.closing import Closing
from crsr_video.errors import InputError

_ENDING_SECONDS = 2.0


class Bridge(Closing):
    """A running program that writes what it receives to a pipe."""

    def __init__(self, url: str, shown: str, options: Mapping[str, str]) -> None:
        """Start it.

        Args:   options: of the protocol.
        Raises: InputError: there is no such program, or it lacks the protocol as well.
        """
        program = program_for(url.partition(":")[0])
        if program is None:
            scheme = url.partition(":")[0].upper()
            raise InputError(f"{shown}: {scheme} needs an ffmpeg program that was built with it")
        given = [part for name, value in options.items() for part in (f"-{name}", value)]
        raw = ["-f", "data"]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        try:
            self._process = subprocess.Popen(
                [
                    *(program, "-hide_banner", "-nostdin", "-loglevel", "error"),
                    *(*given, "-protocol_whitelist", "srt,rist,udp", *raw, "-i", url),
                    *("-map", "0", "-c", "copy", "-flush_packets", "1", *raw, "pipe:1"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
            )
        except OSError as error:
            self._errors.close()
            raise InputError(f"{shown}: {program} cannot be run: {error.strerror}") from error
        assert self._process.stdout is not None
        self.descriptor = self._process.stdout.fileno()

    def failure(self) -> str | None:
        """Why it ended, after its last byte was read; None: as it should."""
        try:
            code = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        if code == 0:
            return None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1].rpartition(": ")[2] if said else f"ffmpeg ended with code {code}"

    def close(self) -> None:
        """End it, and wait until it has ended."""
        if self._errors.closed:
            return
        self._process.terminate()
        try:
            self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def program_for(scheme: str) -> str | None:
    """An `ffmpeg` program that can receive by a protocol."""
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
    incoming = listed.partition("Output:")[0]
    return program if scheme in incoming.split() else None
