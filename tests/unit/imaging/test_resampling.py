from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from crsr_video.imaging.colour import MATRICES
from crsr_video.imaging.geometry import apply, compose, invert, resize_matrix
from crsr_video.imaging.resampling import plane_from_frame, preview, sample
from tests.support.frames import (
    ALL,
    LAYOUTS,
    codes_of,
    flat_frame,
    frame_of,
    make_frame,
    plane_shapes,
    positions,
)

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
    """Return a colour as a frame of this layout shows it."""
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
    """The colour grows to the right and down, and is drawn at each plane's sample positions."""
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
def test_preview_is_upright_and_shows_luma(name, rotation):
    frame = quartered(name, rotation=rotation)
    picture = preview(frame, 24)
    assert picture.dtype == np.float32
    assert picture.flags.c_contiguous
    kr, kb = MATRICES[frame.layout.matrix if frame.layout.family == "yuv" else "bt709"]
    colours = [[seen(COLOURS[lower, right], frame.layout) for right in (0, 1)] for lower in (0, 1)]
    luma = np.rot90(np.array(colours) @ (kr, 1 - kr - kb, kb), rotation // 90)
    rows, columns = picture.shape
    for y, x in np.ndindex(2, 2):
        place = picture[(rows - 1) * (2 * y + 1) // 4, (columns - 1) * (2 * x + 1) // 4]
        assert place == pytest.approx(luma[y, x], abs=0.02)


def test_preview_has_square_pixels():
    frame = flat_frame("yuv420p", 576, 720, (0.5, 0.5, 0.5))
    assert preview(replace(frame, sample_aspect=Fraction(64, 45)), 256).shape == (144, 256)


def test_preview_never_enlarges():
    assert preview(flat_frame("gray", 20, 30, (0.5, 0.5, 0.5)), 640).shape == (20, 30)


def test_preview_of_every_third_row():
    luma = np.zeros((60, 90))
    luma[::3] = 255
    assert preview(frame_of("gray", luma), 30, every=3).min() > 0.99


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 3)])
def test_preview_of_tiny_frames(shape, rng):
    picture = preview(make_frame("yuv420p", *shape, rng), 32)
    assert min(picture.shape) >= 1
    assert np.isfinite(picture).all()


def test_plane_from_frame_is_trivial_for_luma_and_rgb():
    assert np.array_equal(plane_from_frame(LAYOUTS["yuv420p"], 0), np.eye(2, 3))
    assert np.array_equal(plane_from_frame(LAYOUTS["rgb24"], 2), np.eye(2, 3))
    assert plane_from_frame(LAYOUTS["yuv420p"], 2)[0, 0] == 0.5
