"""``crsr-video serve`` in a process of its own."""

import os
import signal
import subprocess
import sys

from crsr_video.server import Client, EffectSettings
from tests.support.paths import ROOT
from tests.support.server import Raw
from tests.support.waiting import wait_until


def test_the_command_serves_at_once_and_ends_on_sigterm(folder):
    path = folder / "s"
    command = [sys.executable, "-m", "crsr_video", "serve", "--model", "identity"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--socket", str(path)], env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        wait_until(path.exists)
        # Connected before the heavy libraries are there, and answered when they are.
        with Client(EffectSettings(model="identity"), path=path, command=()), Raw(path):
            second = subprocess.run(
                [*command, "--socket", str(path)], env=environment, capture_output=True, text=True
            )
            assert second.returncode == 1
            assert second.stderr == f"crsr-video: error: {path}: another server is there already\n"
            server.send_signal(signal.SIGTERM)
            told = server.communicate(timeout=60)[1]
    assert server.returncode == 0
    assert told == f"crsr-video: serving at {path}\n"
    assert not path.exists()
