from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from helpers import (
    ALL,
    LAYOUTS,
    codes_of,
    flat_frame,
    frame_of,
    make_frame,
    plane_shapes,
    positions,
)
from helpers import same_planes as same

from crsr_video.colour import delta_to_codes
from crsr_video.geometry import apply, compose, invert, resize_matrix
from crsr_video.sampling import add, plane_from_frame, preview, sample

COLOURS = {
    (0, 0): (0.8, 0.2, 0.3),
    (0, 1): (0.1, 0.7, 0.2),
    (1, 0): (0.2, 0.3, 0.9),
    (1, 1): (0.6, 0.6, 0.6),
}
"""Of the quarters of a frame, by (lower, right)."""


def quartered(name, height=64, width=96, **fields):
    layout = LAYOUTS[name]
    planes = []
    for index, (rows, columns) in enumerate(plane_shapes(layout, height, width)):
        plane = np.zeros((rows, columns))
        for (lower, right), colour in COLOURS.items():
            code = codes_of(colour, layout)[index]
            plane[lower * rows // 2 :, right * columns // 2 :] = code
        # The loop above goes from the upper left on, so each quarter overwrites the ones before.
        plane[: rows // 2, columns // 2 :] = codes_of(COLOURS[0, 1], layout)[index]
        planes.append(plane)
    return frame_of(layout, *planes, **fields)


def seen(colour, layout):
    """A colour as a frame of this layout shows it."""
    if layout.family == "gray":
        return np.full(3, 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])
    return np.array(colour)


@pytest.mark.parametrize("name", ALL)
def test_sample_shows_the_colours_of_the_frame(name):
    frame = quartered(name)
    # One pixel for every 4 of the frame, and looked at farther from the edges than kernels reach.
    picture = sample(frame, resize_matrix(1 / 4), 24, 16)
    assert picture.shape == (16, 24, 3)
    assert picture.dtype == np.float32
    slack = 3 / (2**frame.layout.bits - 1)
    for (lower, right), colour in COLOURS.items():
        found = picture[1 + 13 * lower, 2 + 19 * right]
        assert np.abs(found - seen(colour, frame.layout)).max() < slack, (lower, right)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [0.4, 1, 2.5])
