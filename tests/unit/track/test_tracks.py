"""Tracks made by hand, without models."""

import numpy as np
import pytest

from crsr_video.track.tracks import SEARCH_FRAMES, face_confidence, is_plausible
from tests.support.tracking import observation_at, region_at, track_along


def test_a_detected_face_keeps_its_score_for_a_while_and_while_it_looks_the_same():
    track = track_along({0: (100.0, 100.0)})
    track.least_face_score = 0.1
    weak, changed = (
        observation_at(100, 100, face_score=0.001),
        observation_at(100, 100, face_score=0.001, person=1),
    )
    assert track.with_least_face_score(SEARCH_FRAMES, weak).face_score == 0.1
    assert track.with_least_face_score(SEARCH_FRAMES, changed).face_score == 0.001
    assert track.with_least_face_score(SEARCH_FRAMES + 1, weak).face_score == 0.001
    assert (
        track.with_least_face_score(1, observation_at(100, 100, face_score=0.5)).face_score == 0.5
    )


def test_the_confidence_in_a_covered_face_is_lower():
    track = track_along(dict.fromkeys(range(5), (100.0, 100.0)))
    track.add(5, observation_at(100, 100, person=1))
    assert track.confidences[4] == 1 and track.confidences[5] < 0.1


def test_the_motion_of_the_camera_is_not_that_of_the_face():
    track = track_along({0: (100.0, 100.0), 1: (100.0, 100.0)})
    for index in (2, 3):
        track.camera_shift = track.camera_shift + np.array([30.0, -10])
        assert track.expected_region(index).x == pytest.approx(100 + 30 * (index - 1), abs=3)
        track.add(index, observation_at(100 + 30 * (index - 1), 100 - 10 * (index - 1)))
    np.testing.assert_allclose(track.velocity, 0, atol=1e-9)


def test_the_region_rests_on_a_resting_face(rng):
    track = track_along({0: (100.0, 100.0)})
    regions = []
    for index in range(1, 40):
        x, y = 100 + rng.normal(0, 0.2, 2)
        track.add(index, observation_at(x, y, seen_in=track.expected_region(index)))
        regions.append(track.region)
    assert len({(round(r.x, 9), round(r.y, 9), r.side) for r in regions[20:]}) == 1


def test_an_uncertain_observation_does_not_resize_the_region():
    track = track_along({0: (100.0, 100.0)})
    for index in range(1, 6):
        track.add(
            index,
            observation_at(100, 100, 90, face_score=0.02, seen_in=track.expected_region(index)),
        )
    assert track.region.side < 1.35 * 60 * 1.5


def test_the_region_runs_ahead_of_a_moving_face():
    track = track_along({i: (100 + 5.0 * i, 100 - 2.0 * i) for i in range(10)})
    slack = 0.03 * track.latest.region.side
    assert track.expected_region(10).x == pytest.approx(150, abs=slack + 0.1)
    assert track.expected_region(13).x == pytest.approx(165, abs=slack + 0.1)
    assert not is_plausible(track.expected_region(10), region_at(230, 80))


def test_the_detector_counts_for_small_faces_and_the_landmark_model_for_large_ones():
    assert face_confidence(0.8, 0.05, 25) > 0.6
    assert face_confidence(0.8, 0.01, 120) < 0.1
    assert face_confidence(0.0, 0.99, 120) == 1
    assert face_confidence(0.45, 0.3, 30) < 0.3


def test_the_detector_counts_for_large_faces_that_are_turned_to_a_side():
    assert face_confidence(0.8, 0.02, 70, yaw=-1.0) > 0.5
    assert face_confidence(0.8, 0.02, 70, yaw=0.3) < 0.1
    assert face_confidence(0.6, 0.001, 70, yaw=1.0) == 0


def test_runs_end_at_gaps_that_cannot_be_bridged():
    track = track_along(dict.fromkeys((2, 3, 4, 8, 9, 20, 21), (100.0, 100.0)))
    assert track.end_of_run(1, 8) is None
    assert track.end_of_run(3, 8) == 9
    assert track.end_of_run(15, 8) == 9
    assert track.end_of_run(15, 10) == 21
    assert track.end_of_run(20, 3) == 21
    track.forget_before(9)
    assert list(track.observations) == [9, 20, 21]
