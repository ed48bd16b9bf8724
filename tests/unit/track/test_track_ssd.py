"""Reading the detectors' answers: by hand, and against MediaPipe's own reading of them."""

import numpy as np
import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track.detect import FLOOR, GRIDS
from crsr_video.track.face_models import resolve
from crsr_video.track.glimpse import glimpse
from crsr_video.track.quiet import quiet
from crsr_video.track.ssd import FULL_RANGE, SHORT_RANGE, SingleShot, decode, merge
from crsr_video.track.view import Region
from tests.support.tracking import astronaut, frame_of


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


@pytest.mark.parametrize("name", ["full_range", "short_range"])
def test_agrees_with_mediapipe(name):
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    try:
        path = resolve(name)
    except FaceModelError as error:
        pytest.skip(f"needs MediaPipe's face models: {error}")
    model = path.read_bytes()
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=FLOOR
    )
    ours, grid, seen = SingleShot(path, GRIDS[name]), GRIDS[name], 0
    with quiet(), vision.FaceDetector.create_from_options(options) as theirs:
        for side, angle in [(400, 0), (300, 0.4), (250, -0.4), (150, 0)]:
            shown = glimpse(frame_of(astronaut()), Region(165, 110, side, side, angle), grid.side)
            pixels = np.rint((shown + 1) * 127.5).astype(np.uint8)
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
            expected = theirs.detect(image).detections
            boxes, scores = ours(pixels.astype(np.float32) / 127.5 - 1, FLOOR)
            assert len(expected) == len(boxes)
            for face, box, score in zip(expected, boxes, scores, strict=True):
                points = [(p.x * grid.side, p.y * grid.side) for p in face.keypoints]
                np.testing.assert_allclose(box[4:], np.ravel(points), atol=0.02)
                assert score == pytest.approx(face.categories[0].score, abs=1e-3)
                # MediaPipe rounds the box to whole pixels.
                near = face.bounding_box
                corner = [near.origin_x, near.origin_y, near.width, near.height]
                np.testing.assert_allclose([*(box[:2] - box[2:4] / 2), *box[2:4]], corner, atol=1.5)
            seen += len(expected)
    assert seen >= 3


def test_a_model_of_another_kind_is_refused(tmp_path):
    try:
        path = resolve("landmarks")
    except FaceModelError as error:
        pytest.skip(f"needs MediaPipe's face models: {error}")
    with pytest.raises(FaceModelError, match="is not what its name says"):
        SingleShot(path, FULL_RANGE)
    broken = tmp_path / "face.tflite"
    broken.write_bytes(b"\x1c\0\0\0TFL3" + bytes(60))
    with pytest.raises(FaceModelError, match="cannot be run"):
        SingleShot(broken, FULL_RANGE)
