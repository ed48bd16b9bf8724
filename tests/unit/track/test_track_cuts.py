"""Scene cuts: found where they are, and only there."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from crsr_video.track.cuts import CutDetector, change, likeness, thumbnail
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


def test_cut_between_unlike_scenes_is_found_exactly(rng):
    a, b, c = (texture(rng, blur=2.0)[:36, :64] for _ in range(3))
    noisy = [
        p + rng.normal(0, 2, p.shape).astype(np.float32) for p in [a] * 9 + [b * 0.5] * 7 + [c] * 5
    ]
    assert cuts_of(noisy) == [0, 9, 16]


def test_swung_camera_is_no_cut(rng):
    wide = texture(rng, blur=6.0)
    pan = [wide[20:56, x : x + 64] for x in (0, 0, 1, 4, 12, 24, 38, 52, 64, 70, 71)]
    assert max(change(a, b) for a, b in pairwise(pan)) > 5
    assert cuts_of(pan) == [0]


def test_flash_and_fade_are_no_cuts(rng):
    scene = texture(rng)[:36, :64] * 0.6
    flash = [scene, scene, scene + 90, scene, scene]
    fade = [scene * k for k in np.linspace(1, 0.2, 12, dtype=np.float32)]
    assert cuts_of(flash) == [0]
    assert cuts_of(fade) == [0]


def test_still_picture_and_noise_are_no_cuts(rng):
    assert cuts_of(
        [
            np.full((36, 64), 90, np.float32) + rng.normal(0, 6, (36, 64)).astype(np.float32)
            for _ in range(20)
        ]
    ) == [0]


def test_blank_pictures_do_not_fail(rng):
    scene = texture(rng)[:36, :64]
    black = np.zeros_like(scene)
    assert cuts_of([black, black, scene, scene, black]) == [0, 2, 4]


def test_new_shape_and_reset_begin_a_scene(rng):
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


def test_change_is_the_level_of_a_uniform_shift(rng):
    a = texture(rng)[:36, :64] * 0.5
    assert change(a, a + 10) == pytest.approx(10, rel=1e-4)
    assert likeness(a, a + 10) == pytest.approx(1, abs=1e-4)


def test_thumbnail_is_small_and_upright():
    picture = astronaut()
    assert thumbnail(frame_of(picture)).shape == (48, 64)
    turned = np.rot90(picture, -1)
    upright = thumbnail(frame_of(turned, rotation=90))
    np.testing.assert_allclose(upright, thumbnail(frame_of(picture)), atol=1.5)
