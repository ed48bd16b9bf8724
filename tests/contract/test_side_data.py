"""Data attached to pictures never stops a run, and never hides other data."""

from pathlib import Path

import av
import pytest

from crsr_video.io import picture_properties
from crsr_video.io.reader import Reader
from tests.support.cli import run
from tests.support.tagged_pictures import movie


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".nut"])
def test_picture_with_colour_profile_is_enhanced(tmp_path: Path, suffix: str) -> None:
    source, result = movie(tmp_path / f"in{suffix}", "png"), tmp_path / "out.mkv"
    done = run("enhance", source, "-o", result, "--model", "identity", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    with av.open(str(result)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".mkv"])
def test_camera_data_does_not_hide_the_rotation(tmp_path: Path, suffix: str) -> None:
    with Reader(movie(tmp_path / f"in{suffix}", "mjpeg")) as reader:
        first = reader.source.first
        assert first.rotation == 270
        found = picture_properties.side_data(first.native)
        assert found.keys() >= {"EXIF", "DISPLAYMATRIX"}
        assert picture_properties.display_matrix(found) is not None