def test_sample_finds_every_component_at_the_same_place(name, scale):
    """A colour that grows to the right and down, drawn into each plane where its samples lie."""
    layout = LAYOUTS[name]
    height, width = 48, 80
    low, high = np.array([0.3, 0.4, 0.5]), np.array([0.6, 0.5, 0.4])
    planes = []
    for index, shape in enumerate(plane_shapes(layout, height, width)):
        x, y = positions(layout, index, shape)
        share = (x + y) / (height + width)
        a, b = codes_of(low, layout)[index], codes_of(high, layout)[index]
        planes.append(a + (b - a) * share)
    frame = frame_of(replace(layout, bits=16), *(p * 2 ** (16 - layout.bits) for p in planes))
    if layout.full_range:  # whose top is 2**bits - 1
        top = (2**16 - 1) / (2**layout.bits - 1)
        frame = frame_of(
            replace(layout, bits=16),
            planes[0] * top,
            *((p - 2 ** (layout.bits - 1)) * top + 2**15 for p in planes[1:])
            if layout.family == "yuv"
            else (p * top for p in planes[1:]),
        )
    matrix = compose(np.array([[scale, 0, 6.0], [0, scale, 5]]), [[1, 0, -40.2], [0, 1, -24.7]])
    found = sample(frame, matrix, 13, 11)
    y, x = np.mgrid[:11, :13]
    source = apply(invert(matrix), np.stack([x, y], -1).reshape(-1, 2)).reshape(11, 13, 2)
    share = source.sum(-1, keepdims=True) / (height + width)
    expected = low + (high - low) * share
    if layout.family == "gray":
        expected = (expected @ [0.2126, 0.7152, 0.0722])[..., None]
    # A colour step per pixel is 0.3 / 128; chroma may be off by a twentieth of its own pixels.
    pixels = 0.15 * max(1, 1 / scale) * (1 << layout.x_shift)
    assert np.abs(found - expected).max() < pixels * 0.6 / (height + width)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_preview_is_upright_and_says_where_its_pixels_lie(name, rotation):
    frame = quartered(name, rotation=rotation)
    picture, frame_from_preview = preview(frame, 24)
    plain, _ = preview(replace(frame, rotation=0), 24)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert np.array_equal(picture, np.rot90(plain, rotation // 90))
    rows, columns = picture.shape[:2]
    for x, y in [(2, 2), (columns - 3, 3), (3, rows - 3), (columns - 2, rows - 4)]:
        fx, fy = apply(frame_from_preview, [[x, y]])[0]
        colour = COLOURS[int(fy > 31.5), int(fx > 47.5)]
        assert np.abs(picture[y, x] / 255 - seen(colour, frame.layout)).max() < 0.02


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_preview_matrix_maps_a_marked_pixel_to_its_place(rotation):
    luma = np.zeros((60, 90))
    luma[40:44, 12:16] = 255
    frame = frame_of("gray", luma, rotation=rotation)
    picture, frame_from_preview = preview(frame, 45)
    weight = picture[..., 0] / picture[..., 0].sum()
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    centre = [[(weight * x).sum(), (weight * y).sum()]]
    assert apply(frame_from_preview, centre)[0] == pytest.approx((13.5, 41.5), abs=1e-6)


def test_preview_has_square_pixels():
    frame = flat_frame("yuv420p", 576, 720, (0.5, 0.5, 0.5))
    picture, matrix = preview(replace(frame, sample_aspect=Fraction(64, 45)), 256)
    assert picture.shape[:2] == (144, 256)
    far_corner = apply(matrix, [[255.5, 143.5]])[0]
    assert far_corner == pytest.approx((719.5, 575.5))


def test_preview_never_enlarges():
    picture, matrix = preview(flat_frame("gray", 20, 30, (0.5, 0.5, 0.5)), 640)
    assert picture.shape == (20, 30, 3)
    assert matrix == pytest.approx(np.eye(2, 3))


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 3)])
def test_preview_of_tiny_frames(shape, rng):
    picture, matrix = preview(make_frame("yuv420p", *shape, rng), 32)
    assert min(picture.shape[:2]) >= 1
    assert np.isfinite(matrix).all()


def writable(frame):
    return tuple(plane.copy() for plane in frame.components)


@pytest.mark.parametrize("name", ALL)
def test_adding_nothing_changes_no_bit(name, rng):
    frame = make_frame(name, 37, 51, rng)
    planes = writable(frame)
    matrix = compose(resize_matrix(0.7), np.array([[0.9, -0.3, 4], [0.3, 0.9, -7]]))
    add(planes, frame.layout, np.zeros((32, 32, 3), np.float32), matrix)
    assert same(frame, frame.with_components(planes))


