"""Appearance: the same face stays like itself, another does not, and a hand is hardly learnt."""

import numpy as np
import pytest
from skimage import data

from crsr_video.track.appearance import appearance, in_view, learnt, likeness


@pytest.fixture(scope="module")
def face():
    picture = data.astronaut()[20:212, 128:320]
    return picture.astype(np.float32) / 255


@pytest.fixture(scope="module")
def other():
    return np.ascontiguousarray(data.cat()[40:232, 100:292]).astype(np.float32) / 255


def test_brightness_and_contrast_do_not_count(face):
    darker = 0.6 * face + 0.1
    assert likeness(appearance(face), appearance(darker)) > 0.999


def test_a_face_is_like_itself_moved_and_unlike_another(face, other):
    moved = np.roll(face, (5, -6), (0, 1))
    assert likeness(appearance(face), appearance(moved)) > 0.8
    assert likeness(appearance(face), appearance(other)) < 0.5


def test_what_lies_around_the_head_counts_little(face, rng):
    elsewhere = face.copy()
    elsewhere[:, :24] = rng.random((192, 24, 3))
    elsewhere[:, -24:] = rng.random((192, 24, 3))
    beard = face.copy()
    beard[60:132, 60:132] = rng.random((72, 72, 3))
    like = likeness(appearance(face), appearance(elsewhere))
    assert like > 0.8
    assert like > likeness(appearance(face), appearance(beard)) + 0.1


def test_a_blank_picture_is_like_nothing(rng):
    blank = np.full((192, 192, 3), 0.5, np.float32)
    assert np.abs(appearance(blank)).max() < 1e-6
    noisy = blank + rng.normal(0, 0.01, blank.shape).astype(np.float32)
    assert np.linalg.norm(appearance(noisy)) < 0.2


def test_what_covers_a_face_is_learnt_five_times_as_slowly(face, other):
    known = appearance(face)
    fresh, covered = appearance(np.roll(face, 2, 1)), appearance(other)
    step = np.linalg.norm(learnt(known, fresh) - known) / np.linalg.norm(fresh - known)
    slow = np.linalg.norm(learnt(known, covered) - known) / np.linalg.norm(covered - known)
    assert step == pytest.approx(0.1, abs=1e-3)
    assert slow < 0.03


def test_faces_in_plain_view():
    assert [in_view(like) for like in (0.2, 0.4, 0.7, 1.0)] == [0, 0, 1, 1]
    assert 0.4 < in_view(0.55) < 0.6
