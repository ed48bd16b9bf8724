"""The wheel that is built from this clone. Needs hatchling, and builds without build isolation."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from crsr_video.plugins import frei0r
from crsr_video.track import face_models
from tests.support.face_models import require_face_models
from tests.support.paths import ROOT

pytest.importorskip("hatchling", reason="needs hatchling")

MODELS = {f"crsr_video/track/models/{model.file_name}" for model in face_models.FACE_MODELS}


def build(folder, environment=None):
    """Build the wheel; return it, and what the build said."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        words,
        cwd=ROOT,
        check=True,
        timeout=100,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return next(Path(folder).glob("*.whl")), done.stdout


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    require_face_models()
    return build(tmp_path_factory.mktemp("wheel"))[0]


@pytest.fixture
def offline(tmp_path):
    """Environment variables of a user without a network, and without a cache."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "CRSR_VIDEO_CACHE": str(home / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(home),
    }


def test_it_contains_the_sources_of_the_effect(wheel):
    wanted = {f"crsr_video/plugins/data/{name}" for name in frei0r.SOURCES}
    assert wanted | {"crsr.py"} <= names_in(wheel)


def test_it_contains_the_face_models_and_their_licence(wheel):
    assert MODELS | {"crsr_video/track/models/LICENSE"} <= names_in(wheel)


def test_without_a_network_it_is_built_without_models_and_says_so(tmp_path, offline):
    wheel, said = build(tmp_path / "out", offline)
    assert not MODELS & names_in(wheel)
    assert "built without face models" in said and "crsr-video models --fetch" in said


def test_the_first_run_of_an_installed_wheel_needs_no_network(wheel, tmp_path, offline):
    target = tmp_path / "venv"
    venv.create(target)
    python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    words = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
    # The dependencies are those of this environment.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel],
        check=True,
        capture_output=True,
        env=os.environ | offline,
        timeout=100,
    )
    output = tmp_path / "enhanced.mp4"
    clip = ROOT / "clips/portrait.mp4"
    done = subprocess.run(
        [python, "-m", "crsr_video", "enhance", clip, "-o", output, "--duration", "0.5"],
        cwd=tmp_path,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert output.stat().st_size > 0
    assert not (tmp_path / "home/cache/face-models").exists()
