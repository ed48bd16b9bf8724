"""The whole tracking stage, with MediaPipe's models."""

import gc
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from skimage import data

from crsr_video.errors import FaceModelError
from crsr_video.imaging.geometry import apply, face_width
from crsr_video.track.landmarks import Observation
from crsr_video.track.regions import view_of
from crsr_video.track.tracker import Tracker
from tests.support.tracking import astronaut, frame_of

pytestmark = pytest.mark.usefixtures("face_models")


@pytest.fixture(scope="module")
def tracker():
    with Tracker() as it:
        yield it


@pytest.fixture(scope="module")
def live():
    with Tracker(lookahead=0) as it:
        yield it


def track(stage, pictures, **kwargs):
    stage.reset()
    frames = [frame_of(picture, pts, **kwargs) for pts, picture in enumerate(pictures)]
    done = [item for frame in frames for item in stage.push(frame)] + stage.flush()
    assert [item.frame for item in done] == frames
    return done


@pytest.fixture(scope="module")
def still(tracker):
    return track(tracker, [astronaut()] * 14)


def empty(rng):
    return np.full((240, 320, 3), rng.integers(60, 200), np.uint8)


def test_a_face_in_a_still_picture_does_not_move(still):
    assert [item.cut for item in still] == [True] + [False] * 13
    faces = [item.faces[0] for item in still]
    assert all(len(item.faces) == 1 for item in still)
    assert {face.presence for face in faces} == {1.0} and {face.skipped for face in faces} == {None}
    for a, b in pairwise(faces):
        assert np.abs(a.landmarks - b.landmarks).max() < 1e-6


def test_landmarks_lie_on_the_features(still):
    face = still[5].faces[0]
    # Read off the picture by eye: eyes, nose tip, mouth corners.
    by_eye = np.array([[143.4, 88.5], [177.5, 90.6], [160, 108.1], [145.4, 118.1], [175, 119]])
    error = np.linalg.norm(face.landmarks - by_eye, axis=1)
    assert error.max() < 0.06 * face_width(face.landmarks)
    x0, y0, x1, y1 = face.box
    assert x0 < face.landmarks[:, 0].min() and face.landmarks[:, 0].max() < x1
    assert y0 < face.landmarks[:, 1].min() and face.landmarks[:, 1].max() < y1
    assert face.confidence > 0.9


def test_a_moving_face_is_tracked_along_its_path(tracker, still):
    path = [(1.5 * i - 20, 10 * np.sin(i / 5)) for i in range(28)]
    done = track(tracker, [astronaut(*shift) for shift in path])
    assert len({face.track for item in done for face in item.faces}) == 1
    at_rest = still[5].faces[0].landmarks
    for item, shift in zip(done, path, strict=True):
        (face,) = item.faces
        error = np.linalg.norm(face.landmarks - at_rest - shift, axis=1)
        assert error.max() < 0.03 * face_width(at_rest)
        assert face.presence == 1


def test_a_cut_begins_new_track_ids_without_a_ramp(tracker):
    other = np.ascontiguousarray(astronaut(0, -190)[::-1])
    pictures = [astronaut()] * 4 + [other] * 3 + [astronaut(30, 20)] * 4
    done = track(tracker, pictures)
    assert [i for i, item in enumerate(done) if item.cut] == [0, 4, 7]
    assert [len(item.faces) for item in done] == [1] * 4 + [0] * 3 + [1] * 4
    first, second = done[0].faces[0].track, done[-1].faces[0].track
    assert second > first
    assert all(face.presence == 1 for item in done for face in item.faces)


def test_presence_rises_when_a_face_appears_and_falls_when_it_goes(tracker):
    shown = astronaut(width=640, height=480)
    hidden = shown.copy()
    hidden[45:155, 110:215] = 128
    done = track(tracker, [hidden] * 6 + [shown] * 16 + [hidden] * 6)
    presence = [item.faces[0].presence if item.faces else 0.0 for item in done]
    assert sum(item.cut for item in done) == 1
    assert presence[:6] == [0] * 6 and presence[22:] == [0] * 6
    assert max(presence) == 1
    assert max(abs(b - a) for a, b in pairwise(presence)) < 0.17


def test_frames_without_faces_have_none(tracker, rng):
    done = track(tracker, [empty(rng)] * 3 + [rng.integers(0, 255, (240, 320, 3), np.uint8)] * 3)
    assert all(item.faces == () for item in done)


