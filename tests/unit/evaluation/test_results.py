"""Finished videos are measured against their source."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.io import pyav
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.support.paths import PORTRAIT
from tests.support.video import write_pictures

pytestmark = pytest.mark.usefixtures("face_models")


def portrait(count=14):
    with Reader(PORTRAIT) as reader:
        frames = [item for item in reader if isinstance(item, Frame)]
    return [pyav.convert(f.native, "rgb24").to_ndarray() for f in frames[:count]]


@pytest.fixture
def source(tmp_path):
    return write_pictures(tmp_path / "source.mkv", portrait())


def invoke(*arguments):
    return CliRunner().invoke(main, ["evaluate-results", *map(str, arguments)])


def test_a_sharpened_copy_gains_and_a_copy_does_not(source, tmp_path):
    pictures = portrait()
    copy = write_pictures(tmp_path / "copy.mkv", pictures)
    sharp = write_pictures(
        tmp_path / "sharp.mkv",
        [cv2.addWeighted(p, 1.8, cv2.GaussianBlur(p, (0, 0), 1.5), -0.8, 0) for p in pictures],
    )
    found, slices = tmp_path / "found.json", tmp_path / "slices.png"
    done = invoke(source, copy, sharp, "--json", found, "--slices", slices)
    assert done.exit_code == 0, done.output
    rows = {row["result"]: row for row in json.loads(found.read_text())}
    assert rows["copy"]["flicker"] == pytest.approx(1, abs=1e-3)
    assert rows["copy"]["gain"] == pytest.approx(1, abs=1e-3)
    assert rows["sharp"]["gain"] > 1.2
    assert rows["sharp"]["flicker_at_equal_sharpness"] < rows["sharp"]["flicker"]
    assert cv2.imread(str(slices)).shape == (14, 3 * 192, 3)
    assert "equally sharp" in done.output


@pytest.mark.parametrize(
    ("kept", "message"),
    [(5, "has fewer frames than"), (14, "no face is seen in 10 pairs of frames")],
)
def test_videos_that_cannot_be_measured_are_refused(tmp_path, kept, message):
    pictures = portrait()
    blank = [np.full_like(p, 90) for p in pictures]
    source = write_pictures(tmp_path / "source.mkv", pictures if kept < 14 else blank)
    copy = write_pictures(tmp_path / "copy.mkv", pictures[:kept])
    done = invoke(source, copy, "--json", tmp_path / "found.json")
    assert done.exit_code == 1
    assert message in done.stderr
    assert not (tmp_path / "found.json").exists()
