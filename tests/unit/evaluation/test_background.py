"""Flicker of the network for whole frames on a video."""

from pathlib import Path

import numpy as np
import pytest

from crsr_video.errors import InputError
from crsr_video.evaluation.background import flicker_as_text, measure_flicker
from tests.support.video import make_video, write_pictures


def test_noise_of_a_still_video_flickers_less_afterwards(tmp_path: Path, rng) -> None:
    still = rng.integers(60, 180, (12, 14, 3)).repeat(16, 0).repeat(16, 1)
    pictures = [np.clip(still + rng.normal(0, 2, still.shape), 0, 255) for _ in range(5)]
    video = write_pictures(tmp_path / "a.mkv", [picture.astype(np.uint8) for picture in pictures])
    row = measure_flicker(video)
    assert row.flicker < 1
    assert row.milliseconds > 0
    assert f"{row.flicker:.3f}" in flicker_as_text(row)


def test_a_video_smaller_than_a_tile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too small"):
        measure_flicker(make_video(tmp_path / "a.mkv", frames=3))
