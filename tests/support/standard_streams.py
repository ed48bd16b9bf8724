"""Runs of ``crsr-video enhance - -o -``, in this process and in one of their own."""

import io
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.io import pyav
from crsr_video.types import Frame
from tests.support.paths import ROOT

ENHANCE = [sys.executable, "-m", "crsr_video", "enhance", "-", "-o", "-", "--model", "identity"]
SECONDS = 60
"""Timeout for a process or a thread to end."""

posix = pytest.mark.skipif(os.name != "posix", reason="swaps POSIX file descriptors")


@dataclass
class Run:
    """The outcome of a run in this process."""

    code: int
    told: str
    data: bytes

    @property
    def frames(self) -> list[Frame]:
        return frames_in(self.data)


def frames_in(data: bytes) -> list[Frame]:
    with av.open(io.BytesIO(data)) as container:
        return [
            Frame(
                tuple(pyav.views(p)),
                pyav.layout(p),
                p.pts or 0,
                p.time_base or Fraction(1),
                native=p,
            )
            for p in container.decode(video=0)
        ]


class Swapped:
    """Replace standard input by some bytes, and keep what goes to standard output."""

    def __init__(self, data: bytes | None = None) -> None:
        self._data, self.kept = data, b""
        self._before = os.dup(0), os.dup(1)

    def __enter__(self) -> "Swapped":
        (read, feed), (collect, write) = os.pipe(), os.pipe()
        os.dup2(read, 0)
        os.dup2(write, 1)
        os.close(read)
        os.close(write)
        jobs = ((self._give, feed), (self._keep, collect))
        self._threads = [threading.Thread(target=job, args=(end,)) for job, end in jobs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in enumerate(self._before):
            os.dup2(old, number)
            os.close(old)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _give(self, end: int) -> None:
        with suppress(BrokenPipeError), open(end, "wb") as file:
            file.write(self._data or b"")

    def _keep(self, end: int) -> None:
        with open(end, "rb") as file:
            self.kept = file.read()


def run(data: bytes, *words: object) -> Run:
    """Run ``crsr-video enhance - -o - WORDS`` in this process."""
    with Swapped(data) as swapped:
        result = CliRunner().invoke(
            main, ["enhance", "-", "-o", "-", "--model", "identity", *map(str, words)]
        )
    assert result.stdout == ""
    return Run(result.exit_code, result.stderr, swapped.kept)


def enhanced(data: bytes, *words: object) -> Run:
    done = run(data, *words)
    assert done.code == 0, done.told
    return done


class Started:
    """Run ``crsr-video enhance - -o -`` as a process of its own."""

    def __init__(self, *words: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*ENHANCE, *words], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stderr = self.process.stderr

    def end(self) -> tuple[int, str]:
        """Return the exit code, and standard error."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        code = self.process.wait(SECONDS)
        self.stdout.close()
        told = self.stderr.read().decode()
        self.stderr.close()
        return code, told


class Feeder:
    """Feed a process from a thread."""

    def __init__(self, one: Started, data: bytes) -> None:
        self._thread = threading.Thread(target=self._run, args=(one, data))

    def _run(self, one: Started, data: bytes) -> None:
        with suppress(BrokenPipeError, ValueError):
            one.stdin.write(data)
            one.stdin.flush()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


def sound(source: Path | io.BytesIO) -> list[tuple[Fraction, bytes]]:
    with av.open(source) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        return [(p.pts * p.time_base, bytes(p)) for p in packets]
