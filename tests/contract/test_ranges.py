"""Pictures of the full range look the same in results that cannot say so."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.pictures import as_rgb
from crsr_video.types import Frame
from tests.contract.harness import enhance
from tests.support.video import make_video

FULL = (1, 1, 1, 2)
GRAY = (200.0, 128.0, 128.0)


def brightness(frame: Frame) -> float:
    code = float(np.mean(frame.components[0]))
    code /= 1 << (frame.layout.bits - 8)
    return code / 255 if frame.layout.full_range else (code - 16) / 219


@pytest.mark.parametrize(
    ("codec", "suffix", "is_kept"),
    [
        ("libx264", ".ts", True),
        ("libx265", ".mov", True),
        ("mpeg2video", ".ts", False),
        ("mpeg2video", ".mkv", False),
        ("mpeg4", ".mkv", True),
        ("mpeg4", ".avi", False),
        ("libvpx", ".webm", False),
        ("prores_ks", ".mov", False),
    ],
)
def test_full_range_looks_the_same(tmp_path: Path, codec: str, suffix: str, is_kept: bool) -> None:
    source = make_video(tmp_path / "in.mp4", colour=FULL, flat=GRAY)
    run = enhance(source, tmp_path / f"out{suffix}", OutputSettings(codec=codec), faces=())
    assert brightness(run.after[3]) == pytest.approx(brightness(run.before[3]), abs=0.01)
    assert run.after[0].layout.full_range == is_kept
    assert is_kept or any("does not hold the full range" in line for line in run.notices)


@pytest.mark.parametrize("matrix", [1, 9])
@pytest.mark.parametrize(("codec", "suffix"), [("libvpx", ".webm"), ("mjpeg", ".mov")])
def test_codecs_of_one_matrix_get_its_colours(
    tmp_path: Path, matrix: int, codec: str, suffix: str
) -> None:
    red = (100.0, 100.0, 200.0)
    source = make_video(tmp_path / "in.mp4", colour=(matrix, 1, matrix, 1), flat=red)
    run = enhance(source, tmp_path / f"out{suffix}", OutputSettings(codec=codec), faces=())
    before, after = (as_rgb(frames[3])[20, 20].astype(int) for frames in (run.before, run.after))
    assert np.abs(before - after).max() <= 3
    assert any("holds BT.601 colours only" in line for line in run.notices)


@pytest.mark.parametrize("codec", ["mpeg4", "ffv1", "utvideo"])
def test_lost_colour_tags_are_named(tmp_path: Path, codec: str) -> None:
    source = make_video(tmp_path / "in.mp4", colour=(9, 16, 9, 1))
    run = enhance(source, tmp_path / "out.avi", OutputSettings(codec=codec), faces=())
    assert any("does not hold the colour tags" in line for line in run.notices)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mov", ".nut"])
def test_colours_that_every_jpeg_has_are_not_named_as_lost(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / f"in{suffix}", codec="mjpeg", pix_fmt="yuvj420p")
    run = enhance(source, tmp_path / f"out{suffix}", OutputSettings(strict=True), faces=())
    assert [frame.layout for frame in run.after] == [frame.layout for frame in run.before]


def test_strict_refuses_a_conversion_of_the_range(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.ts", colour=FULL)
    with pytest.raises(OutputError, match="does not hold the full range"):
        enhance(source, tmp_path / "o.ts", OutputSettings(codec="mpeg2video", strict=True))


def test_unusual_pixels_in_mpeg_2_are_named(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", sample_aspect=Fraction(16, 11))
    run = enhance(source, tmp_path / "out.ts", OutputSettings(codec="mpeg2video"), faces=())
    assert any("does not hold the sample aspect ratio" in line for line in run.notices)
