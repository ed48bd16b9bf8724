"""Sample clips for runs of the program."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import PORTRAIT
from tests.support.video import make_video, remux


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return the path of a copy of the sample clip."""
    return Path(shutil.copy(PORTRAIT, tmp_path / "clip.mp4"))


@pytest.fixture(scope="session")
def moment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the first twelve frames of the sample clip. Nothing may write to it."""
    path = tmp_path_factory.mktemp("moment") / "moment.mp4"
    remux(PORTRAIT, path, "mp4", 0.39)
    return path


@pytest.fixture
def short_clip(tmp_path: Path, moment: Path) -> Path:
    """Return the path of a copy of the first twelve frames of the sample clip."""
    return Path(shutil.copy(moment, tmp_path / "clip.mp4"))


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """Return the first frame of the sample clip, (H, W, 3) RGB."""
    with av.open(str(PORTRAIT)) as file:
        first = next(file.decode(video=0)).to_ndarray(format="rgb24")
    first.flags.writeable = False
    return first


@pytest.fixture(scope="session")
def pipe_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a quarter of a second with a face in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    for name, container in (("a.mp4", "mp4"), ("a.nut", "nut"), ("a.mkv", "matroska")):
        remux(PORTRAIT, folder / name, container, 0.24)
    make_video(folder / "plain.mkv", codec="ffv1", frames=20, audio=1)
    return folder
