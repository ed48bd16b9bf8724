"""Tracks made by hand are smoothed, and faces appear and disappear gradually."""

from math import radians

import numpy as np
import pytest

from crsr_video.track.regions import view_of
from crsr_video.track.smoothing import (
    RAMP,
    FaceSmoother,
    OneEuroFilter,
    bandwidth,
    fade_out,
    local_fit,
    smooth_step,
)
from crsr_video.track.tracks import Track
from tests.support.tracking import frame_of, observation_at, track_along

VIEW = view_of(frame_of(np.zeros((480, 640, 3), np.uint8)))
STEP = 1 / (RAMP + 1)


def smoothed(track, frames, lookahead=8, start=0, horizon=None, min_face=16.0):
    """Return the track's face in each frame of one scene that ends with the last of them."""
    smoother = FaceSmoother(lookahead, min_face)
    last = frames - 1 if horizon is None else horizon
    faces = []
    for at in range(frames):
        now = min(last, at + lookahead)
        known = Track(
            track.id,
            track.detector_score,
            {i: s for i, s in track.observations.items() if i <= now},
            track.confidences,
        )
        face = None
        if known.observations:
            face = smoother.face(known, at, begins_scene=at == start, horizon=now, view=VIEW)
        faces.append(face)
    return faces


def test_a_local_fit_keeps_straight_lines_through_gaps_and_at_ends():
    times = np.array([0.0, 1, 2, 6, 7, 11])
    values = np.stack([3 * times - 5, -0.5 * times], 1)
    for at in (0.0, 1.5, 3, 4, 9, 11):
        for sigma in (1.5, 3):
            value, slope = local_fit(times, values, at, sigma)
            np.testing.assert_allclose(value, [3 * at - 5, -0.5 * at], atol=1e-6)
            np.testing.assert_allclose(slope, [3, -0.5], atol=1e-6)


def test_a_local_fit_of_one_sample_is_that_sample():
    value, slope = local_fit(np.array([4.0]), np.array([[7.0, 8]]), 4, 1.0)
    assert value.tolist() == [7, 8] and slope.tolist() == [0, 0]


def test_the_window_narrows_with_speed():
    times = np.arange(17.0)
    widths = [
        bandwidth(times, np.outer(times, [speed, 0.0]) + 100, 8, 60.0) for speed in (0, 0.5, 3, 30)
    ]
    assert widths[0] == 3 and widths == sorted(widths, reverse=True) and widths[-1] == 0.5


def test_a_static_face_stays_static():
    faces = smoothed(track_along(dict.fromkeys(range(30), (300.0, 200.0))), 30)
    points = np.array([face.landmarks for face in faces])
    np.testing.assert_allclose(points, points[:1].repeat(30, 0), atol=1e-6)
    assert all(face.presence == 1 for face in faces)


def test_jitter_of_a_resting_face_is_damped(rng):
    jitter = {i: tuple(np.array([300, 200]) + rng.normal(0, 0.3, 2)) for i in range(60)}
    faces = smoothed(track_along(jitter), 60)
    raw = np.diff(list(jitter.values()), axis=0)
    steady = np.diff([face.landmarks[2] for face in faces], axis=0)
    assert np.abs(steady).max() < 0.25 * np.abs(raw).max()


@pytest.mark.parametrize("speed", [0.5, 2.0, 12.0])
def test_straight_motion_has_no_lag(speed):
    track = track_along({i: (100 + speed * i, 200 - speed * i / 2) for i in range(40)})
    for index, face in enumerate(smoothed(track, 40)):
        np.testing.assert_allclose(face.landmarks, track.observations[index].points, atol=1e-6)
        assert face.box == pytest.approx(tuple(track.observations[index].box), abs=1e-6)


def test_the_turning_point_of_a_fast_face_is_kept():
    path = {i: (300 + 80 * np.sin(i / 4), 200.0) for i in range(50)}
    faces = smoothed(track_along(path), 50)
    error = [abs(face.landmarks[2, 0] - path[i][0]) for i, face in enumerate(faces)]
    assert max(error) < 0.03 * 60


def test_a_short_gap_is_filled_along_the_way():
    track = track_along({i: (100 + 4.0 * i, 200) for i in range(40) if not 15 <= i < 20})
    faces = smoothed(track, 40)
    # That the face would come back was not yet known when its frames before the gap went out.
    assert min(face.presence for face in faces) > 0.6
    np.testing.assert_allclose(
        [f.landmarks[2, 0] for f in faces], 100 + 4.0 * np.arange(40), atol=1e-6
    )


