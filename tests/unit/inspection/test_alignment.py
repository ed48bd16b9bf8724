"""The size ratio of a video and its copy, and frames of the same moment."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from crsr_video.errors import ConfigError
from crsr_video.inspection.alignment import FramePairs, align, size_ratio
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


def test_frames_are_paired_by_time_where_the_copy_has_fewer(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", frames=60)
    copy = make_video(tmp_path / "b.mkv", pts=[n for n in range(60) if n % 3 and n not in (20, 22)])
    # The pictures of the copy show other moments, so only the times of the pairs count here.
    with FramePairs(source, copy, replace(align(source, source), offset=Fraction(0))) as videos:
        times = [(before.seconds, after.seconds) for before, after in videos.pairs()]
    assert [before for before, _ in times] == pytest.approx([after for _, after in times])
