"""Finding faces with MediaPipe's models: fetched once per user, or skipped."""

import cv2
import numpy as np
import pytest

from crsr_video.errors import FaceModelError
from crsr_video.track.detect import MOST, Detector, Look
from crsr_video.track.face_models import resolve
from crsr_video.track.pyramid import levels, whole
from crsr_video.track.view import Region, view_of
from tests.support.tracking import FACE_WIDTH, astronaut, frame_of

EYES = np.array([[143.4, 88.5], [177.5, 90.6]])
"""Of the helper's astronaut, by eye."""


@pytest.fixture(scope="module")
def detector():
    try:
        for name in ("short_range", "full_range"):
            resolve(name)
    except FaceModelError as error:
        pytest.skip(f"needs MediaPipe's face models: {error}")
    with Detector() as it:
        yield it


def everything(frame, model="full_range"):
    return [Look(tile, model) for level in levels(view_of(frame), 16.0) for tile in level]


def turned(rgb, degrees, centre=(160.0, 105.0)):
    """The picture turned clockwise about a point, and where points come to lie."""
    matrix = cv2.getRotationMatrix2D(centre, -degrees, 1.0)
    picture = cv2.warpAffine(rgb, matrix, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return picture, lambda points: points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("model", ["full_range", "short_range"])
def test_finds_the_eyes(detector, model):
    frame = frame_of(astronaut())
    (face,) = detector.look(frame, [Look(whole(view_of(frame)), model)])
    np.testing.assert_allclose(face.eyes, EYES, atol=5)
    assert face.score > 0.7


@pytest.mark.parametrize("width", [17, 24, 40, 120])
def test_faces_of_every_size(detector, width):
    scale = width / FACE_WIDTH
    canvas = np.broadcast_to(np.linspace(60, 160, 640)[:, None], (480, 640, 3)).astype(np.uint8)
    face = cv2.resize(
        astronaut()[30:200, 70:250], None, fx=scale / 0.75, fy=scale / 0.75, interpolation=3
    )
    top, left = 120, 290
    canvas[top : top + face.shape[0], left : left + face.shape[1]] = face
    frame = frame_of(canvas)
    (found,) = detector.look(frame, everything(frame))
    eyes = (EYES - (69.5, 29.5)) * scale / 0.75 + (left - 0.5, top - 0.5)
    np.testing.assert_allclose(found.eyes, eyes, atol=0.08 * width)


@pytest.mark.parametrize("degrees", [-90, -60, -30, 30, 45, 75, 90])
def test_tilted_heads(detector, degrees):
    picture, moved = turned(astronaut(), degrees)
    frame = frame_of(picture)
    (face,) = detector.look(frame, [Look(whole(view_of(frame)), "short_range")])
    np.testing.assert_allclose(face.eyes, moved(EYES), atol=6)
    off = np.degrees(face.angle) - degrees
    assert abs((off + 180) % 360 - 180) < 15
    np.testing.assert_allclose(face.box.reshape(2, 2).mean(0), moved(np.array([160, 104])), atol=9)


def test_a_turned_look_finds_what_lies_on_its_side(detector):
    picture, moved = turned(astronaut(), 90)
    look = Look(Region(160, 105, 300, 300, np.pi / 2))
    (face,) = detector.look(frame_of(picture), [look])
    np.testing.assert_allclose(face.eyes, moved(EYES), atol=5)


def test_a_face_seen_many_times_is_found_once(detector):
    frame = frame_of(astronaut())
    looks = [*everything(frame), *everything(frame, "short_range")]
    looks += [Look(Region(160, 105, 300, 300, angle)) for angle in (-0.5, 0.5)]
    assert len(detector.look(frame, looks)) == 1


def test_an_empty_tile_is_not_worth_a_run(detector):
    frame = frame_of(np.full((480, 640, 3), 90, np.uint8))
    before = detector.calls
    assert detector.look(frame, everything(frame)) == []
    assert detector.calls <= before + 1  # what is beyond the frame is black, which is something


def test_a_face_that_is_followed_is_not_judged_again(detector):
    frame = frame_of(astronaut())
    looks = [Look(whole(view_of(frame)))]
    before = detector.calls
    (face,) = detector.look(frame, looks)
    judged = detector.calls - before
    (again,) = detector.look(frame, looks, [face.region])
    assert detector.calls - before - judged == 1 < judged
    np.testing.assert_allclose(again.eyes, face.eyes, atol=5)


def test_a_hundred_faces_are_bounded(detector):
    face = cv2.resize(astronaut()[30:200, 90:230], None, fx=0.5, fy=0.5, interpolation=3)
    frame = frame_of(np.tile(face, (10, 15, 1)))
    looks, before = everything(frame), detector.calls
    found = detector.look(frame, looks)
    assert len(found) == MOST
    assert detector.calls - before <= len(looks) + 5 * MOST
