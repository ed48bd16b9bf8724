"""Scene cuts and camera motion are measured on thumbnails."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from skimage import data

from crsr_video.track.scenes import (
    CameraPath,
    CutDetector,
    camera_shift,
    change,
    correlation,
    thumbnail,
)
from tests.support.tracking import astronaut, frame_of


def texture(rng, height=36, width=64, blur=4.0):
    noise = cv2.GaussianBlur(
        rng.normal(size=(3 * height, 3 * width)).astype(np.float32), (0, 0), blur
    )
    low, high = noise.min(), noise.max()
    return (noise - low) / (high - low) * 255


def cuts_of(pictures):
    detector = CutDetector()
    return [index for index, luma in enumerate(pictures) if detector.push(luma)]


def test_a_cut_between_different_scenes_is_found_in_its_frame(rng):
    a, b, c = (texture(rng, blur=2.0)[:36, :64] for _ in range(3))
    noisy = [
        p + rng.normal(0, 2, p.shape).astype(np.float32) for p in [a] * 9 + [b * 0.5] * 7 + [c] * 5
    ]
    assert cuts_of(noisy) == [0, 9, 16]


def test_a_swung_camera_is_no_cut(rng):
    wide = texture(rng, blur=6.0)
    pan = [wide[20:56, x : x + 64] for x in (0, 0, 1, 4, 12, 24, 38, 52, 64, 70, 71)]
    assert max(change(a, b) for a, b in pairwise(pan)) > 5
    assert cuts_of(pan) == [0]


def test_a_flash_and_a_fade_are_no_cuts(rng):
    scene = texture(rng)[:36, :64] * 0.6
    flash = [scene, scene, scene + 90, scene, scene]
    fade = [scene * k for k in np.linspace(1, 0.2, 12, dtype=np.float32)]
    assert cuts_of(flash) == [0]
    assert cuts_of(fade) == [0]


def test_noise_on_a_still_picture_is_no_cut(rng):
    assert cuts_of(
        [
            np.full((36, 64), 90, np.float32) + rng.normal(0, 6, (36, 64)).astype(np.float32)
            for _ in range(20)
        ]
    ) == [0]


def test_blank_pictures_are_compared(rng):
    scene = texture(rng)[:36, :64]
    black = np.zeros_like(scene)
    assert cuts_of([black, black, scene, scene, black]) == [0, 2, 4]


def test_another_shape_and_a_reset_begin_a_scene(rng):
    scene = texture(rng)[:36, :64]
    detector = CutDetector()
    assert [detector.push(s) for s in (scene, scene, scene.T.copy(), scene.T.copy())] == [
        True,
        False,
        True,
        False,
    ]
    detector.reset()
    assert detector.push(scene.T.copy())


def test_the_change_of_a_brighter_picture_is_the_brightness_added(rng):
    a = texture(rng)[:36, :64] * 0.5
    assert change(a, a + 10) == pytest.approx(10, rel=1e-4)
    assert correlation(a, a + 10) == pytest.approx(1, abs=1e-4)


def test_a_thumbnail_is_small_and_upright():
    picture = astronaut()
    assert thumbnail(frame_of(picture)).shape == (48, 64)
    turned = np.rot90(picture, -1)
    upright = thumbnail(frame_of(turned, rotation=90))
    np.testing.assert_allclose(upright, thumbnail(frame_of(picture)), atol=1.5)


@pytest.fixture(scope="module")
def picture():
    return cv2.resize(data.coffee(), (256, 192)).mean(-1).astype(np.float32)


def luma_at(picture, x, y):
    """Return the 64x48 thumbnail of the part that begins at (x, y)."""
    part = cv2.warpAffine(picture, np.array([[1.0, 0, -x], [0, 1, -y]]), (256, 192), borderMode=2)
    return cv2.resize(part, (64, 48), interpolation=cv2.INTER_AREA)


def test_the_shift_of_a_shaken_camera_is_measured(picture):
    before, now = luma_at(picture, 20, 16), luma_at(picture, 12, 20)
    moved = camera_shift(before, now) * 256
    np.testing.assert_allclose(moved, [8, -4], atol=1.5)


def test_a_resting_camera_does_not_move(picture, rng):
    before = luma_at(picture, 16, 16)
    now = before + rng.normal(0, 1, before.shape).astype(np.float32)
    assert camera_shift(before, before).tolist() == [0, 0]
    assert camera_shift(before, now).tolist() == [0, 0]


def test_a_person_who_walks_past_is_no_camera_motion(picture):
    before, now = luma_at(picture, 16, 16), luma_at(picture, 16, 16)
    before[10:40, 10:20] = 30
    now[10:40, 14:24] = 30
    assert np.abs(camera_shift(before, now)).max() < 0.02


def test_different_pictures_show_no_camera_motion(picture, rng):
    other = rng.integers(0, 255, (48, 64)).astype(np.float32)
    assert camera_shift(luma_at(picture, 0, 0), other).tolist() == [0, 0]
    assert camera_shift(luma_at(picture, 0, 0), other[:40]).tolist() == [0, 0]


def test_measuring_does_not_change_the_thumbnails(picture):
    before, now = luma_at(picture, 0, 0), luma_at(picture, 8, 0)
    kept = before.copy(), now.copy()
    camera_shift(before, now)
    np.testing.assert_array_equal(before, kept[0])
    np.testing.assert_array_equal(now, kept[1])


def test_a_slow_pan_is_followed_over_many_frames(picture):
    camera = CameraPath()
    for step in range(60):
        place = camera.push(luma_at(picture, 0.6 * step, 0.2 * step))
    np.testing.assert_allclose(place, [-0.6 * 59 / 4, -0.2 * 59 / 4], atol=0.3)


def test_a_person_who_walks_past_does_not_move_the_camera(picture):
    camera = CameraPath()
    for step in range(30):
        now = luma_at(picture, 0.4 * step, 0)
        now[12:36, 10 + step : 20 + step] = 30
        place = camera.push(now)
    np.testing.assert_allclose(place, [-0.4 * 29 / 4, 0], atol=0.3)


def test_a_camera_at_rest_or_before_a_blank_wall_stays(picture, rng):
    for still in (luma_at(picture, 16, 16), np.full((48, 64), 90, np.float32)):
        camera = CameraPath()
        for _ in range(20):
            place = camera.push(still + rng.normal(0, 0.5, still.shape).astype(np.float32))
        np.testing.assert_allclose(place, 0, atol=0.1)


def test_a_new_picture_leaves_the_camera_where_it_was(picture, rng):
    camera = CameraPath()
    camera.push(luma_at(picture, 0, 0))
    before = camera.push(luma_at(picture, 8, 0))
    other = rng.integers(0, 255, (48, 64)).astype(np.float32)
    np.testing.assert_array_equal(camera.push(other), before)
    np.testing.assert_array_equal(camera.push(other[:40]), before)
