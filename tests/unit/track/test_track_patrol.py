"""Where to look next, and the geometry of regions and views: no models."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from crsr_video.imaging.geometry import TEMPLATE, apply
from crsr_video.track.detect import Look
from crsr_video.track.landmarks import REGION_PER_FACE, region_around
from crsr_video.track.patrol import Patrol
from crsr_video.track.pyramid import levels, tiles, whole
from crsr_video.track.view import Region, View, picture, view_of
from tests.support.tracking import astronaut, frame_of


def view_sized(width, height):
    return View(float(width), float(height), np.eye(2, 3), np.eye(2, 3))


SIZES = [(640, 480), (1920, 1080), (480, 640), (3840, 2160), (100, 100), (2000, 200)]


@pytest.mark.parametrize("size", SIZES)
def test_every_face_is_whole_and_large_enough_in_some_tile(size, rng):
    pyramid = [tile for level in levels(view_sized(*size), 16.0) for tile in level]
    sides = np.array([tile.side for tile in pyramid])
    boxes = np.array([tile.box for tile in pyramid])
    boxes[0] = [-np.inf, -np.inf, np.inf, np.inf]  # all there is
    width = np.geomspace(16, max(16, min(size) / 2), 400)
    x, y = (rng.uniform(0, n - 1, 400) for n in size)
    for w, centre in zip(width, np.stack([x, y], 1), strict=True):
        edge = np.minimum(centre, np.array(size) - 1 - centre) + 0.5  # a face is cut by the frame
        half = np.minimum(w / 2, edge) - 1e-6
        inside = (boxes[:, :2] <= centre - half).all(1) & (boxes[:, 2:] >= centre + half).all(1)
        assert w / sides[inside].min() >= 0.079


def test_tiles_cover_the_frame():
    boxes = np.array([tile.box for tile in tiles(view_sized(640, 480), 200)])
    np.testing.assert_allclose(boxes[:, :2].min(0), -0.5)
    np.testing.assert_allclose(boxes[:, 2:].max(0), [639.5, 479.5])


@pytest.mark.parametrize("size", [(8192, 16), (1, 16384), (1, 1)])
def test_a_strip_is_not_cut_to_dust(size):
    assert sum(map(len, levels(view_sized(*size), 16.0))) < 300


def test_scene_begins_with_a_look_at_everything():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    looks = Patrol(12).begin(view, luma, 0)
    assert looks[:2] == [Look(whole(view)), Look(whole(view), "short_range")]
    later = Patrol(12)
    later.begin(view, luma, 0)
    rest = later.next(view, luma, 1)
    seen = [look.region for look in looks[2:] + rest if look.model == "full_range"]
    assert seen == [tile for level in levels(view, 16.0)[1:] for tile in level]


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (3840, 2160)])
def test_first_sweep_is_spread_over_frames(size):
    view, luma = view_sized(*size), np.zeros((36, 64), np.float32)
    patrol = Patrol(12)
    sweep = [patrol.begin(view, luma, 0), *(patrol.next(view, luma, i) for i in range(1, 40))]
    assert max(map(cost, sweep)) <= 16
    # The large tiles come first, so that large faces need not wait.
    tiles_first = [look.region.side for looks in sweep for look in looks if square(look, view)]
    full = len([tile for level in levels(view, 16.0)[1:] for tile in level])
    assert tiles_first[:full] == sorted(tiles_first[:full], reverse=True)
    assert len(tiles_first) >= full


def square(look, view):
    return look.region != whole(view)


def cost(looks):
    """In looks of the full-range model."""
    return sum(1.0 if look.model == "full_range" else 0.4 for look in looks)


def begun(view, luma, index=0):
    """A patrol that has seen every tile with both models."""
    patrol = Patrol(12)
    patrol.begin(view, luma, index)
    for later in range(index + 1, index + 241):
        patrol.next(view, luma, later)
    return patrol


def test_still_scene_needs_few_looks():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    patrol = begun(view, luma)
    looks = [look for index in range(241, 301) for look in patrol.next(view, luma, index)]
    assert len([look for look in looks if look.region == whole(view)]) == 7
    assert len(looks) < 60


def test_tile_that_changes_is_looked_at_soon_and_once_by_each_model():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    patrol = begun(view, luma)
    patrol._beats = [beat for beat in patrol._beats if beat.tiles[0].side < 250]
    for beat in patrol._beats:
        beat.when[:] = 228
    changed = luma.copy()
    changed[44, 3] = 80  # in one tile only
    looks = [
        (index, look)
        for index in range(241, 264)
        for look in patrol.next(view, changed, index)
        if square(look, view)
    ]
    assert sorted(look.model for _, look in looks) == ["full_range", "short_range"]
    assert len({look.region for _, look in looks}) == 1
    assert all(look.region.x < 120 and look.region.y > 360 for _, look in looks)
    assert max(index for index, _ in looks) < 252


def test_what_goes_on_changing_is_not_looked_at_all_the_time(rng):
    view, luma = view_sized(1920, 1080), np.zeros((36, 64), np.float32)
    patrol = begun(view, luma)
    frames: dict[Look, list[int]] = {}
    for index in range(241, 400):
        changed = luma.copy()
        changed[20:22, 28:30] = rng.uniform(0, 255)
        for look in patrol.next(view, changed, index):
            if square(look, view):
                frames.setdefault(look, []).append(index)
    again = np.concatenate([np.diff(seen) for seen in frames.values()])
    assert len(again) > 20
    assert 12 <= again.min() < 30


def textured(rng):
    """A scene that is larger than a thumbnail, and as smooth as they are."""
    noise = rng.uniform(0, 255, (96, 128)).astype(np.float32)
    return 3 * cv2.GaussianBlur(noise, (0, 0), 2) - 250


def drawn(x, scene):
    """A thumbnail of a part of the scene that begins at (x, 20)."""
    shift = np.array([[1.0, 0, -x], [0, 1.0, -20]])
    return cv2.warpAffine(scene, shift, (64, 36), flags=cv2.INTER_LINEAR)


def looks_inside(patrol, view, film):
    """How many tiles away from the rim, where a moving camera shows what is new, are looked at."""
    looks = [look for i, luma in enumerate(film) for look in patrol.next(view, luma, 241 + i)]
    inner = np.array([200, 200, view.width - 201, view.height - 201])
    return sum(
        bool((look.region.box[:2] > inner[:2]).all() and (look.region.box[2:] < inner[2:]).all())
        for look in looks
        if square(look, view)
    )


def test_what_the_camera_only_moves_about_is_no_change(rng):
    view, scene = view_sized(1920, 1080), textured(rng)
    pan = [drawn(20 - 0.1 * i, scene) for i in range(60)]
    with_camera = looks_inside(begun(view, drawn(20, scene)), view, pan)
    apart = [np.where(np.arange(36)[:, None] % 12 < 6, pan[i], pan[0]) for i in range(60)]
    by_itself = looks_inside(begun(view, drawn(20, scene)), view, apart)
    assert with_camera < by_itself / 3


def test_what_changes_on_a_known_face_is_left_to_the_tracker():
    view, luma = view_sized(640, 480), np.zeros((48, 64), np.float32)
    known = [Region(32.0, 445.0, 60.0, 60.0)]
    changed = luma.copy()
    changed[43:46, 2:5] = 80

    def looks_at(known):
        patrol = begun(view, luma)
        for beat in patrol._beats:
            beat.when[:] = 240
        frames = [patrol.next(view, changed, i, known) for i in range(241, 264)]
        return [look for looks in frames for look in looks if square(look, view)]

    assert looks_at(known) == []
    assert looks_at([])


@pytest.mark.parametrize("size, most", [((640, 480), 0.6), ((1920, 1080), 2.5)])
def test_every_tile_has_its_turn_when_all_changes(size, most, rng):
    view = view_sized(*size)
    patrol = Patrol(8)
    looks = patrol.begin(view, np.zeros((36, 64), np.float32), 0)
    count = 600
    for index in range(1, count):
        luma = rng.uniform(0, 255, (36, 64)).astype(np.float32)
        looks += patrol.next(view, luma, index)
    pyramid = [tile for level in levels(view, 16.0)[1:] for tile in level]
    for model in ("full_range", "short_range"):
        assert {look.region for look in looks if look.model == model} >= set(pyramid)
    assert cost(looks) / count < most


def test_inside_a_known_face_there_is_no_other():
    view, luma = view_sized(1920, 1080), np.zeros((36, 64), np.float32)
    face = Region(960, 540, 700, 700)

    def looks(known):
        patrol = Patrol(12)
        patrol.begin(view, luma, 0)
        return [look.region for i in range(1, 40) for look in patrol.next(view, luma, i, known)]

    def inside(tile):
        return max(abs(tile.x - 960), abs(tile.y - 540)) + tile.side / 2 <= 350

    assert any(map(inside, looks([])))
    assert not any(map(inside, looks([face])))


def test_same_pictures_same_looks(rng):
    view = view_sized(1280, 720)
    film = rng.uniform(0, 255, (40, 36, 64)).astype(np.float32)

    def looks():
        patrol = Patrol(12)
        first = patrol.begin(view, film[0], 5)
        return [first, *(patrol.next(view, luma, 5 + i) for i, luma in enumerate(film) if i)]

    assert looks() == looks()


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
