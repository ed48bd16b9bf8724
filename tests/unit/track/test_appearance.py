"""A face resembles itself and no other, and a covering hand is hardly learnt."""

import numpy as np
import pytest
from skimage import data

from crsr_video.track.appearance import appearance, similarity, updated, visibility


@pytest.fixture(scope="module")
def face():
    picture = data.astronaut()[20:212, 128:320]
    return picture.astype(np.float32) / 255


@pytest.fixture(scope="module")
def other():
    return np.ascontiguousarray(data.cat()[40:232, 100:292]).astype(np.float32) / 255


def test_brightness_and_contrast_do_not_count(face):
    darker = 0.6 * face + 0.1
    assert similarity(appearance(face), appearance(darker)) > 0.999


def test_a_moved_face_resembles_itself_and_not_another(face, other):
    moved = np.roll(face, (5, -6), (0, 1))
    assert similarity(appearance(face), appearance(moved)) > 0.8
    assert similarity(appearance(face), appearance(other)) < 0.5


def test_the_surroundings_of_the_head_count_little(face, rng):
    elsewhere = face.copy()
    elsewhere[:, :24] = rng.random((192, 24, 3))
    elsewhere[:, -24:] = rng.random((192, 24, 3))
    beard = face.copy()
    beard[60:132, 60:132] = rng.random((72, 72, 3))
    like = similarity(appearance(face), appearance(elsewhere))
    assert like > 0.8
    assert like > similarity(appearance(face), appearance(beard)) + 0.1


def test_a_blank_picture_resembles_nothing(rng):
    blank = np.full((192, 192, 3), 0.5, np.float32)
    assert np.abs(appearance(blank)).max() < 1e-6
    noisy = blank + rng.normal(0, 0.01, blank.shape).astype(np.float32)
    assert np.linalg.norm(appearance(noisy)) < 0.2


def test_a_covered_face_is_learnt_five_times_as_slowly(face, other):
    known = appearance(face)
    fresh, covered = appearance(np.roll(face, 2, 1)), appearance(other)
    step = np.linalg.norm(updated(known, fresh) - known) / np.linalg.norm(fresh - known)
    slow = np.linalg.norm(updated(known, covered) - known) / np.linalg.norm(covered - known)
    assert step == pytest.approx(0.1, abs=1e-3)
    assert slow < 0.03


def test_visibility_rises_with_similarity():
    assert [visibility(like) for like in (0.2, 0.4, 0.7, 1.0)] == [0, 0, 1, 1]
    assert 0.4 < visibility(0.55) < 0.6
