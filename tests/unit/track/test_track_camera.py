"""The camera's motion from thumbnails."""

import numpy as np
import pytest
from skimage import data

from crsr_video.track.camera import Camera, shift


@pytest.fixture(scope="module")
def picture():
    import cv2

    return cv2.resize(data.coffee(), (256, 192)).mean(-1).astype(np.float32)


def thumbnail(picture, x, y):
    """64x48 of a part that begins at (x, y), a quarter of the size."""
    import cv2

    part = cv2.warpAffine(picture, np.array([[1.0, 0, -x], [0, 1, -y]]), (256, 192), borderMode=2)
    return cv2.resize(part, (64, 48), interpolation=cv2.INTER_AREA)


def test_a_shaken_picture_is_measured(picture):
    before, now = thumbnail(picture, 20, 16), thumbnail(picture, 12, 20)
    moved = shift(before, now) * 256
    np.testing.assert_allclose(moved, [8, -4], atol=1.5)


def test_a_resting_camera_does_not_move(picture, rng):
    before = thumbnail(picture, 16, 16)
    now = before + rng.normal(0, 1, before.shape).astype(np.float32)
    assert shift(before, before).tolist() == [0, 0]
    assert shift(before, now).tolist() == [0, 0]


def test_one_who_walks_past_is_not_the_camera(picture):
    before, now = thumbnail(picture, 16, 16), thumbnail(picture, 16, 16)
    before[10:40, 10:20] = 30
    now[10:40, 14:24] = 30
    assert np.abs(shift(before, now)).max() < 0.02


def test_unlike_pictures_have_no_shift(picture, rng):
    other = rng.integers(0, 255, (48, 64)).astype(np.float32)
    assert shift(thumbnail(picture, 0, 0), other).tolist() == [0, 0]
    assert shift(thumbnail(picture, 0, 0), other[:40]).tolist() == [0, 0]


def test_the_thumbnails_stay_as_they_are(picture):
    before, now = thumbnail(picture, 0, 0), thumbnail(picture, 8, 0)
    kept = before.copy(), now.copy()
    shift(before, now)
    np.testing.assert_array_equal(before, kept[0])
    np.testing.assert_array_equal(now, kept[1])


def test_a_slow_pan_is_followed_over_many_frames(picture):
    camera = Camera()
    for step in range(60):
        place = camera.push(thumbnail(picture, 0.6 * step, 0.2 * step))
    np.testing.assert_allclose(place, [-0.6 * 59 / 4, -0.2 * 59 / 4], atol=0.3)


def test_the_camera_is_not_led_by_one_who_walks_past(picture):
    camera = Camera()
    for step in range(30):
        now = thumbnail(picture, 0.4 * step, 0)
        now[12:36, 10 + step : 20 + step] = 30
        place = camera.push(now)
    np.testing.assert_allclose(place, [-0.4 * 29 / 4, 0], atol=0.3)


def test_a_camera_that_rests_or_sees_nothing_stays(picture, rng):
    for still in (thumbnail(picture, 16, 16), np.full((48, 64), 90, np.float32)):
        camera = Camera()
        for _ in range(20):
            place = camera.push(still + rng.normal(0, 0.5, still.shape).astype(np.float32))
        np.testing.assert_allclose(place, 0, atol=0.1)


def test_the_camera_starts_anew_where_all_is_new(picture, rng):
    camera = Camera()
    camera.push(thumbnail(picture, 0, 0))
    before = camera.push(thumbnail(picture, 8, 0))
    other = rng.integers(0, 255, (48, 64)).astype(np.float32)
    np.testing.assert_array_equal(camera.push(other), before)
    np.testing.assert_array_equal(camera.push(other[:40]), before)
