"""Receive streams through an external `ffmpeg` program if PyAV's FFmpeg lacks their protocol.

The program passes the received bytes on unchanged, without parsing them.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from crsr_video.closing import Closing
from crsr_video.errors import InputError


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


_ENDING_SECONDS = 2.0


class ReceivingRelay(Closing):
    """A running `ffmpeg` program that receives a stream and writes it to a pipe.

    Args:
        url: Address of the source.
        name: Name of the source in messages.
        options: Values of the protocol's options, by name.

    Raises:
        InputError: No installed `ffmpeg` supports the protocol, or it cannot be run.
    """

    def __init__(self, url: str, name: str, options: Mapping[str, str]) -> None:
        scheme = url.partition(":")[0]
        program = find_ffmpeg(scheme, "input")
        if program is None:
            raise InputError(
                f"{name}: {scheme.upper()} needs an ffmpeg program that was built with it"
            )
        given = [part for key, value in options.items() for part in (f"-{key}", value)]
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
            raise InputError(f"{name}: {program} cannot be run: {error.strerror}") from error
        assert self._process.stdout is not None
        self.descriptor = self._process.stdout.fileno()
        """File descriptor to read from."""

    def failure(self) -> str | None:
        """Return why the program failed, or None if it succeeded or still runs.

        Call this after the last byte of its output has been read.
        """
        try:
            code = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        if code == 0:
            return None
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        return lines[-1].rpartition(": ")[2] if lines else f"ffmpeg ended with code {code}"

    def close(self) -> None:
        """Stop the program, and wait until it has exited."""
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
