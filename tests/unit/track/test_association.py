"""Association of boxes made by hand, without models."""

import numpy as np
import pytest

from crsr_video.track.association import (
    confirmed_by,
    is_same_face,
    match_detections,
    match_lost,
    recognised,
    surprise,
    worse_track,
)
from crsr_video.track.detection import Detection
from tests.support.tracking import detection_at, observation_at, region_at, track_along


def test_detections_are_matched_for_the_best_total():
    found = [detection_at(118, 100), detection_at(95, 100)]
    assert sorted(match_detections([region_at(100, 100), region_at(125, 100)], found)) == [
        (0, 1),
        (1, 0),
    ]


def test_distant_or_differently_sized_detections_are_not_matched():
    far = [detection_at(300, 100), detection_at(100, 100, size=200)]
    assert match_detections([region_at(100, 100)], far) == []
    assert match_detections([], far) == [] and match_detections([region_at(0, 0)], []) == []


def test_a_lost_face_is_matched_by_its_appearance():
    lost = [track_along({i: (100 + 2.0 * i, 100) for i in range(10)})]
    himself, another = observation_at(150, 100), observation_at(150, 100, person=2)
    assert match_lost(lost, 25, [another, himself]) == [(0, 1)]
    assert match_lost(lost, 25, [another]) == []
    assert match_lost(lost, 25, []) == [] and match_lost([], 25, [himself]) == []


def test_a_lost_face_is_matched_along_its_way_only():
    lost = [track_along({i: (100 + 6.0 * i, 100) for i in range(10)})]
    for x in (154, 200, 250):
        assert match_lost(lost, 25, [observation_at(x, 100)]) == [(0, 0)]
    assert match_lost(lost, 25, [observation_at(-20, 100)]) == []
    assert match_lost(lost, 11, [observation_at(260, 100)]) == []


def test_two_lost_faces_are_matched_by_appearance_although_they_swapped_places():
    lost = [track_along({0: (100.0, 100.0)}), track_along({0: (150.0, 100.0)}, 2)]
    lost[1].appearance = observation_at(0, 0, person=2).appearance
    found = [observation_at(105, 100, person=2), observation_at(145, 100)]
    assert sorted(match_lost(lost, 6, found)) == [(0, 1), (1, 0)]


def test_a_face_that_came_back_half_covered_is_recognised_once_it_is_uncovered():
    lost = track_along(dict.fromkeys(range(6), (100.0, 100.0)), 1)
    new = track_along({}, 2)
    new.appearance = observation_at(0, 0, person=1).appearance
    for index, look in ((12, 1), (13, 1), (14, 0)):
        new.add(index, observation_at(104, 100, person=look))
        pairs = recognised([lost, new], index)
        assert [(a.id, b.id) for a, b in pairs] == ([(1, 2)] if look == 0 else [])
    lost.absorb(new)
    assert list(lost.observations) == [0, 1, 2, 3, 4, 5, 12, 13, 14] and lost.last == 14


def test_the_age_of_a_track_counts_from_its_birth():
    lost, old = track_along({0: (100.0, 100.0)}, 1), track_along({4: (104.0, 100.0)}, 2)
    for index in range(5, 31):
        old.add(index, observation_at(104, 100))
        old.forget_before(index)
    assert list(old.observations) == [30]
    assert recognised([lost, old], 30) == []


def test_no_face_is_recognised_far_away_or_after_a_long_time():
    lost = track_along({0: (100.0, 100.0)}, 1)
    far, old = track_along({8: (600.0, 100.0)}, 2), track_along({8: (104.0, 100.0)}, 3)
    old.add(30, observation_at(104, 100))
    assert recognised([lost, far], 8) == []
    assert recognised([lost, old], 30) == []


def test_the_track_that_looks_unlike_itself_loses_a_shared_face():
    at_home = track_along(dict.fromkeys(range(12), (100.0, 100.0)), 1)
    slipped = track_along(dict.fromkeys(range(12), (100.0, 100.0)), 2)
    slipped.appearance = observation_at(0, 0, person=2).appearance
    assert worse_track(at_home, slipped, 11) is slipped
    assert worse_track(slipped, at_home, 11) is slipped


def test_the_face_score_follows_the_agreement_about_the_eyes():
    seen = observation_at(100, 100, face_score=0.01)

    def face(off):
        return Detection(np.array([70.0, 70, 130, 130]), np.add(seen.points[:2], (off, 0)), 0.9)

    assert confirmed_by(face(0), seen).face_score == pytest.approx(0.1)
    assert confirmed_by(face(6), seen).face_score == seen.face_score
    sure = observation_at(100, 100)
    assert confirmed_by(face(0), sure).face_score == 1
    assert confirmed_by(face(15), sure).face_score == 0


def test_the_track_that_strayed_loses_a_shared_face():
    straight = track_along({i: (100 + 2.0 * i, 100) for i in range(12)}, 1)
    strayed = track_along({i: (160 - 2.0 * i if i < 9 else 115 + i / 2, 100) for i in range(12)}, 2)
    assert is_same_face(straight.latest.region, strayed.latest.region)
    assert surprise(straight, 11) < surprise(strayed, 11)
    assert worse_track(straight, strayed, 11) is strayed


def test_nested_faces_are_one_and_neighbours_are_two():
    assert is_same_face(region_at(100, 100, 90), region_at(110, 110, 40))
    assert not is_same_face(region_at(100, 100), region_at(140, 100))


def test_many_detections_are_matched_with_the_nearest_track_each():
    expected = [region_at(100 * number, 100) for number in range(1, 5)]
    found = [detection_at(100 * number + 3, 100) for number in (3, 1, 4, 7)]
    assert sorted(match_detections(expected, found)) == [(0, 1), (2, 0), (3, 2)]
