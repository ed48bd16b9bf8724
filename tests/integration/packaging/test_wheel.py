"""The source archive and the wheel of this clone. Needs the packages build, twine and hatchling."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from crsr_video import __version__
from crsr_video.plugins import frei0r
from crsr_video.track import face_models
from tests.support.paths import ROOT

pytestmark = pytest.mark.packaging

MODELS = {f"crsr_video/track/models/{model.file_name}" for model in face_models.FACE_MODELS}
INSTALL_SECONDS = 900.0
"""Time limit of an installation with all dependencies, which may have to be downloaded."""


def run(words, environment=None, seconds=INSTALL_SECONDS, folder=ROOT):
    """Run a program that has to succeed, and return what it printed."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder into which the script of the release builds and checks both packages."""
    folder = tmp_path_factory.mktemp("dist")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    said = run(["bash", ".ci/package", folder], {"PATH": path})
    assert said.count("PASSED") == 2, said
    return folder


@pytest.fixture(scope="module")
def wheel(packages):
    return packages / f"crsr_video-{__version__}-py3-none-any.whl"


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


def without_network():
    """Return the words that run a command without a network, where the system allows that."""
    words = ["unshare", "--net", "--map-root-user"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return words


def test_the_source_archive_contains_the_tests_and_the_documentation(packages):
    name = f"crsr_video-{__version__}"
    with tarfile.open(packages / f"{name}.tar.gz") as archive:
        names = set(archive.getnames())
    wanted = ("README.md", "LICENSE", "docs/index.md", "tests/conftest.py", "clips/portrait.mp4")
    assert {f"{name}/{path}" for path in wanted} <= names


def test_the_wheel_contains_the_sources_of_the_effect(wheel):
    wanted = {f"crsr_video/plugins/data/{name}" for name in frei0r.SOURCES}
    assert wanted | {"crsr.py"} <= names_in(wheel)


def test_the_wheel_contains_the_face_models_and_their_licence(wheel):
    assert MODELS | {"crsr_video/track/models/LICENSE"} <= names_in(wheel)


def test_a_wheel_built_without_a_network_has_no_models_and_says_so(tmp_path, offline):
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "out"]
    said = run(words, offline)
    assert not MODELS & names_in(next((tmp_path / "out").glob("*.whl")))
    assert "built without face models" in said and "crsr-video models --fetch" in said


def test_the_wheel_alone_enhances_a_clip_in_an_empty_environment_without_a_network(
    wheel, tmp_path, offline
):
    target = tmp_path / "venv"
    venv.create(target, with_pip=True)
    programs = target / ("Scripts" if os.name == "nt" else "bin")
    run([programs / "python", "-m", "pip", "install", "--quiet", wheel], folder=tmp_path)
    clip, output = ROOT / "clips/portrait.mp4", tmp_path / "enhanced.mp4"
    words = [programs / "crsr-video", "enhance", clip, "-o", output]
    said = run([*without_network(), *words], offline, folder=tmp_path)
    assert "Enhanced 1 person in" in said
    assert output.stat().st_size > 0
    assert not Path(offline["CRSR_VIDEO_CACHE"], "face-models").exists()
