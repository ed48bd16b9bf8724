"""Detail, noise and blocks of a picture, as the crop size is chosen by them."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from crsr_video.stages.align import CROP_SIZES
from crsr_video.stages.face_detail import block_steps, detail_side, lost_at
from tests.support.frames import frame_of
from tests.support.soft_faces import luma_crop, strokes


@pytest.mark.parametrize("bits", [8, 10])
def test_blocks_are_distinguished_from_edges(bits, rng):
    layout = "gray" if bits == 8 else "gray10-limited"
    unit = 2 ** (bits - 8)
    smooth = 60 + 120 * cv2.GaussianBlur(rng.random((160, 160)), (0, 0), 5)
    smooth[:, 70:] += 60  # An edge that happens to lie inside a block.
    blocks = rng.normal(0, 2, (20, 20)).repeat(8, 0).repeat(8, 1)
    box = (12.0, 9.0, 150.0, 148.0)
    clean, blocky = (
        block_steps(frame_of(layout, picture * unit), box) for picture in (smooth, smooth + blocks)
    )
    assert abs(clean) < 0.3 / 255
    assert blocky > 1.0 / 255


def test_noise_is_distinguished_from_edges(rng):
    clean = luma_crop(256, 60)
    for noise in (0.004, 0.01, 0.03):
        noisy = clean + rng.normal(0, noise, clean.shape).astype(np.float32)
        found = lost_at(noisy, 181)[1]
        assert 0.4 * noise < found < 1.1 * noise  # shrinking by the root of two keeps a part of it
    assert lost_at(clean, 181)[1] < 0.001


# How detail is measured


def test_detail_falls_as_a_face_is_blurred():
    found = [detail_side(luma_crop(256, detail)) for detail in (24, 48, 96, 160)]
    assert all(a < b for a, b in pairwise(found))
    for detail, side in zip((24, 48, 96, 160), found, strict=True):
        assert 0.7 * detail < side < 1.3 * detail


@pytest.mark.parametrize("detail", [48, 96, 160])
def test_detail_does_not_depend_on_the_size_of_the_picture(detail):
    found = [detail_side(luma_crop(side, detail)) for side in (170, 256, 400)]
    assert max(found) < 1.4 * min(found)


@pytest.mark.parametrize("detail", [48, 96, 160])
@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_noise_is_not_taken_for_detail_nor_hides_much_of_it(detail, noise):
    clean = detail_side(luma_crop(256, detail))
    found = detail_side(luma_crop(256, detail, noise))
    assert (0.8 if noise < 0.01 else 0.6) * clean < found < 1.1 * clean


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_noise_alone_is_no_detail(noise):
    picture = np.random.default_rng(2).normal(0.5, noise, (256, 256)).astype(np.float32)
    assert detail_side(picture) <= CROP_SIZES[0]


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512])
def test_detail_is_at_most_the_size_and_near_it_for_sharp_lines(side):
    assert 0.7 * side < detail_side(strokes(side)) <= side


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_brightness_does_not_count_as_detail(level):
    assert detail_side(np.full((128, 128), level, np.float32)) <= CROP_SIZES[0]
