from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import numpy as np
import pytest

from crsr_video.types import Crop, Frame
from tests.support.frames import LAYOUTS, make_frame


def plane(dtype=np.uint8, shape=(4, 6)):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("layout", "components"),
    [
        ("yuv444p", (plane(),)),
        ("gray", (plane(), plane(), plane())),
        ("yuv444p", (plane(), plane(), plane(shape=(4, 6, 1)))),
        ("yuv420p10", (plane(), plane(), plane())),
        ("gray", ()),
    ],
)
def test_frame_refuses_components_that_do_not_fit_its_layout(layout, components):
    with pytest.raises(ValueError, match=r"components|bits"):
        Frame(components, LAYOUTS[layout], 0, Fraction(1, 25))


def test_frame_size_is_that_of_luma(rng):
    frame = make_frame("yuv420p", 5, 7, rng)
    assert (frame.width, frame.height) == (7, 5)
    assert frame.components[1].shape == (3, 4)


def test_frame_seconds_follow_the_time_base(rng):
    frame = make_frame("gray", 2, 2, rng, pts=-3003, time_base=Fraction(1, 90000))
    assert frame.seconds == pytest.approx(-3003 / 90000)


def test_with_components_replaces_pixels_and_nothing_else(rng):
    frame = make_frame("gray", 3, 4, rng, pts=7, rotation=90, sample_aspect=Fraction(4, 3))
    other = frame.with_components((plane(),))
    assert other.edited
    assert not frame.edited
    assert replace(other, components=frame.components, edited=False) == frame
    assert other.components[0].shape == (4, 6)


def test_frames_cannot_be_changed(rng):
    with pytest.raises(FrozenInstanceError):
        make_frame("gray", 3, 4, rng).pts = 5


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((3, 8, 8), np.float64),
        ((3, 8, 8), np.uint8),
        ((8, 8, 3), np.float32),
        ((3, 8, 9), np.float32),
        ((8, 8), np.float32),
    ],
)
def test_crop_refuses_other_shapes_and_types(shape, dtype):
    with pytest.raises(ValueError, match="crop"):
        Crop(np.zeros(shape, dtype), np.eye(2, 3))


def test_a_crop_knows_its_size():
    assert Crop(np.zeros((3, 8, 8), np.float32), np.eye(2, 3)).size == 8
