"""Where to look next, and the geometry of regions and views: no models."""

from fractions import Fraction

import numpy as np
import pytest
from track_helpers import astronaut, frame_of

from crsr_video.geometry import TEMPLATE, apply
from crsr_video.track.landmarks import REGION_PER_FACE, region_around
from crsr_video.track.patrol import Patrol, tiles, whole
from crsr_video.track.view import Region, View, picture, view_of


def view_sized(width, height):
    return View(float(width), float(height), np.eye(2, 3), np.eye(2, 3))


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (480, 640), (100, 100), (2000, 200)])
def test_tiles_cover_the_frame_and_overlap(size):
    view = view_sized(*size)
    boxes = np.array([tile.box for tile in tiles(view)])
    beyond = np.maximum(128 - np.array(size), 0) / 2  # of a frame smaller than the smallest tile
    np.testing.assert_allclose(boxes[:, :2].min(0), -0.5 - beyond)
    np.testing.assert_allclose(boxes[:, 2:].max(0), np.array(size) - 0.5 + beyond)
    side = boxes[0, 2] - boxes[0, 0]
    x, y = np.meshgrid(np.linspace(0, size[0] - 1, 40), np.linspace(0, size[1] - 1, 40))
    # A face a sixth as wide as a tile is whole in one, wherever it is.
    margin = np.minimum(side / 12, np.minimum.reduce([x, y, size[0] - 1 - x, size[1] - 1 - y]))
    inside = [
        (x - margin >= b[0]) & (x + margin <= b[2]) & (y - margin >= b[1]) & (y + margin <= b[3])
        for b in boxes
    ]
    assert np.any(inside, axis=0).all()


@pytest.mark.parametrize("size", [(8192, 16), (1, 16384), (1, 1)])
def test_a_strip_is_not_cut_to_dust(size):
    assert len(tiles(view_sized(*size))) < 200


def test_scene_begins_with_a_look_at_everything():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    looks = Patrol(12).begin(view, luma, 0)
    assert {look.model for look in looks if look.region == whole(view)} == {
        "full_range",
        "short_range",
    }
    assert [look.region for look in looks[2:]] == tiles(view)


def test_still_scene_needs_few_looks():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    patrol = Patrol(12)
    patrol.begin(view, luma, 0)
    looks = [look for index in range(1, 61) for look in patrol.next(view, luma, index)]
    assert [look.region for look in looks] == [whole(view)] * 5


def test_tile_that_changes_is_looked_at_soon_and_once():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    patrol = Patrol(12)
    patrol.begin(view, luma, 100)
    changed = luma.copy()
    changed[40:46, 2:8] = 80
    looks = [
        (index, look.region)
        for index in range(101, 112)
        for look in patrol.next(view, changed if index > 101 else luma, index)
    ]
    assert len(looks) == 1
    assert looks[0][0] <= 105 and looks[0][1].x < 320 and looks[0][1].y > 240


def test_every_tile_has_its_turn_when_all_changes(rng):
    view = view_sized(640, 480)
    patrol = Patrol(8)
    patrol.begin(view, np.zeros((48, 64), np.float32), 0)
    seen = set()
    for index in range(1, 60):
        luma = rng.uniform(0, 255, (48, 64)).astype(np.float32)
        looks = patrol.next(view, luma, index)
        assert len(looks) <= 1
        seen |= {(look.region.x, look.region.y) for look in looks}
    assert seen >= {(tile.x, tile.y) for tile in tiles(view)}


def test_region_picture_is_upright_and_centred():
    region = Region(100.0, 50.0, 60.0, 60.0, 0.3)
    along = np.array([np.cos(0.3), np.sin(0.3)])
    matrix = region.picture_from_upright(192)
    points = apply(matrix, np.array([(100, 50), (100, 50) + 30 * along, (100, 50) - 30 * along]))
    np.testing.assert_allclose(points, [[95.5, 95.5], [191.5, 95.5], [-0.5, 95.5]], atol=1e-9)


def test_region_around_a_tilted_face():
    tilt = np.radians(25)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    points = (TEMPLATE - 0.5) * 100 @ turn + (300, 200)
    region = region_around(points, points[0], points[1])
    assert region.angle == pytest.approx(tilt)
    spread = TEMPLATE.max(0) - TEMPLATE.min(0)
    assert region.side == pytest.approx(REGION_PER_FACE * 100 * spread.max())
    middle = ((TEMPLATE.max(0) + TEMPLATE.min(0)) / 2 - 0.5) * 100 @ turn + (300, 200)
    np.testing.assert_allclose((region.x, region.y), middle)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_view_is_upright_with_square_pixels(turns):
    upright = astronaut()
    stored = np.rot90(upright, -turns)
    frame = frame_of(stored, rotation=90 * turns)
    view = view_of(frame)
    assert (view.width, view.height) == (320, 240)
    shown = picture(frame, whole(view), 320)
    np.testing.assert_allclose(shown * 255, upright, atol=0.51)
    corner = apply(view.upright_from_frame, apply(view.frame_from_upright, [[3.0, 7.0]]))
    np.testing.assert_allclose(corner, [[3, 7]], atol=1e-9)


def test_view_of_wide_pixels():
    view = view_of(frame_of(np.zeros((100, 100, 3), np.uint8), aspect=Fraction(3, 2)))
    assert (view.width, view.height) == (150, 100)
    np.testing.assert_allclose(
        apply(view.upright_from_frame, [[-0.5, -0.5], [99.5, 99.5]]), [[-0.5, -0.5], [149.5, 99.5]]
    )
