"""The cheap pictures for the face models resemble the exact ones."""

from fractions import Fraction

import numpy as np
import pytest

from crsr_video.track.region_pictures import model_input, picture
from crsr_video.track.regions import Region
from crsr_video.types import Frame, PixelLayout
from tests.support.tracking import astronaut, frame_of

REGIONS = [
    Region(160, 110, 100, 100),
    Region(160, 110, 150, 150, 0.7),
    Region(161.5, 119, 190, 190, -1.4),
    Region(159.5, 119.5, 40, 40),
]


def exact(frame, region, side):
    return 2 * picture(frame, region, side) - 1


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("turns", [0, 1])
def test_the_models_input_resembles_the_exact_picture(region, turns):
    frame = frame_of(np.rot90(astronaut(), -turns), rotation=90 * turns)
    for side in (192, 48):
        shown = model_input(frame, region, side)
        assert shown.shape == (side, side, 3) and shown.dtype == np.float32
        error = np.abs(shown - exact(frame, region, side))
        assert error.mean() < 0.035  # of 2, in a picture full of edges
        assert abs(float((shown - exact(frame, region, side)).mean())) < 0.004


def test_positions_are_exact_however_much_the_picture_shrinks():
    y, x = np.mgrid[:480, :640].astype(np.float64)
    ramp = np.stack([x / 3, y / 3, (x + y) / 6], -1).astype(np.uint8)
    frame = frame_of(ramp)
    for side in (30, 64, 100, 200, 300):
        region = Region(311.3, 242.6, 340, 340, 0.3)
        difference = model_input(frame, region, side) - exact(frame, region, side)
        inner = difference[3:-3, 3:-3]
        assert np.abs(inner).max() < 2.5 / 127.5  # one code value, and a half to round


@pytest.mark.parametrize("family", ["yuv420p", "yuv420p10le", "gray"])
def test_planes_of_all_formats_are_read(family):
    bits = 10 if family.endswith("10le") else 8
    kind = np.uint16 if bits > 8 else np.uint8
    smooth = np.add.outer(np.arange(120.0), np.arange(160.0)) / 280
    luma = (np.clip(16 + 219 * smooth, 16, 235) * 2 ** (bits - 8)).astype(kind)
    chroma = (np.clip(90 + 70 * smooth[::2, ::2], 16, 240) * 2 ** (bits - 8)).astype(kind)
    if family == "gray":
        frame = Frame((luma,), PixelLayout("gray", "gray", 8), 0, Fraction(1, 25))
    else:
        layout = PixelLayout(family, "yuv", bits, 1, 1)
        frame = Frame((luma, chroma, chroma), layout, 0, Fraction(1, 25))
    region = Region(80, 60, 100, 100, 0.2)
    np.testing.assert_allclose(model_input(frame, region, 64), exact(frame, region, 64), atol=0.03)


def test_the_outside_of_the_frame_is_black():
    layout = PixelLayout("yuv420p", "yuv", 8, 1, 1)
    planes = (np.full((80, 100), 235, np.uint8), *[np.full((40, 50), 128, np.uint8)] * 2)
    shown = model_input(
        Frame(planes, layout, 0, Fraction(1, 25)), Region(49.5, 39.5, 200, 200), 100
    )
    np.testing.assert_allclose(shown[:29], -1, atol=1e-5)
    np.testing.assert_allclose(shown[32:68, 27:73], 1, atol=1e-5)