@pytest.mark.parametrize("name", ALL)
def test_adding_changes_only_what_the_crop_covers(name, rng):
    frame = make_frame(name, 64, 96, rng)
    planes = writable(frame)
    crop_from_frame = np.array([[0.9, -0.3, -10.0], [0.3, 0.9, -22]])
    size = 32
    delta = np.full((size, size, 3), 0.2, np.float32)
    delta[[0, -1]] = 0
    delta[:, [0, -1]] = 0
    add(planes, frame.layout, delta, crop_from_frame)
    for index, (old, new) in enumerate(zip(frame.components, planes, strict=True)):
        x, y = positions(frame.layout, index, old.shape)
        points = apply(crop_from_frame, np.stack([x, y], -1).reshape(-1, 2)).reshape(*x.shape, 2)
        outside = ((points < -1) | (points > size)).any(-1)
        assert outside.any()
        assert np.array_equal(old[outside], new[outside])
        if index == 0:
            inside = ((points > 3) & (points < size - 4)).all(-1)
            assert (old[inside] != new[inside]).mean() > 0.8  # the brightest cannot grow


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [0.5, 1.3, 3])
def test_adding_puts_every_component_at_the_same_place(name, scale):
    """Against the change's own formula, evaluated where each sample lies."""
    layout = replace(LAYOUTS[name], bits=16)
    height, width, size = 64, 96, 64
    frame = frame_of(layout, *(np.full(s, 30000) for s in plane_shapes(layout, height, width)))
    planes = writable(frame)
    colour = np.array([0.3, -0.1, 0.2], np.float32)
    to_crop = np.array([[1.0, 0, 31.5], [0, 1, 31.5]])
    from_centre = np.array([[1.0, 0, -45.3], [0, 1, -33.8]])
    crop_from_frame = compose(to_crop, compose(np.diag([scale, scale, 0])[:2], from_centre))

    def bump(x, y):
        return np.exp(-((x - 31.5) ** 2 + (y - 31.5) ** 2) / 2 / 9.0**2)

    gy, gx = np.mgrid[:size, :size]
    delta = (bump(gx, gy)[..., None] * colour).astype(np.float32)
    add(planes, layout, delta, crop_from_frame)
    codes = delta_to_codes(colour, layout)
    for index, (old, new) in enumerate(zip(frame.components, planes, strict=True)):
        x, y = positions(layout, index, old.shape)
        points = apply(crop_from_frame, np.stack([x, y], -1).reshape(-1, 2)).reshape(*x.shape, 2)
        expected = bump(points[..., 0], points[..., 1]) * codes[index]
        found = new.astype(float) - old
        inside = ((points > 1) & (points < size - 2)).all(-1)
        # The steepest slope is 0.6/9 of the height for a crop pixel; a frame pixel has `scale`.
        # Shrinking blurs a little, which flattens the top; a shift by half a pixel would be seen.
        unit = abs(codes[index]) * 0.607 / 9
        step = scale * (1 << (layout.x_shift if index else 0))
        blur = abs(codes[index]) * 0.35 * step**2 / 6 / 81
        assert np.abs(found - expected)[inside].max() < 0.12 * unit * max(1, step) + blur + 1
        wanted, got = (
            [(np.where(inside, change, 0) * axis).sum() / change[inside].sum() for axis in (x, y)]
            for change in (expected, found)
        )
        assert got == pytest.approx(wanted, abs=0.08 * (1 << layout.x_shift))


def test_adding_stays_in_the_range_of_codes():
    for name, code in (("yuv420p10", 1023), ("gray", 255), ("gbrp16", 65535)):
        layout = LAYOUTS[name]
        shapes = plane_shapes(layout, 32, 32)
        for start, delta in ((code, 0.9), (0, -0.9)):
            planes = writable(frame_of(layout, *(np.full(s, start) for s in shapes)))
            add(planes, layout, np.full((32, 32, 3), delta, np.float32), np.eye(2, 3))
            assert (planes[0] == start).all()


@pytest.mark.parametrize(
    "shift", [(500.0, 0.0), (-500.0, 0.0), (0.0, 500.0), (0.0, -500.0), (1e7, 1e7)]
)
def test_adding_beyond_the_frame_does_nothing(shift, rng):
    frame = make_frame("yuv420p", 40, 60, rng)
    planes = writable(frame)
    matrix = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]])
    add(planes, frame.layout, np.full((32, 32, 3), 0.5, np.float32), matrix)
    assert same(frame, frame.with_components(planes))


@pytest.mark.parametrize("corner", [(-16, -16), (44, -16), (-16, 24), (44, 24)])
def test_adding_over_the_edge_changes_the_part_inside(corner, rng):
    frame = make_frame("gray", 40, 60, rng)
    planes = writable(frame)
    matrix = np.array([[1.0, 0, -corner[0]], [0, 1, -corner[1]]])
    delta = np.pad(np.full((30, 30, 3), 20 / 255, np.float32), ((1, 1), (1, 1), (0, 0)))
    add(planes, frame.layout, delta, matrix)
    x, y = positions(frame.layout, 0, (40, 60))
    column, row = x - corner[0], y - corner[1]
    covered = (column > 0) & (column < 31) & (row > 0) & (row < 31)
    expected = frame.components[0] + 20 * covered.astype(int)
    assert np.array_equal(planes[0], np.clip(expected, 0, 255))


def test_plane_from_frame_is_trivial_for_luma_and_rgb():
    assert np.array_equal(plane_from_frame(LAYOUTS["yuv420p"], 0), np.eye(2, 3))
    assert np.array_equal(plane_from_frame(LAYOUTS["rgb24"], 2), np.eye(2, 3))
    assert plane_from_frame(LAYOUTS["yuv420p"], 2)[0, 0] == 0.5
