"""The detectors' answers are decoded as MediaPipe's published graphs do."""

import numpy as np
import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track.ssd import FULL_RANGE, SHORT_RANGE, SingleShot, decode, merge
from tests.support.face_models import face_model


def test_anchors_lie_in_the_middle_of_their_cells():
    full, short = FULL_RANGE.anchors, SHORT_RANGE.anchors
    assert full.shape == (48 * 48, 2) and short.shape == (16 * 16 * 2 + 8 * 8 * 6, 2)
    np.testing.assert_array_equal(full[[0, 1, 48, -1]], [[2, 2], [6, 2], [2, 6], [190, 190]])
    np.testing.assert_array_equal(short[[0, 1, 2, 511]], [[4, 4], [4, 4], [12, 4], [124, 124]])
    np.testing.assert_array_equal(short[[512, 517, 518]], [[8, 8], [8, 8], [24, 8]])


def test_answers_count_from_their_anchor():
    raw = np.zeros((4, 16), np.float32)
    raw[2] = [1, -2, 30, 32, -8, -6, 8, -6, *[0] * 8]
    logits = np.array([-3, -np.inf, 2, 0.2], np.float32)  # the last one below the floor
    anchors = np.array([[2.0, 2.0], [6.0, 2.0], [100.0, 50.0], [14.0, 2.0]])
    boxes, scores = decode(raw, logits, anchors, 0.6)
    np.testing.assert_allclose(boxes[0, :8], [101, 48, 30, 32, 92, 44, 108, 44])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-2)))


def test_nothing_above_the_floor_is_no_face():
    boxes, scores = decode(
        np.zeros((9, 16), np.float32), np.full(9, -5, np.float32), np.zeros((9, 2)), 0.4
    )
    assert boxes.shape == (0, 16) and scores.shape == (0,)


def test_overlapping_answers_are_averaged_by_score():
    found = np.zeros((4, 16))
    found[:, :4] = [[10, 10, 8, 8], [12, 10, 8, 8], [50, 10, 8, 8], [14.5, 10, 8, 8]]
    boxes, scores = merge(found, np.array([0.9, 0.6, 0.5, 0.45]))
    # The last one overlaps the second, but not the best: 8 * 3.5 of 100 is less than 0.3.
    np.testing.assert_allclose(boxes[:, 0], [(10 * 0.9 + 12 * 0.6) / 1.5, 50, 14.5])
    np.testing.assert_array_equal(scores, [0.9, 0.5, 0.45])


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(FaceModelError, match="is not what its name says"):
        SingleShot(face_model("landmarks"), FULL_RANGE)