def test_a_long_gap_is_not_filled():
    track = track_along({i: (100.0, 200) for i in range(60) if not 20 <= i < 40})
    faces = smoothed(track, 60)
    assert all(face is None for face in faces[20:40])
    assert faces[19].presence == pytest.approx(STEP) and faces[40].presence == pytest.approx(STEP)


def test_presence_rises_and_falls_over_the_ramp():
    track = track_along(dict.fromkeys(range(10, 31), (300.0, 200)))
    faces = smoothed(track, 60)
    assert [face is not None for face in faces] == [10 <= i <= 30 for i in range(60)]
    presence = [face.presence for face in faces[10:31]]
    assert presence[:RAMP] == pytest.approx([STEP * (k + 1) for k in range(RAMP)])
    assert presence[-RAMP:] == pytest.approx([STEP * (RAMP - k) for k in range(RAMP)])
    assert presence[RAMP:-RAMP] == pytest.approx([1.0] * (21 - 2 * RAMP))


def test_a_face_in_the_first_and_last_frame_of_a_scene_is_fully_present():
    faces = smoothed(track_along(dict.fromkeys(range(12), (300.0, 200))), 12)
    assert [face.presence for face in faces] == [1.0] * 12


def test_missed_frames_do_not_lower_presence():
    track = track_along({i: (300.0, 200) for i in range(40) if i not in (12, 20, 21)})
    assert {face.presence for face in smoothed(track, 40)} == {1.0}


def test_presence_never_jumps(rng):
    seen = [i for i in range(200) if (i // 13) % 3 or rng.random() < 0.3]
    for lookahead in (0, 2, 8):
        faces = smoothed(track_along(dict.fromkeys(seen, (300.0, 200))), 200, lookahead, start=-1)
        presence = np.array([face.presence if face else 0.0 for face in faces])
        assert np.abs(np.diff(presence)).max() <= STEP + 1e-9


def test_without_lookahead_a_face_fades_after_it_was_last_seen():
    faces = smoothed(track_along(dict.fromkeys(range(10), (300.0, 200))), 20, lookahead=0)
    presence = [face.presence if face else 0.0 for face in faces[9:16]]
    assert presence == pytest.approx([1 - STEP * k for k in range(RAMP + 1)] + [0])
    np.testing.assert_allclose(faces[12].landmarks, faces[9].landmarks)


def test_turned_small_and_outside_faces_are_left_alone():
    def last(x, size, yaw=0.0, min_face=16.0):
        track = Track(1, detector_score=0.9)
        for index in range(12):
            track.add(index, observation_at(x, 200, size, yaw=yaw))
        return smoothed(track, 12, min_face=min_face)[-1]

    assert last(300, 60).skipped is None and last(300, 60).presence == 1
    assert last(300, 60, yaw=radians(60)).presence == 1
    assert last(300, 60, yaw=radians(72)).presence < 1
    assert last(300, 60, yaw=radians(80)).skipped == "turned too far to a side"
    assert last(300, 15).skipped == "smaller than 16 px"
    assert last(300, 15, min_face=0).skipped is None
    assert last(-20, 60).skipped == "not seen clearly"


def test_the_one_euro_filter_is_steady_at_rest_and_quick_in_motion(rng):
    euro = OneEuroFilter()
    rest = np.array([euro(np.full(2, 100.0) + rng.normal(0, 0.3, 2), 60.0) for _ in range(80)])
    # Noise itself moves by up to 1.5 pixels a frame.
    assert np.abs(np.diff(rest[20:], axis=0)).max() < 0.4
    euro = OneEuroFilter()
    lag = [abs(euro(np.full(2, 6.0 * i), 60.0)[0] - 6.0 * i) for i in range(40)]
    assert max(lag[10:]) < 0.03 * 60


def test_the_fade_out_counts_back_from_the_last_observation():
    assert fade_out(5, last=9, horizon=9, lookahead=8) == 1
    assert fade_out(9, last=9, horizon=12, lookahead=8) == pytest.approx(STEP)
    assert fade_out(10, last=9, horizon=12, lookahead=8) == 0
    assert fade_out(9, last=9, horizon=12, lookahead=0) == 1


def test_step_is_smooth_and_clipped():
    assert [smooth_step(1, 3, v) for v in (0, 1, 2, 3, 9)] == [0, 0, 0.5, 1, 1]
