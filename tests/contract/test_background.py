"""Treatment of the rest of the picture with the shipped network."""

from pathlib import Path

import numpy as np
import pytest

import crsr_video
from crsr_video.config import Config
from crsr_video.imaging.fields import split
from crsr_video.imaging.upscaling import enlarge
from crsr_video.runtime.loading import load_background
from crsr_video.runtime.placement import place
from crsr_video.stages.background import Background
from crsr_video.types import TrackedFrame
from tests.contract.harness import FFV1, frames_of
from tests.support.interlaced import FIELDS, interlaced_clip
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")


@pytest.mark.parametrize(("background", "scale"), [("clean", 1), ("restore", 1), ("restore", 2)])
def test_frames_without_faces_are_treated_at_their_own_bit_depth(
    tmp_path: Path, background: str, scale: int
) -> None:
    source = make_video(
        tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p10le", size=(96, 80), frames=2
    )
    config = Config.from_options(background=background, scale=scale, output=FFV1, device="cpu")
    done = crsr_video.enhance(source, tmp_path / "b.mkv", config=config)
    assert not done.is_copy
    before, after = frames_of(source), frames_of(tmp_path / "b.mkv")
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        large = enlarge(old, scale)
        assert new.layout == old.layout
        change = new.components[0].astype(int) - large.components[0]
        assert (change != 0).mean() > 0.3
        assert (new.components[0] % 4 != 0).mean() > 0.5
        assert np.abs(change).mean() < 40


@pytest.mark.parametrize("first", FIELDS)
def test_the_two_fields_of_interlaced_frames_are_treated_apart(tmp_path: Path, first: str) -> None:
    source = interlaced_clip(tmp_path / "a.nut", first)
    config = Config.from_options(background="clean", output=FFV1, device="cpu")
    crsr_video.enhance(source, tmp_path / "b.nut", config=config)
    background = Background(load_background(place("cpu")))
    results = frames_of(tmp_path / "b.nut")
    for whole, result in zip(frames_of(source), results, strict=True):
        assert result.interlaced == first
        fields = [item.frame for item in split(TrackedFrame(whole))]
        treated = [background.treat(field, field) for field in fields]
        top, bottom = treated if first == "top" else treated[::-1]
        for plane, upper, lower in zip(
            result.components, top.components, bottom.components, strict=True
        ):
            assert np.array_equal(plane[0::2], upper)
            assert np.array_equal(plane[1::2], lower)
