from dataclasses import replace

import numpy as np
import pytest

from crsr_video.imaging.geometry import crop_from_frame
from crsr_video.imaging.masks import face_mask, mask, patch, possibly_changed
from crsr_video.imaging.warping import warp
from tests.support.frames import LAYOUTS, make_face, make_frame


def patched(frame, *faces, size=128, weight=1.0):
    patches = [
        patch(f.track, frame, crop_from_frame(f.landmarks, size, float(frame.sample_aspect)), size)
        for f in faces
    ]
    return replace(frame, changed=tuple(replace(p, weight=weight) for p in patches))


@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize("size", [128, 256])
def test_the_mask_is_the_faces_at_its_place(rng, degrees, size):
    face = make_face(70.4, 51.8, 60, degrees)
    frame = patched(make_frame("yuv420p", 101, 141, rng), face, size=size)
    place = np.linalg.inv(np.vstack([crop_from_frame(face.landmarks, size), [0, 0, 1]]))[:2]
    expected = warp(face_mask(size), place, 141, 101)
    assert np.abs(mask(frame) - expected).max() < 0.03
    assert mask(frame).max() > 0.99


def test_weights_and_overlaps(rng):
    frame = make_frame("gray", 100, 140, rng)
    low = patched(frame, make_face(60, 50, 60), weight=0.5)
    assert mask(low).max() == pytest.approx(0.5, abs=0.001)
    both = patched(frame, make_face(55, 50, 60), make_face(75, 50, 60, track=1))
    one, other = (patched(frame, f) for f in (make_face(55, 50, 60), make_face(75, 50, 60)))
    assert np.array_equal(mask(both), np.maximum(mask(one), mask(other)))
    assert np.array_equal(possibly_changed(both), possibly_changed(one) | possibly_changed(other))


@pytest.mark.parametrize("name", ["gray", "yuv420p", "yuv411p"])
def test_possible_changes_include_the_mask_and_lie_in_the_box(rng, name):
    frame = patched(make_frame(name, 100, 140, rng), make_face(60, 50, 40, 20))
    where = possibly_changed(frame)
    assert where[mask(frame) > 0].all()
    x0, y0, x1, y1 = frame.changed[0].box
    inside = np.zeros_like(where)
    inside[y0:y1, x0:x1] = True
    assert inside[where].all()
    spread = where.sum() / (mask(frame) > 0).sum()
    assert 1 < spread < 1.7 + LAYOUTS[name].x_shift


@pytest.mark.parametrize("place", [(-500.0, 50.0), (3.0, 97.0), (70.0, 5000.0)])
def test_samples_outside_the_frame_are_empty(rng, place):
    frame = patched(make_frame("yuv420p", 100, 140, rng), make_face(*place, 60))
    x0, y0, x1, y1 = frame.changed[0].box
    assert 0 <= x0 <= x1 <= 140
    assert 0 <= y0 <= y1 <= 100
    assert possibly_changed(frame).any() == (place == (3.0, 97.0))


def test_an_unchanged_frame_has_an_empty_mask(rng):
    frame = make_frame("yuv420p", 20, 30, rng)
    assert not mask(frame).any()
    assert not possibly_changed(frame).any()
