"""Faces are detected with MediaPipe's models, whatever their size and angle."""

from dataclasses import replace
from itertools import chain

import cv2
import numpy as np
import pytest

from crsr_video.errors import FaceModelError
from crsr_video.imaging.geometry import intersection_over_union
from crsr_video.track.detection import (
    ANCHOR_GRIDS,
    MAX_DETECTIONS,
    Detector,
    DetectorRun,
    SingleShotDetector,
    decode_answers,
    merge_answers,
    suppress,
)
from crsr_video.track.regions import Region, tile_levels, view_of
from tests.support.face_models import face_model, require_face_models
from tests.support.tracking import FACE_WIDTH, astronaut, detection_at, frame_of

EYES = np.array([[143.4, 88.5], [177.5, 90.6]])
"""Of the helper's astronaut, by eye."""


@pytest.fixture(scope="module")
def detector():
    require_face_models()
    with Detector() as it:
        yield it


def whole_frame_and_tiles(frame, detector="full_range"):
    view = view_of(frame)
    tiles = [view.whole, *chain.from_iterable(tile_levels(view, 16.0))]
    return [DetectorRun(tile, detector) for tile in tiles]


def turned(rgb, degrees, centre=(160.0, 105.0)):
    """Return the picture rotated clockwise about a point, and the new places of points."""
    matrix = cv2.getRotationMatrix2D(centre, -degrees, 1.0)
    picture = cv2.warpAffine(rgb, matrix, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return picture, lambda points: points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("model", ["full_range", "short_range"])
def test_both_detectors_find_the_eyes(detector, model):
    frame = frame_of(astronaut())
    (face,) = detector.detect(frame, [DetectorRun(view_of(frame).whole, model)])
    np.testing.assert_allclose(face.eyes, EYES, atol=5)
    assert face.score > 0.7


@pytest.mark.parametrize("width", [17, 24, 40, 120])
def test_faces_of_every_size_are_detected(detector, width):
    scale = width / FACE_WIDTH
    canvas = np.broadcast_to(np.linspace(60, 160, 640)[:, None], (480, 640, 3)).astype(np.uint8)
    face = cv2.resize(
        astronaut()[30:200, 70:250], None, fx=scale / 0.75, fy=scale / 0.75, interpolation=3
    )
    top, left = 120, 290
    canvas[top : top + face.shape[0], left : left + face.shape[1]] = face
    frame = frame_of(canvas)
    (found,) = detector.detect(frame, whole_frame_and_tiles(frame))
    eyes = (EYES - (69.5, 29.5)) * scale / 0.75 + (left - 0.5, top - 0.5)
    np.testing.assert_allclose(found.eyes, eyes, atol=0.08 * width)


@pytest.mark.parametrize("degrees", [-90, -60, -30, 30, 45, 75, 90])
def test_tilted_heads_are_detected(detector, degrees):
    picture, moved = turned(astronaut(), degrees)
    frame = frame_of(picture)
    (face,) = detector.detect(frame, [DetectorRun(view_of(frame).whole, "short_range")])
    np.testing.assert_allclose(face.eyes, moved(EYES), atol=6)
    off = np.degrees(face.angle) - degrees
    assert abs((off + 180) % 360 - 180) < 15
    np.testing.assert_allclose(face.box.reshape(2, 2).mean(0), moved(np.array([160, 104])), atol=9)


@pytest.mark.parametrize("degrees", [150, 180, 210])
@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_a_face_upside_down_has_its_eyes_below(detector, degrees, angle):
    picture, moved = turned(astronaut(), degrees)
    whole = view_of(frame_of(picture)).whole
    runs = [DetectorRun(replace(whole, angle=angle), name) for name in ANCHOR_GRIDS]
    for face in detector.detect(frame_of(picture), runs):
        np.testing.assert_allclose(face.eyes, moved(EYES), atol=6)


def test_a_rotated_region_shows_a_lying_face_upright(detector):
    picture, moved = turned(astronaut(), 90)
    run = DetectorRun(Region(160, 105, 300, 300, np.pi / 2))
    (face,) = detector.detect(frame_of(picture), [run])
    np.testing.assert_allclose(face.eyes, moved(EYES), atol=5)


def test_a_face_in_several_regions_is_returned_once(detector):
    frame = frame_of(astronaut())
    runs = [*whole_frame_and_tiles(frame), *whole_frame_and_tiles(frame, "short_range")]
    runs += [DetectorRun(Region(160, 105, 300, 300, angle)) for angle in (-0.5, 0.5)]
    assert len(detector.detect(frame, runs)) == 1


def test_an_empty_tile_costs_no_run(detector):
    frame = frame_of(np.full((480, 640, 3), 90, np.uint8))
    before = detector.runs
    assert detector.detect(frame, whole_frame_and_tiles(frame)) == []
    assert detector.runs <= before + 1  # what is beyond the frame is black, which is something


def test_a_tracked_face_is_not_judged_again(detector):
    frame = frame_of(astronaut())
    runs = [DetectorRun(view_of(frame).whole)]
    before = detector.runs
    (face,) = detector.detect(frame, runs)
    judged = detector.runs - before
    (again,) = detector.detect(frame, runs, [face.region])
    assert detector.runs - before - judged == 1 < judged
    np.testing.assert_allclose(again.eyes, face.eyes, atol=5)


def test_the_work_on_a_hundred_faces_is_bounded(detector):
    face = cv2.resize(astronaut()[30:200, 90:230], None, fx=0.5, fy=0.5, interpolation=3)
    frame = frame_of(np.tile(face, (10, 15, 1)))
    runs, before = whole_frame_and_tiles(frame), detector.runs
    found = detector.detect(frame, runs)
    assert len(found) == MAX_DETECTIONS
    assert detector.runs - before <= len(runs) + 5 * MAX_DETECTIONS


def test_iou_of_known_boxes():
    a = np.array([[0.0, 0, 2, 2]])
    b = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(intersection_over_union(a, b), [[1, 1 / 3, 0]], atol=1e-6)


def test_the_best_detection_of_each_face_is_kept():
    found = [
        detection_at(50, 50, score=0.6),
        detection_at(55, 50, score=0.9),
        detection_at(200, 50, score=0.5),
    ]
    assert suppress(found) == [1, 2]


def test_anchors_lie_in_the_middle_of_their_cells():
    full, short = (ANCHOR_GRIDS[name].anchors for name in ("full_range", "short_range"))
    assert full.shape == (48 * 48, 2) and short.shape == (16 * 16 * 2 + 8 * 8 * 6, 2)
    np.testing.assert_array_equal(full[[0, 1, 48, -1]], [[2, 2], [6, 2], [2, 6], [190, 190]])
    np.testing.assert_array_equal(short[[0, 1, 2, 511]], [[4, 4], [4, 4], [12, 4], [124, 124]])
    np.testing.assert_array_equal(short[[512, 517, 518]], [[8, 8], [8, 8], [24, 8]])


def test_answers_are_counted_from_their_anchor():
    raw = np.zeros((4, 16), np.float32)
    raw[2] = [1, -2, 30, 32, -8, -6, 8, -6, *[0] * 8]
    logits = np.array([-3, -np.inf, 2, 0.2], np.float32)  # the last one below the floor
    anchors = np.array([[2.0, 2.0], [6.0, 2.0], [100.0, 50.0], [14.0, 2.0]])
    boxes, scores = decode_answers(raw, logits, anchors, 0.6)
    np.testing.assert_allclose(boxes[0, :8], [101, 48, 30, 32, 92, 44, 108, 44])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-2)))


def test_scores_below_the_least_give_no_face():
    boxes, scores = decode_answers(
        np.zeros((9, 16), np.float32), np.full(9, -5, np.float32), np.zeros((9, 2)), 0.4
    )
    assert boxes.shape == (0, 16) and scores.shape == (0,)


def test_overlapping_answers_are_averaged_by_score():
    found = np.zeros((4, 16))
    found[:, :4] = [[10, 10, 8, 8], [12, 10, 8, 8], [50, 10, 8, 8], [14.5, 10, 8, 8]]
    boxes, scores = merge_answers(found, np.array([0.9, 0.6, 0.5, 0.45]))
    # The last one overlaps the second, but not the best: 8 * 3.5 of 100 is less than 0.3.
    np.testing.assert_allclose(boxes[:, 0], [(10 * 0.9 + 12 * 0.6) / 1.5, 50, 14.5])
    np.testing.assert_array_equal(scores, [0.9, 0.5, 0.45])


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(FaceModelError, match="is another model than its name says"):
        SingleShotDetector(face_model("landmarks"), ANCHOR_GRIDS["full_range"])
