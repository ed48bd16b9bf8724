import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging.geometry import apply, compose, invert, resize_matrix
from crsr_video.imaging.warping import antialias_kernel, warp

CUBIC_SLACK = 0.05 + 1 / 32
"""Pixels: OpenCV's cubic kernel (a = -3/4) bends a ramp by up to 0.048 of a step, and its
coordinates are multiples of 1/32."""


def rotation(degrees, scale=1.0, x=0.0, y=0.0):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]])


def ramp(height, width, dx, dy):
    y, x = np.mgrid[:height, :width]
    return (dx * x + dy * y).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_identity_changes_nothing(rng, dtype):
    picture = rng.integers(0, 256, (20, 30, 3)).astype(dtype)
    same = warp(picture, np.eye(2, 3), 30, 20)
    assert same.dtype == np.float32
    assert np.array_equal(same, picture.astype(np.float32))


def test_whole_shifts_are_exact(rng):
    picture = rng.uniform(0, 1, (40, 50)).astype(np.float32)
    shift = np.array([[1.0, 0, -7], [0, 1, -11]])
    assert np.array_equal(warp(picture, shift, 20, 10), picture[11:21, 7:27])


def test_quarter_turns_are_exact(rng):
    picture = rng.uniform(0, 1, (40, 40)).astype(np.float32)
    turned = warp(picture, np.array([[0.0, 1, 0], [-1, 0, 39]]), 40, 40)
    assert np.abs(turned - np.rot90(picture)).max() < 1e-5


def test_borders_are_replicated(rng):
    picture = rng.uniform(0, 1, (8, 8)).astype(np.float32)
    moved = warp(picture, np.array([[1.0, 0, 10], [0, 1, 0]]), 10, 8)
    assert np.abs(moved - picture[:, :1]).max() < 1e-6


@pytest.mark.parametrize("offset", [(1000.0, 0.0), (-1000.0, -1000.0), (0.0, 1e7)])
def test_targets_wholly_outside_show_the_nearest_border(rng, offset):
    picture = rng.uniform(0, 1, (8, 8)).astype(np.float32)
    moved = warp(picture, np.array([[1.0, 0, offset[0]], [0, 1, offset[1]]]), 4, 4)
    assert np.isfinite(moved).all()
    assert moved.min() >= picture.min() - 0.2
    assert moved.max() <= picture.max() + 0.2


@pytest.mark.parametrize("scale", [0.03, 0.11, 0.3, 0.49, 0.5, 0.77, 1, 1.3, 6])
@pytest.mark.parametrize("degrees", [0, 33, 200])
def test_constants_stay_constant(scale, degrees):
    picture = np.full((90, 120), 0.7, np.float32)
    matrix = compose(rotation(degrees, scale, 10, 10), np.array([[1.0, 0, -60], [0, 1, -45]]))
    assert np.abs(warp(picture, matrix, 20, 30) - 0.7).max() < 1e-5


@pytest.mark.parametrize("scale", [0.13, 0.26, 0.4, 0.5, 0.8, 1, 1.7, 2, 4])
@pytest.mark.parametrize("degrees", [0, 20, -75])
def test_ramps_stay_in_place(scale, degrees):
    picture = ramp(400, 400, 1.0, 0.0)
    about = np.array([[1.0, 0, -200.3], [0, 1, -199.1]])
    matrix = compose(rotation(degrees, scale, 9.5, 9.5), about)
    found = warp(picture, matrix, 20, 20)
    y, x = np.mgrid[:20, :20]
    source = apply(invert(matrix), np.stack([x, y], -1).reshape(-1, 2))
    expected = source[:, 0].reshape(20, 20)
    # A step of the cubic grid is 1/scale source pixels where the picture was shrunk first.
    assert np.abs(found - expected).max() < CUBIC_SLACK * max(1, 1 / scale)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_keeps_edges_in_place(factor):
    # Odd sizes: the box average must not move what it shows.
    picture = ramp(10 * factor, 10 * factor, 1.0, 10.0)
    small = warp(picture, resize_matrix(1 / factor), 10, 10)
    middle = (factor - 1) / 2
    expected = ramp(10, 10, factor, 10 * factor) + 11 * middle
    inner = (slice(3, -3), slice(3, -3))
    assert np.abs(small - expected)[inner].max() < 11 * factor * 0.02


