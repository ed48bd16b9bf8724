"""The models on LiteRT give what MediaPipe's Tasks API gives. Needs MediaPipe, see .ci/run."""

import numpy as np
import pytest
from skimage import data

from crsr_video.track.detection import ANCHOR_GRIDS, MIN_SCORE, SingleShotDetector
from crsr_video.track.region_pictures import model_input
from crsr_video.track.regions import square
from tests.support.face_models import face_model
from tests.support.tracking import astronaut, frame_of

mediapipe = pytest.importorskip("mediapipe", reason="needs MediaPipe")
DETECTORS = pytest.mark.parametrize("name", ["full_range", "short_range"])


def tasks_detector(name, **options):
    """Return MediaPipe's detector. It must be closed, because its finalizer raises at exit."""
    from mediapipe.tasks.python import BaseOptions, vision

    base = BaseOptions(model_asset_buffer=face_model(name).read_bytes())
    return vision.FaceDetector.create_from_options(
        vision.FaceDetectorOptions(base_options=base, **options)
    )


def detect(detector, pixels):
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    return detector.detect(image).detections


@DETECTORS
def test_the_models_are_those_that_mediapipe_detects_faces_with(name):
    with tasks_detector(name) as detector:
        (face,) = detect(detector, data.astronaut())
    assert face.categories[0].score > 0.8
    box = face.bounding_box  # The face's centre is near (224, 118) in the 512 x 512 picture.
    assert abs(box.origin_x + box.width / 2 - 224) < 20
    assert abs(box.origin_y + box.height / 2 - 118) < 30


@DETECTORS
def test_detections_agree_with_mediapipe(name):
    grid, seen = ANCHOR_GRIDS[name], 0
    ours = SingleShotDetector(face_model(name), grid)
    with tasks_detector(name, min_detection_confidence=MIN_SCORE) as theirs:
        for side, angle in [(400, 0), (300, 0.4), (250, -0.4), (150, 0)]:
            shown = model_input(frame_of(astronaut()), square(165, 110, side, angle), grid.side)
            pixels = np.rint((shown + 1) * 127.5).astype(np.uint8)
            expected = detect(theirs, pixels)
            boxes, scores = ours.detect(pixels.astype(np.float32) / 127.5 - 1, MIN_SCORE)
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