def test_without_lookahead_every_frame_is_returned_at_once(live):
    live.reset()
    for index in range(12):
        (item,) = live.push(frame_of(astronaut(), index))
        assert item.frame.pts == index
        assert [face.presence for face in item.faces] == [1.0]
    assert live.flush() == []
    assert live.lookahead == 0


def test_without_lookahead_a_still_face_is_steady(live):
    done = track(live, [astronaut()] * 8)
    for a, b in pairwise(item.faces[0] for item in done):
        assert np.abs(a.landmarks - b.landmarks).max() < 1e-6


def test_the_lookahead_bounds_the_frames_held_back(tracker):
    tracker.reset()
    out = 0
    for index in range(20):
        out += len(tracker.push(frame_of(astronaut(), index)))
        assert index + 1 - out <= tracker.lookahead
    gc.collect()
    kept = sum(type(each) is Observation for each in gc.get_objects())
    assert 0 < kept <= 2 * tracker.lookahead + 2  # One of them is the first of the track.
    assert len(tracker.flush()) == 20 - out


def test_a_rotated_frame_gives_the_same_face(tracker, still):
    upright = still[5].faces[0].landmarks
    stored = np.ascontiguousarray(np.rot90(astronaut(), -1))
    done = track(tracker, [stored] * 3, rotation=90)
    (face,) = done[1].faces
    view = view_of(done[1].frame)
    error = np.abs(apply(view.upright_from_frame, face.landmarks) - upright).max()
    assert error < 0.02 * face_width(upright)


def test_small_faces_are_skipped():
    with Tracker(min_face=75, lookahead=2) as stage:
        done = track(stage, [astronaut()] * 4)
    assert {face.skipped for item in done for face in item.faces} <= {"smaller than 75 px"}
    assert done[0].faces


def test_statistics_count_frames_and_runs(tracker):
    before = tracker.statistics
    track(tracker, [astronaut()] * 4)
    after = tracker.statistics
    assert after.frames - before.frames == 4
    assert after.landmark_runs - before.landmark_runs >= 4
    assert sum(after.seconds.values()) > sum(before.seconds.values()) > 0


def test_a_negative_lookahead_is_an_error():
    with pytest.raises(ValueError, match="lookahead"):
        Tracker(lookahead=-1)


def test_missing_models_are_an_error(tmp_path):
    with pytest.raises(FaceModelError):
        Tracker(models=tmp_path)


def test_importing_the_tracker_loads_no_model_runtime():
    code = (
        "import sys, crsr_video.track.tracker; "
        "sys.exit(any(name in sys.modules for name in ('mediapipe', 'ai_edge_litert')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def crossing(index):
    """Return 60 frames in which two people pass each other."""
    yy, xx = np.mgrid[:170, :150]
    alpha = (np.hypot((xx - 75) / 70, (yy - 85) / 82) < 1).astype(np.float32)[..., None]
    front = data.astronaut()[20:190, 150:300]
    behind = np.clip(0.45 * front[:, ::-1] * (1.5, 0.9, 0.6), 0, 255)
    scene = np.tile(np.linspace(90, 160, 640).astype(np.uint8)[None, :, None], (360, 1, 3))
    for face, x in ((behind, 40 + 7 * index), (front, 450 - 7 * index)):
        part = scene[90:260, x : x + 150]
        part[...] = alpha * face + (1 - alpha) * part
    return scene


@pytest.mark.parametrize("which", ["tracker", "live"])
def test_two_people_who_cross_keep_their_track_ids(which, request):
    done = track(request.getfixturevalue(which), [crossing(i) for i in range(60)])

    def ids(item):
        return [face.track for face in sorted(item.faces, key=lambda f: f.box[0])]

    first, last = ids(done[6]), ids(done[-2])
    assert len(first) == 2
    assert last == first[::-1]


def test_too_many_faces_are_reported_even_after_the_end(monkeypatch):
    monkeypatch.setattr("crsr_video.track.tracker.MAX_TRACKS", 0)
    monkeypatch.setattr("crsr_video.track.track_set.MAX_TRACKS", 0)
    with Tracker() as stage:
        track(stage, [astronaut()] * 3)
        (notice,) = stage.notices
        assert "left alone" in notice and stage.statistics.refused > 0
