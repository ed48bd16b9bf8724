from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from crsr_video.imaging.geometry import apply
from crsr_video.networks import Bicubic, Identity
from crsr_video.runtime.batches import Predictor
from crsr_video.runtime.devices import Placement
from crsr_video.stages.consistify import consistify
from crsr_video.stages.superres import super_resolve, without_tint
from crsr_video.types import Crop
from tests.support.frames import crop_of, flat_frame, make_face, tracked

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")
PLACE = np.array([[0.5, -0.1, 3.0], [0.1, 0.5, -2.0]])


def item(*faces):
    return tracked(flat_frame("gray", 4, 4, (0, 0, 0)), *faces)


def face_with_crop(rng, size=8, **fields):
    crop = Crop(rng.random((3, size, size), np.float32), PLACE)
    return replace(make_face(), crop=crop, **fields)


def test_consistify_fills_in_the_consistent_crop_at_the_same_place(rng):
    face = face_with_crop(rng)
    (done,) = consistify(Predictor(Identity(), CPU)).push(item(face))
    (found,) = done.faces
    assert np.array_equal(found.consistent.image, face.crop.image)
    assert np.array_equal(found.consistent.crop_from_frame, PLACE)
    assert replace(found, consistent=None) == face


def test_consistify_keeps_pictures_legal(rng):
    def overshoot(images):
        return images * 3 - 1

    (done,) = consistify(overshoot).push(item(face_with_crop(rng)))
    image = done.faces[0].consistent.image
    assert image.dtype == np.float32
    assert image.min() == 0
    assert image.max() == 1


def test_super_resolve_fills_in_a_crop_four_times_larger_at_the_same_place(rng):
    face = replace(face_with_crop(rng), consistent=Crop(rng.random((3, 8, 8), np.float32), PLACE))
    (done,) = super_resolve(Predictor(Bicubic(), CPU)).push(item(face))
    (found,) = done.faces
    assert found.enhanced.size == 32
    # The crop's own corner is the enlarged crop's corner.
    inverse = np.linalg.inv(PLACE[:, :2])
    corners = (np.array([[-0.5, -0.5], [7.5, 7.5]]) - PLACE[:, 2]) @ inverse.T
    moved = apply(found.enhanced.crop_from_frame, corners)
    assert moved == pytest.approx(np.array([[-0.5, -0.5], [31.5, 31.5]]))
    assert replace(found, enhanced=None) == face


def test_super_resolve_works_on_the_consistent_crop(rng):
    face = replace(face_with_crop(rng), consistent=crop_of(0.25))
    seen = []

    def watched(images):
        seen.append(images)
        return np.repeat(np.repeat(images, 4, 2), 4, 3)

    super_resolve(watched).push(item(face))
    assert np.array_equal(seen[0][0], face.consistent.image)


def test_colour_and_light_stay_those_of_the_crop(rng):
    seen = cv2.GaussianBlur(rng.random((32, 32, 3)).astype(np.float32), (0, 0), 6)
    seen = seen.transpose(2, 0, 1).copy()
    large = cv2.resize(seen.transpose(1, 2, 0), (128, 128), interpolation=cv2.INTER_CUBIC)
    detail = 0.1 * np.sin(np.arange(128, dtype=np.float32) * 1.5)[:, None, None]
    tinted = (large + detail + np.float32([0.1, -0.05, 0.02])).transpose(2, 0, 1)
    kept = without_tint(tinted, seen).transpose(1, 2, 0)
    assert np.abs(kept - large - detail).max() < 0.01


def test_faces_that_are_left_alone_pass_unchanged(rng):
    alone = make_face(skipped="too small")
    enhanced = face_with_crop(rng)
    (done,) = consistify(Predictor(Identity(), CPU)).push(item(alone, enhanced))
    assert done.faces[0] is alone
    (done,) = super_resolve(Predictor(Bicubic(), CPU)).push(done)
    assert done.faces[0] is alone
    assert done.faces[1].enhanced is not None


@pytest.mark.parametrize("make", [consistify, super_resolve])
def test_options_reach_the_stage(make):
    assert make(lambda x: x, batch=4, lookahead=3).lookahead == 3
    assert make(lambda x: x).lookahead == 0
