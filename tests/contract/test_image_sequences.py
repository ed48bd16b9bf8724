"""Numbered images as inputs and outputs of ``crsr-video enhance``."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.cli import QUICK, run
from tests.support.paths import PORTRAIT

pytestmark = pytest.mark.usefixtures("face_models")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write five frames of a clip as PNG files, and return their pattern."""
    with av.open(str(PORTRAIT)) as file:
        for number, frame in zip(range(8, 13), file.decode(video=0), strict=False):
            frame.to_image().save(tmp_path / f"frame_{number:04d}.png")
    return tmp_path / "frame_%04d.png"


def test_a_sequence_becomes_a_sequence_with_the_same_numbers(pictures: Path) -> None:
    output = pictures.with_name("better_%04d.png")
    result = run("enhance", pictures, "-o", output, "--precision", "fp32")
    assert result.exit_code == 0, result.stderr
    assert "Enhanced 1 person in 5 of 5 frames" in result.stderr
    names = sorted(path.name for path in pictures.parent.iterdir())
    assert names[:5] == [f"better_{number:04d}.png" for number in range(8, 13)]
    assert len(names) == 10
    with Image.open(pictures.parent / "frame_0010.png") as before:
        old = np.asarray(before).astype(int)
    with Image.open(pictures.parent / "better_0010.png") as after:
        changed = np.abs(old - np.asarray(after)).max(2)
    assert changed.max() > 3
    assert not changed[:, :40].any()
    again = run("enhance", pictures, "-o", output, "--precision", "fp32")
    assert again.exit_code == 1
    assert "better_0008.png: exists already" in again.stderr


def test_a_sequence_becomes_a_video_and_back(pictures: Path) -> None:
    video = pictures.with_name("film.mp4")
    result = run("enhance", pictures, "-o", video, "--rate", "12", *QUICK)
    assert result.exit_code == 0, result.stderr
    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 12, 5)
        assert stream.codec_context.pix_fmt == "yuv420p"
    back = run("enhance", video, "-o", pictures.with_name("back_%d.jpg"), *QUICK[:4])
    assert back.exit_code == 0, back.stderr
    assert {p.name for p in pictures.parent.glob("back_*")} == {
        f"back_{n}.jpg" for n in range(1, 6)
    }


def test_a_gap_in_a_sequence_is_named_and_nothing_is_left(pictures: Path) -> None:
    (pictures.parent / "frame_0010.png").unlink()
    result = run("enhance", pictures, "-o", pictures.with_name("better_%04d.png"))
    assert result.exit_code == 1
    assert f"{pictures.parent / 'frame_0010.png'}: is missing in the sequence" in result.stderr
    assert len(list(pictures.parent.iterdir())) == 4
