"""Regions, views and tiles have the right places and sizes."""

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from crsr_video.imaging.geometry import TEMPLATE, apply
from crsr_video.track.landmarks import REGION_PER_FACE, region_around
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import (
    Region,
    enlarged_region,
    face_region,
    square,
    tile_levels,
    tiles,
    view_of,
)
from tests.support.frames import make_face, make_frame
from tests.support.tracking import astronaut, frame_of, view_sized

SIZES = [(640, 480), (1920, 1080), (480, 640), (3840, 2160), (100, 100), (2000, 200)]


@pytest.mark.parametrize("size", SIZES)
def test_every_face_is_complete_and_large_enough_in_some_tile(size, rng):
    view = view_sized(*size)
    pyramid = [view.whole, *chain.from_iterable(tile_levels(view, 16.0))]
    sides = np.array([tile.side for tile in pyramid])
    boxes = np.array([tile.box for tile in pyramid])
    boxes[0] = [-np.inf, -np.inf, np.inf, np.inf]  # The whole frame contains every face.
    width = np.geomspace(16, max(16, min(size) / 2), 400)
    x, y = (rng.uniform(0, n - 1, 400) for n in size)
    for w, centre in zip(width, np.stack([x, y], 1), strict=True):
        # The frame may cut a face.
        edge = np.minimum(centre, np.array(size) - 1 - centre) + 0.5
        half = np.minimum(w / 2, edge) - 1e-6
        inside = (boxes[:, :2] <= centre - half).all(1) & (boxes[:, 2:] >= centre + half).all(1)
        assert w / sides[inside].min() >= 0.079


def test_tiles_cover_the_frame():
    boxes = np.array([tile.box for tile in tiles(view_sized(640, 480), 200)])
    np.testing.assert_allclose(boxes[:, :2].min(0), -0.5)
    np.testing.assert_allclose(boxes[:, 2:].max(0), [639.5, 479.5])


@pytest.mark.parametrize("size", [(8192, 16), (1, 16384), (1, 1)])
def test_the_number_of_tiles_of_a_strip_is_bounded(size):
    assert sum(map(len, tile_levels(view_sized(*size), 16.0))) < 300


def test_the_picture_of_a_region_is_upright_and_centred():
    region = Region(100.0, 50.0, 60.0, 60.0, 0.3)
    along = np.array([np.cos(0.3), np.sin(0.3)])
    matrix = region.picture_from_upright(192)
    points = apply(matrix, np.array([(100, 50), (100, 50) + 30 * along, (100, 50) - 30 * along]))
    np.testing.assert_allclose(points, [[95.5, 95.5], [191.5, 95.5], [-0.5, 95.5]], atol=1e-9)


def test_the_region_around_a_tilted_face_is_tilted():
    tilt = np.radians(25)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    points = (TEMPLATE - 0.5) * 100 @ turn + (300, 200)
    region = region_around(points, points[0], points[1])
    assert region.angle == pytest.approx(tilt)
    spread = TEMPLATE.max(0) - TEMPLATE.min(0)
    assert region.side == pytest.approx(REGION_PER_FACE * 100 * spread.max())
    middle = ((TEMPLATE.max(0) + TEMPLATE.min(0)) / 2 - 0.5) * 100 @ turn + (300, 200)
    np.testing.assert_allclose(region.centre, middle)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_view_is_upright_whatever_the_rotation(turns):
    upright = astronaut()
    frame = frame_of(np.rot90(upright, -turns), rotation=90 * turns)
    view = view_of(frame)
    assert (view.width, view.height) == (320, 240)
    np.testing.assert_allclose(picture(frame, view.whole, 320) * 255, upright, atol=0.51)
    corner = apply(view.upright_from_frame, apply(view.frame_from_upright, [[3.0, 7.0]]))
    np.testing.assert_allclose(corner, [[3, 7]], atol=1e-9)


def test_the_view_of_wide_pixels_has_square_ones():
    view = view_of(frame_of(np.zeros((100, 100, 3), np.uint8), aspect=Fraction(3, 2)))
    assert (view.width, view.height) == (150, 100)
    np.testing.assert_allclose(
        apply(view.upright_from_frame, [[-0.5, -0.5], [99.5, 99.5]]), [[-0.5, -0.5], [149.5, 99.5]]
    )


@pytest.mark.parametrize(("x", "y"), [(5, 5), (155, 115), (80, 60), (-30, 60)])
def test_the_region_around_a_face_lies_inside_the_frame(x, y):
    frame = make_frame("yuv420p", 120, 160, np.random.default_rng(1))
    region = face_region(frame, make_face(x, y, 60), 1.6)
    x0, y0, x1, y1 = region.box
    assert x0 >= -0.5 and y0 >= -0.5 and x1 <= 159.5 and y1 <= 119.5
    assert region.side == pytest.approx(1.6 * 60 / 1.9, rel=0.3)
    assert face_region(frame, make_face(x, y, 400), 1.6).side == 120


def test_an_enlarged_region_shows_the_same_part():
    assert enlarged_region(square(9.5, 4.5, 8), 2) == square(19.5, 9.5, 16)
