"""Fixtures: a home folder for tests that install, and one effect and one server for all others."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import tests.support.server as server_helpers
from crsr_video.errors import PluginError
from crsr_video.plugins import frei0r
from crsr_video.server import Client
from tests.integration.plugins.sanitized import HERE, SANITIZE, STRICT, compiled, pids
from tests.support.face_models import require_face_models
from tests.support.paths import ROOT


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_DATA_HOME", "FREI0R_PATH", "MLT_FREI0R_PLUGIN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A program crsr-video that runs this package."""
    path = tmp_path_factory.mktemp("bin") / "crsr-video"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m crsr_video "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory, program):
    """A folder that contains the compiled effect, for FREI0R_PATH."""
    folder = tmp_path_factory.mktemp("frei0r")
    source = frei0r.source_file(frei0r.EFFECT_SOURCE)
    try:
        found = frei0r.find_compiler()
    except PluginError as error:
        pytest.skip(str(error))
    frei0r.build(source, folder / "crsr.so", command=program, compiler=found)
    return folder


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """A folder with the host, the effect and the fuzz driver."""
    folder = tmp_path_factory.mktemp("effect")
    effect, c = ROOT / "plugins/frei0r/crsr.c", HERE / "c"
    compiled(*STRICT, *SANITIZE, str(c / "host.c"), "-ldl", "-o", str(folder / "host"))
    shared = ("-fPIC", "-shared", "-o", str(folder / "crsr.so"))
    compiled(*STRICT, "-Wpedantic", *SANITIZE, str(effect), *shared)
    compiled(*STRICT, *SANITIZE, str(c / "fuzz.c"), "-o", str(folder / "fuzz"))
    return folder


@pytest.fixture(scope="session")
def bench_with_posix_memory(bench, tmp_path_factory):
    """A folder with the host and the effect as it is compiled for macOS, as far as Linux can."""
    folder = tmp_path_factory.mktemp("posix")
    (folder / "host").symlink_to(bench / "host")
    shared = ("-fPIC", "-shared", "-DCRSR_POSIX_MEMORY", "-o", str(folder / "crsr.so"))
    compiled(*STRICT, "-Wpedantic", *SANITIZE, str(ROOT / "plugins/frei0r/crsr.c"), *shared)
    return folder


@pytest.fixture
def place():
    """The path of a socket in a private folder. Servers that remain there are killed."""
    with server_helpers.folder() as folder:
        yield folder / "s"
        for process in pids(folder / "s"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def needs(*programs):
    """Skip a test where a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}")


@pytest.fixture(scope="session")
def server(program):
    """A running enhancement server that has loaded its networks."""
    require_face_models()
    with Served(program) as served:
        served.wait()
        yield served


@pytest.fixture
def effect(built, server):
    """Environment in which programs find the effect, and the effect finds the server."""
    return environment(built, server.socket)


def environment(built, path, start=""):
    """Return the environment for a program that loads effects.

    Args:
        built: Folder with the effect.
        path: Path of the socket.
        start: Command with which the effect starts a server; empty: it starts none.
    """
    told = {"FREI0R_PATH": str(built), "CRSR_SOCKET": str(path), "CRSR_SERVER": start}
    return os.environ | told


class Served:
    """A server in a folder of its own, whose path is short enough for a socket."""

    def __init__(self, program):
        self._folder = tempfile.TemporaryDirectory(prefix="crsr-")
        self.socket = Path(self._folder.name) / "s"
        words = [program, "serve", "--socket", self.socket, "--idle", "600"]
        self._process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self):
        """Wait until the server answers with a picture, so that everything is loaded."""
        for _ in range(900):
            with suppress(OSError):
                self.pid()
                break
            assert self._process.poll() is None, "the server has ended"
            time.sleep(0.1)
        with Client(path=self.socket, command=(), start_timeout=90.0) as client:
            client.enhance(np.zeros((64, 64, 4), np.uint8))

    def pid(self):
        """Return the ID of the process that listens at the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.connect(str(self.socket))
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.unpack("iII", told)[0]

    def kill(self):
        """Kill the server, as if it had crashed."""
        os.kill(self.pid(), signal.SIGKILL)
        self._process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            os.kill(self.pid(), signal.SIGTERM)
        for _ in range(100):  # one that an effect started is not our child
            try:
                self.pid()
            except OSError:
                break
            time.sleep(0.1)
        self._process.kill()
        self._process.wait(10)
        self._folder.cleanup()
