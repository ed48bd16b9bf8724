"""Sample clips for runs of the program."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import PORTRAIT
from tests.support.video import make_video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return the path of a copy of the sample clip."""
    return Path(shutil.copy(PORTRAIT, tmp_path / "clip.mp4"))


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
        remux(PORTRAIT, folder / name, container)
    make_video(folder / "plain.mkv", codec="ffv1", frames=20, audio=1)
    return folder


def remux(source: Path, target: Path, container: str, seconds: float = 0.24) -> None:
    """Copy the beginning of a clip, packet by packet."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=container) as made:
        streams = {s.index: made.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = streams[packet.stream_index]
                made.mux(packet)