def tone_gain(scale, degrees, share_of_nyquist):
    """Return the gain of a plane wave, whose frequency is a share of the target's Nyquist."""
    cycles = 0.5 * scale * share_of_nyquist
    phase = 2 * np.pi * cycles * ramp(600, 600, np.cos(0.4), np.sin(0.4))
    picture = np.sin(phase).astype(np.float32)
    size = int(350 * scale)
    matrix = compose(
        rotation(degrees, scale, size / 2, size / 2), np.array([[1.0, 0, -300], [0, 1, -300]])
    )
    return float(warp(picture, matrix, size, size).std() / picture.std())


@pytest.mark.parametrize("scale", [0.12, 0.2, 0.34, 0.45, 0.5, 0.6])
@pytest.mark.parametrize("degrees", [0, 25])
def test_tones_that_the_target_cannot_hold_are_suppressed(scale, degrees):
    share = min(1.8, 0.95 / scale)
    assert tone_gain(scale, degrees, share) < 0.35


@pytest.mark.parametrize("scale", [0.12, 0.2, 0.34, 0.45, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("degrees", [0, 25])
def test_tones_far_below_the_limit_are_kept(scale, degrees):
    assert 0.9 < tone_gain(scale, degrees, 0.25) < 1.05


def test_enlarging_does_not_blur():
    phase = 2 * np.pi * 0.1 * ramp(60, 60, 1, 0)
    picture = np.sin(phase).astype(np.float32)
    large = warp(picture, resize_matrix(4), 240, 240)
    assert large.max() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("scale", [0.1, 0.4, 1, 3])
def test_only_visible_samples_are_read(scale):
    picture = np.full((1000, 1000), np.nan, np.float32)
    reach = round(8 / scale + 8 + 12 / scale)
    picture[500 - reach : 500 + reach, 500 - reach : 500 + reach] = 1
    matrix = compose(rotation(10, scale, 7.5, 7.5), np.array([[1.0, 0, -500], [0, 1, -500]]))
    assert np.abs(warp(picture, matrix, 16, 16) - 1).max() < 1e-5


def test_the_cost_does_not_grow_with_the_frame():
    # Ten gigapixels that take one byte.
    endless = np.broadcast_to(np.uint8(77), (100_000, 100_000))
    matrix = compose(rotation(10, 0.6, 7.5, 7.5), np.array([[1.0, 0, -50_000], [0, 1, -60_000]]))
    tracemalloc.start()
    try:
        assert np.abs(warp(endless, matrix, 16, 16) - 77).max() < 1e-3
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_strided_views_are_read_as_they_look(rng):
    packed = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    matrix = rotation(10, 0.7, 3, 2)
    view, copied = packed[::-1, :, 1], packed[::-1, :, 1].copy()
    assert np.array_equal(warp(view, matrix, 9, 12), warp(copied, matrix, 9, 12))


def test_channels_are_resampled_alike(rng):
    picture = rng.uniform(0, 1, (50, 60, 3)).astype(np.float32)
    matrix = rotation(10, 0.3, 3, 2)
    together = warp(picture, matrix, 9, 12)
    for channel in range(3):
        alone = warp(picture[..., channel], matrix, 9, 12)
        assert np.abs(together[..., channel] - alone).max() < 1e-6


def test_source_is_left_alone(rng):
    picture = rng.uniform(0, 1, (50, 60)).astype(np.float32)
    before = picture.copy()
    warp(picture, rotation(10, 0.3, 3, 2), 9, 12)
    assert np.array_equal(picture, before)


def test_singular_transforms_are_refused():
    with pytest.raises(DegenerateFaceError):
        warp(np.zeros((8, 8), np.float32), np.zeros((2, 3)), 4, 4)


def test_antialias_kernel_is_a_centred_average():
    for scale in (1, 0.97, 0.5, 0.31):
        kernel = antialias_kernel(scale)
        assert len(kernel) % 2 == 1
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_array_equal(kernel, kernel[::-1])
    np.testing.assert_allclose(antialias_kernel(1), [0, 1, 0], atol=1e-7)


def test_shrinking_is_what_training_calls_clean(rng):
    picture = cv2.GaussianBlur(rng.random((256, 256)).astype(np.float32), (0, 0), 2)
    ours = warp(picture, resize_matrix(0.5), 128, 128)
    theirs = interpolate(
        torch.from_numpy(picture)[None, None], scale_factor=0.5, mode="bicubic", antialias=True
    )[0, 0].numpy()
    assert np.abs(ours - theirs)[4:-4, 4:-4].max() < 0.02
