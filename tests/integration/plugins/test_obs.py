"""OBS Studio without a screen: a Media Source plays what `crsr-video live` sends over UDP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from tests.integration.plugins.conftest import needs
from tests.support.paths import PORTRAIT, ROOT

pytestmark = [pytest.mark.plugins, needs("obs", "xvfb-run")]

SECONDS = 120.0
GLOBAL = """[General]
FirstRun=true
LastVersion=486539266
InfoIncrement=1
[Basic]
Profile=T
ProfileDir=T
SceneCollection=T
SceneCollectionFile=T
"""
PROFILE = """[General]
Name=T
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
[Output]
Mode=Simple
[SimpleOutput]
FilePath={folder}
RecFormat=mkv
StreamEncoder=x264
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        return asking.getsockname()[1]


def scene(url):
    """Return a scene with one Media Source, as the recipe describes it."""
    media = {"is_local_file": False, "input": url, "reconnect_delay_sec": 1}
    item = {"name": "Faces", "id": 1, "visible": True, "scale": {"x": 1.0, "y": 1.0}}
    sources = [
        {"id": "ffmpeg_source", "name": "Faces", "settings": media},
        {"id": "scene", "name": "Scene", "settings": {"items": [item]}},
    ]
    current = {"current_scene": "Scene", "current_program_scene": "Scene"}
    return {"name": "T", **current, "scene_order": [{"name": "Scene"}], "sources": sources}


@pytest.fixture
def environment(tmp_path):
    """An empty home folder with a profile that records, and a folder for the recording."""
    settings = tmp_path / ".config/obs-studio"
    (settings / "basic/profiles/T").mkdir(parents=True)
    (settings / "basic/scenes").mkdir()
    (settings / "global.ini").write_text(GLOBAL)
    (settings / "basic/profiles/T/basic.ini").write_text(PROFILE.format(folder=tmp_path))
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    own = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime), "LIBGL_ALWAYS_SOFTWARE": "1"}
    # OpenCV points Qt to its own plugins, which OBS cannot use.
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("QT_")}
    return inherited | own


def frames_of(path):
    """Return the frames of a recording, which may still grow, as gray arrays."""
    try:
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    except av.FFmpegError:
        return []


def shows(frame, picture):
    """Return whether a frame resembles the picture. A scene without the stream is black."""
    return np.abs(frame.astype(int) - picture).mean() < 25


def test_a_media_source_shows_the_stream(tmp_path, environment):
    url = f"udp://127.0.0.1:{free_port()}"
    collection = tmp_path / ".config/obs-studio/basic/scenes/T.json"
    collection.write_text(json.dumps(scene(url)))
    clip = str(PORTRAIT)
    live = [sys.executable, "-m", "crsr_video", "-q", "live", "-i", clip, "--realtime", "--loop"]
    obs = ["xvfb-run", "-a", "obs", "--profile", "T", "--collection", "T", "--startrecording"]
    obs += ["--disable-shutdown-check", "--minimize-to-tray"]
    running = [
        subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for words in ([*live, "--model", "identity", "-o", url], obs)
    ]
    with av.open(clip) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="gray")
    try:
        end, found = time.monotonic() + SECONDS, []
        while not any(shows(frame, picture) for frame in found[-30:]):
            assert time.monotonic() < end, f"the stream is not in {len(found)} recorded frames"
            time.sleep(2.0)
            found = [frame for path in tmp_path.glob("*.mkv") for frame in frames_of(path)]
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
