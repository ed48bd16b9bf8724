"""The size ratio of a video and its copy."""

from fractions import Fraction
from pathlib import Path

import pytest

from crsr_video.errors import ConfigError
from crsr_video.inspection.alignment import size_ratio
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.support.video import make_video


def first_frame(path: Path, size: tuple[int, int], **options: object) -> Frame:
    with Reader(make_video(path, size=size, frames=1, **options)) as reader:
        return reader.source.first


def test_a_row_that_an_encoder_left_out_is_accepted(tmp_path: Path) -> None:
    odd = first_frame(tmp_path / "a.mkv", (81, 61), pix_fmt="yuv444p")
    even = first_frame(tmp_path / "b.mkv", (160, 122))
    assert size_ratio(odd, even) == 2


def test_sizes_that_are_no_multiple_are_refused(tmp_path: Path) -> None:
    small = first_frame(tmp_path / "a.mkv", (160, 120))
    wide = first_frame(tmp_path / "b.mkv", (240, 120))
    with pytest.raises(ConfigError, match="160x120 and 240x120"):
        size_ratio(small, wide)


def test_other_pixel_aspect_ratios_are_refused(tmp_path: Path) -> None:
    square = first_frame(tmp_path / "a.mkv", (64, 48))
    wide = first_frame(tmp_path / "b.mkv", (64, 48), sample_aspect=Fraction(4, 3))
    with pytest.raises(ConfigError, match="pixel aspect"):
        size_ratio(square, wide)
