"""Every picture operation gives the same with torch as with NumPy and OpenCV."""

import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging.geometry import DegenerateFaceError, compose
from crsr_video.imaging.torch_warping import resampled, view
from crsr_video.imaging.warping import warp
from tests.support.frames import clutter
from tests.support.operations import NUMPY, TORCH, array

EXACT = 1e-3
"""Tolerance of code values up to 255: sums are added up in another order."""


def turned(scale, degrees, x, y, side):
    """Return the transform to a target of `side` pixels that shows (x, y), enlarged by `scale`."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    middle = (side - 1) / 2
    turn = np.array([[c, -s, middle], [s, c, middle]])
    return compose(turn, [[1.0, 0.0, -x], [0.0, 1.0, -y]])


def on_device(pictures, matrices, side):
    """Return each (H, W) picture under its transform. Sizes may differ."""
    sizes = [(picture.shape[1], picture.shape[0]) for picture in pictures]
    views = [view(size, matrix, side) for size, matrix in zip(sizes, matrices, strict=True)]
    host = np.full((len(pictures), 1, *np.max([p.shape for p in pictures], 0)), 77, np.float32)
    for index, picture in enumerate(pictures):
        host[index, 0, : picture.shape[0], : picture.shape[1]] = picture
    return resampled(torch.from_numpy(host), sizes, views, (side, side), TORCH.as_floats)[
        :, 0
    ].numpy()


@pytest.mark.parametrize("scale", [0.11, 0.3, 0.45, 0.5, 0.7, 1.0, 1.9])
def test_pictures_are_resampled_as_on_the_processor(scale, rng):
    shapes = [(150, 210), (97, 60), (31, 33), (1, 1), (2, 300)]
    pictures = [(255 * clutter(shape, rng)).astype(np.float32) for shape in shapes]
    # In the middle, over an edge, and wholly outside.
    matrices = [
        turned(scale, 0, 100, 70, 24),
        turned(scale, 33, 58, 20, 24),
        turned(scale * 1.3, -100, 10, 12, 24),
        turned(scale, 7, 0, 0, 24),
        turned(scale, 180, -400, 900, 24),
    ]
    done = on_device(pictures, matrices, 24)
    for picture, matrix, new in zip(pictures, matrices, done, strict=True):
        assert np.abs(new - warp(picture, matrix, 24, 24)).max() < EXACT


def test_a_picture_is_seen_the_same_in_any_company(rng):
    picture = (255 * clutter((60, 50), rng)).astype(np.float32)
    large = (255 * clutter((200, 180), rng)).astype(np.float32)
    here, there = turned(0.6, 20, 25, 30, 20), turned(0.2, 0, 90, 90, 20)
    (alone,) = on_device([picture], [here], 20)
    assert np.abs(on_device([large, picture], [there, here], 20)[1] - alone).max() < EXACT


def test_a_picture_seen_as_it_is_stays_as_it_is(rng):
    picture = (65535 * clutter((40, 40), rng)).astype(np.float32)
    (done,) = on_device([picture], [np.eye(2, 3)], 40)
    assert np.abs(done - picture).max() < 0.2


def test_a_shift_of_a_tenth_of_a_pixel_is_seen():
    # This cubic kernel bends a ramp of 3 by a tenth.
    y, x = np.mgrid[:40, :40].astype(np.float32)
    moved = turned(1.0, 0, 19.6, 19.5, 20)
    (done,) = on_device([3 * x + y], [moved], 20)
    assert np.allclose(done[5:15, 5:15], (3 * x + y)[15:25, 15:25] + 0.3, atol=0.15)


def test_a_singular_transform_is_refused():
    with pytest.raises(DegenerateFaceError):
        view((10, 10), np.zeros((2, 3)), 8)


def same(operation, *pictures, tolerance=1e-5):
    """Assert that both implementations give the same for pictures (N, C, H, W)."""
    theirs = np.concatenate([operation(NUMPY, *(p[i : i + 1] for p in pictures)) for i in range(3)])
    ours = array(operation(TORCH, *map(torch.from_numpy, pictures)))
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() < tolerance


@pytest.fixture(params=[1, 3, 8, 33])
def square(request, rng):
    return rng.random((3, 3, request.param, request.param), np.float32)


@pytest.mark.parametrize("kernel", ["cubic", "linear", "area"])
@pytest.mark.parametrize("factor", [4, 0.5])
def test_pictures_are_resized_alike(square, kernel, factor):
    side = max(1, int(square.shape[-1] * factor))
    assert same(lambda o, x: o.resize(x, side, kernel), square)


@pytest.mark.parametrize("deviation", [0.7, 1.3, 4.0])
def test_pictures_are_blurred_alike(square, deviation):
    assert same(lambda o, x: o.gaussian_blur(x, deviation), square)
    assert same(lambda o, x: o.box_blur(x), square)
    kernel = np.array([0.1, 0.2, 0.4, 0.2, 0.1], np.float32)
    assert same(lambda o, x: o.filter(x, kernel), square)


def test_interleaved_pictures_give_what_planar_ones_give(square):
    interleaved = np.ascontiguousarray(square[:1].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for operation in (lambda x: NUMPY.resize(x, 20, "cubic"), NUMPY.box_blur):
        assert np.abs(operation(interleaved) - operation(square[:1])).max() < 1e-6


def test_arithmetic_gives_the_same_in_both_implementations(square):
    matrix = np.array([[0.2, 0.5, 0.3], [1.0, -1.0, 0.1]], np.float32)
    assert same(lambda o, x: o.mix_channels(x, matrix), square)
    assert same(lambda o, x: o.luma(x), square)
    assert same(lambda o, x: o.largest_channel(x), square)
    assert same(lambda o, x: o.exponential(-x), square)
    assert same(lambda o, x: o.add_scaled(x, [-0.7] * len(x), 1 - x), square)


def test_pictures_are_displaced_alike(square, rng):
    flow = rng.uniform(-0.4, 0.4, (3, 2, *square.shape[-2:])).astype(np.float32)
    assert same(lambda o, x, f: o.displace(x, f), square, flow, tolerance=1e-3)


def test_displaced_pictures_are_averaged_alike(square, rng):
    flow = rng.uniform(-0.1, 0.1, (3, 2, 16, 16)).astype(np.float32)
    weights = rng.random((3, 1, 16, 16), np.float32)
    assert same(
        lambda o, x, f, w: o.mean_displaced(x, [1 - x, x], [f, -f], [w, 1 - w]),
        square,
        flow,
        weights,
        tolerance=1e-3,
    )


@pytest.mark.parametrize("operations", [NUMPY, TORCH])
def test_flow_says_where_the_content_of_a_picture_lies_in_another(operations, rng):
    still = cv2.GaussianBlur(rng.random((96, 96, 3)).astype(np.float32), (0, 0), 2)
    still = (0.5 + 4 * (still - 0.5)).transpose(2, 0, 1)
    here, there = still[None, :, 16:80, 16:80], still[None, :, 14:78, 15:79]  # Down and right.
    onto, back = operations.flows(*(operations.stack([p[0]]) for p in (here, there)))
    for flow, sign in ((onto, 1), (back, -1)):
        x, y = (float(np.median(64 * array(flow)[0, axis, 16:48, 16:48])) for axis in (0, 1))
        assert (x, y) == pytest.approx((sign * 1, sign * 2), abs=0.1)
    moved = operations.displace(operations.stack([there[0]]), operations.resize(onto, 64, "area"))
    assert np.abs(array(moved) - here)[..., 8:-8, 8:-8].mean() < 0.01


def test_sums_and_medians_are_the_same_in_both_implementations(square):
    places = np.flatnonzero(square[0, 0].ravel() < 0.7).astype(np.float32)
    if len(places):
        assert same(lambda o, x: o.medians(x[:, :1], o.constant(lambda: places)), square)
    assert same(lambda o, x: o.sums(x), square, tolerance=1e-3)


def test_numbers_are_fetched_by_column():
    for operations in (NUMPY, TORCH):
        columns = [
            operations.as_floats([1, 2]),
            operations.as_floats([3, 4]),
            operations.as_floats([5, 6]),
        ]
        assert operations.fetch(columns).tolist() == [[1, 3, 5], [2, 4, 6]]


def test_a_constant_is_made_from_its_arguments():
    def filled(value):
        return np.full((2, 2), value, np.float32)

    for operations in (NUMPY, TORCH):
        assert array(operations.constant(filled, 3)).tolist() == [[3, 3], [3, 3]]
        assert array(operations.constant(filled, 4)).tolist() == [[4, 4], [4, 4]]


SIZES = [(40, 31), (12, 50), (1, 1)]


def padded(rng):
    """Return pictures of the given widths and heights in one batch with arbitrary padding."""
    return [rng.normal(0, 10, (1, 1, height, width)).astype(np.float32) for width, height in SIZES]


def batch_of(pictures):
    shape = np.max([p.shape for p in pictures], 0)
    batch = np.full((len(pictures), *shape[1:]), 77, np.float32)
    for index, picture in enumerate(pictures):
        batch[index, :, : picture.shape[2], : picture.shape[3]] = picture[0]
    return torch.from_numpy(batch)


def assert_close(batch, expected, tolerance=1e-4):
    for ours, theirs in zip(array(batch), expected, strict=True):
        height, width = theirs.shape[2:]
        assert np.abs(ours[:, :height, :width] - theirs[0]).max() < tolerance


@pytest.mark.parametrize("scales", [[0.5, 1.0, 0.3], [2.3, 0.9, 3.1]])
def test_pictures_of_any_size_are_band_limited_alike(scales, rng):
    pictures = padded(rng)
    expected = [
        NUMPY.low_pass(p, [scale], [size])
        for p, scale, size in zip(pictures, scales, SIZES, strict=True)
    ]
    assert_close(TORCH.low_pass(batch_of(pictures), scales, SIZES), expected)


def test_cells_are_averaged_and_spread_alike(rng):
    pictures, counts = padded(rng), [(9, 7), (3, 12), (1, 1)]
    cells = [
        NUMPY.cell_means(p, [size], [count])
        for p, size, count in zip(pictures, SIZES, counts, strict=True)
    ]
    ours = TORCH.cell_means(batch_of(pictures), SIZES, counts)
    assert_close(ours, cells)
    spread = [
        NUMPY.enlarge_cells(c, [count], [size])
        for c, count, size in zip(cells, counts, SIZES, strict=True)
    ]
    assert_close(TORCH.enlarge_cells(ours, counts, SIZES), spread)


@pytest.mark.parametrize("scale", [0.2, 0.8, 1.7])
def test_layers_are_warped_alike(scale, rng):
    layers = [rng.random((3, c, 30, 40), np.float32) for c in (1, 3, 2)]
    transforms = [turned(scale, angle, 20, 15, 25) for angle in (0, 30, 200)]
    sizes = [(25, 20), (9, 25), (25, 25)]
    ours = TORCH.warp([torch.from_numpy(layer) for layer in layers], transforms, sizes)
    for number, (transform, size) in enumerate(zip(transforms, sizes, strict=True)):
        theirs = NUMPY.warp([layer[number : number + 1] for layer in layers], [transform], [size])
        for one, other in zip(ours, theirs, strict=True):
            assert np.abs(array(one)[number, :, : size[1], : size[0]] - other[0]).max() < 2e-5


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("operations", [NUMPY, TORCH], ids=["numpy", "torch"])
def test_codes_are_changed_in_place_rounded_once_and_clipped(operations, bits, rng):
    kind, top = (np.uint8 if bits == 8 else np.uint16), 2**bits - 1
    plane = rng.integers(0, 2**bits, (9, 14)).astype(kind)
    frame = np.zeros((20, 20), kind)
    view = frame[4:13, 3:17]
    view[...] = plane
    before = operations.planes([[view]])
    assert np.array_equal(array(before)[0, 0], plane)
    change = rng.normal(0, 0.3 * top, plane.shape).astype(np.float32)
    given = change[None, None] if operations is NUMPY else torch.from_numpy(change[None, None])
    operations.add_to_planes([[view]], before, given, bits)()
    assert np.array_equal(view, np.clip(np.rint(plane + change), 0, top).astype(kind))
    assert frame.sum() == view.sum()


def test_pictures_of_a_kind_go_together_and_large_ones_in_small_batches():
    sides = [100, 60, 120, 4000, 3000, 64, 65]
    parts = TORCH.batches(["one"] * 7, sides)
    assert sorted(i for part in parts for i in part) == list(range(7))
    assert all(max(sides[i] for i in p) <= 2 * min(sides[i] for i in p) for p in parts)
    assert [3] in parts
    assert [4] in parts
    assert max(map(len, TORCH.batches(["one"] * 50, [200] * 50))) == 16
    assert TORCH.batches(["one", "other", "one"], [8, 8, 8]) == [[0, 2], [1]]
    assert NUMPY.batches(["one"] * 3, [8] * 3) == [[0], [1], [2]]
