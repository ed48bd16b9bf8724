"""A small host program and the effect, both compiled with sanitizers."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT

HERE = Path(__file__).parent
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread")
SECONDS = 120


def compiled(*arguments):
    """Run the compiler, or skip the test where something that it needs is missing."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, timeout=SECONDS)
    lacks = ("frei0r.h: No such file", "cannot find -lasan", "cannot find -lubsan", "libasan")
    if any(text in done.stderr for text in lacks):
        pytest.skip(done.stderr.splitlines()[0])
    assert done.returncode == 0, done.stderr


def pids(path):
    """Return the IDs of the fake servers that were started there."""
    file = Path(f"{path}.pids")
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def fake(mode=""):
    """Return the environment in which the effect starts the fake server."""
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'fake_server.py'))}"
    return {"CRSR_SERVER": command, "CRSR_FAKE": mode, "PYTHONPATH": str(ROOT)}


class Run:
    """A run of the host program."""

    def __init__(self, bench, place, pictures, options=(), **environment):
        self.shape = pictures[0].shape
        self._out = place.parent / "out"
        (place.parent / "in").write_bytes(b"".join(p.tobytes() for p in pictures))
        height, width = self.shape[:2]
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = {"CRSR_SOCKET": str(place), "CRSR_SERVER": "", "CRSR_TIMEOUT_MS": "60000"}
        self.process = subprocess.Popen(
            [
                *(str(bench / "host"), str(bench / "crsr.so"), str(width), str(height)),
                *(str(place.parent / "in"), str(self._out), *options),
            ],
            env=own | settings | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def step(self):
        """Let the host process one more frame (with -each=1)."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def done(self):
        """Wait for the end, and return the pictures and the lines on standard error."""
        _, told = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, told
        frames = np.frombuffer(self._out.read_bytes(), np.uint8).reshape(-1, *self.shape)
        return frames, told.splitlines()


def run(*arguments, **environment):
    return Run(*arguments, **environment).done()


def noise(count=3, width=24, height=16):
    return list(np.random.default_rng(3).integers(0, 256, (count, height, width, 4), np.uint8))


def inverted(pictures):
    return [np.concatenate([255 - p[..., :3], p[..., 3:]], -1) for p in pictures]


def same(found, wanted):
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))
