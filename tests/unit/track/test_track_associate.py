"""Association on boxes made by hand: no models."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from crsr_video.track.associate import (
    assign,
    recognised,
    reunite,
    same_face,
    surprise,
    vouched,
    worse,
)
from crsr_video.track.detect import Detection, iou, suppress
from crsr_video.track.follow import MOST_FACES, Crowd
from crsr_video.track.tracks import PATIENCE, belief, plausible
from tests.support.tracking import region_at, sighting_at, track_along

MEMORY = 30


def detection_at(x, y, size=60.0, score=0.9):
    half = size / 1.6 * 1.5 / 2  # its region is then that of a mesh of this size
    box = np.array([x - half, y - half, x + half, y + half])
    return Detection(box, np.array([[x - 10, y], [x + 10, y]]), score)


class Scripted:
    """Stands in for the mesh model: sees whichever of the given faces is nearest the region."""

    def __init__(self, faces):
        self.faces = faces
        self.now = 0
        self.calls = 0

    def look(self, frame, region):
        self.calls += 1
        here = self.faces(frame)
        near = [f for f in here if np.hypot(f[0] - region.x, f[1] - region.y) < 0.4 * region.side]
        if not near:
            return sighting_at(region.x, region.y, flag=0.0, look=1)
        x, y = min(near, key=lambda f: np.hypot(f[0] - region.x, f[1] - region.y))
        return sighting_at(x, y)


def run(faces, frames, sweep=lambda _: True):
    """Follow scripted faces; (index, {id: centre}) for each frame. A frame is its number here."""
    crowd = Crowd(Scripted(faces), count(1), least=10)
    seen = []
    for index in range(frames):
        crowd.follow(index, index, np.zeros(2))
        if sweep(index):
            crowd.meet(index, index, [detection_at(*face) for face in faces(index)], [], [])
        seen.append(
            {
                t.id: (t.latest.region.x, t.latest.region.y)
                for t in crowd.tracks
                if t.last == index and t.confirmed
            }
        )
    return seen


def test_iou_of_known_boxes():
    a = np.array([[0.0, 0, 2, 2]])
    b = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0]], atol=1e-6)


def test_suppress_keeps_the_best_of_each_face():
    found = [
        detection_at(50, 50, score=0.6),
        detection_at(55, 50, score=0.9),
        detection_at(200, 50, score=0.5),
    ]
    assert [face.score for face in suppress(found)] == [0.9, 0.5]


def test_assign_prefers_the_best_total():
    found = [detection_at(118, 100), detection_at(95, 100)]
    assert sorted(assign([region_at(100, 100), region_at(125, 100)], found)) == [
        (0, 1),
        (1, 0),
    ]


def test_assign_leaves_what_is_far_or_of_another_size():
    far = [detection_at(300, 100), detection_at(100, 100, size=200)]
    assert assign([region_at(100, 100)], far) == []
    assert assign([], far) == [] and assign([region_at(0, 0)], []) == []


def test_a_lost_face_is_known_by_its_looks():
    lost = [track_along({i: (100 + 2.0 * i, 100) for i in range(10)})]
    himself, another = sighting_at(150, 100), sighting_at(150, 100, look=2)
    assert reunite(lost, 25, [another, himself]) == [(0, 1)]
    assert reunite(lost, 25, [another]) == []
    assert reunite(lost, 25, []) == [] and reunite([], 25, [himself]) == []


def test_a_lost_face_may_have_gone_on_or_stopped_but_not_anywhere():
    lost = [track_along({i: (100 + 6.0 * i, 100) for i in range(10)})]
    for x in (154, 200, 250):
        assert reunite(lost, 25, [sighting_at(x, 100)]) == [(0, 0)]
    assert reunite(lost, 25, [sighting_at(-20, 100)]) == []
    assert reunite(lost, 11, [sighting_at(260, 100)]) == []


def test_two_lost_faces_find_themselves_whoever_is_nearer():
    lost = [track_along({0: (100.0, 100.0)}), track_along({0: (150.0, 100.0)}, 2)]
    lost[1].look = sighting_at(0, 0, look=2).look
    found = [sighting_at(105, 100, look=2), sighting_at(145, 100)]
    assert sorted(reunite(lost, 6, found)) == [(0, 1), (1, 0)]


def test_a_face_that_came_back_half_covered_is_recognised_when_it_is_uncovered():
    lost = track_along(dict.fromkeys(range(6), (100.0, 100.0)), 1)
    new = track_along({}, 2)
    new.look = sighting_at(0, 0, look=1).look
    for index, look in ((12, 1), (13, 1), (14, 0)):
        new.see(index, sighting_at(104, 100, look=look))
        pairs = recognised([lost, new], index)
        assert [(a.id, b.id) for a, b in pairs] == ([(1, 2)] if look == 0 else [])
    lost.absorb(new)
    assert list(lost.sightings) == [0, 1, 2, 3, 4, 5, 12, 13, 14] and lost.last == 14


def test_a_track_is_young_by_its_birth_and_not_by_what_is_still_known_of_it():
    lost, old = track_along({0: (100.0, 100.0)}, 1), track_along({4: (104.0, 100.0)}, 2)
    for index in range(5, 31):
        old.see(index, sighting_at(104, 100))
        old.forget(index)
    assert list(old.sightings) == [30]
    assert recognised([lost, old], 30) == []


def test_nobody_is_recognised_far_away_or_after_long():
    lost = track_along({0: (100.0, 100.0)}, 1)
    far, old = track_along({8: (600.0, 100.0)}, 2), track_along({8: (104.0, 100.0)}, 3)
    old.see(30, sighting_at(104, 100))
    assert recognised([lost, far], 8) == []
    assert recognised([lost, old], 30) == []


def test_a_new_face_beside_one_just_lost_takes_two_hits():
    crowd = Crowd(Scripted(lambda _: faces), count(1), least=10)
    faces = [(100, 100)]
    crowd.meet(0, 0, [detection_at(100, 100)], [], [])
    faces = [(140, 100)]
    crowd.tracks[0].look = sighting_at(0, 0, look=2).look
    assert crowd.meet(2, 2, [detection_at(140, 100)], [], []) == []
    crowd.follow(3, 3, np.zeros(2))
    assert [t.id for t in crowd.meet(3, 3, [detection_at(140, 100)], [], [])] == [2]


def test_lost_faces_are_looked_for_further_off_than_those_in_doubt():
    crowd = Crowd(Scripted(lambda _: [(100, 100)]), count(1), least=10)
    crowd.meet(0, 0, [detection_at(100, 100)], [], [])
    (track,) = crowd.tracks
    assert crowd.doubtful(0, 6, []) == []
    (wide,) = crowd.doubtful(2, 6, [])
    track.see(9, sighting_at(100, 100, flag=0.2))
    (close,) = crowd.doubtful(9, 6, [])
    assert (wide.model, close.model) == ("full_range", "short_range")
    assert wide.region.side > 2 * close.region.side > 2 * track.latest.region.side
    assert crowd.doubtful(9, 6, []) == []  # once is enough for now


def test_the_track_that_looks_unlike_itself_loses_a_shared_face():
    at_home = track_along(dict.fromkeys(range(12), (100.0, 100.0)), 1)
    slipped = track_along(dict.fromkeys(range(12), (100.0, 100.0)), 2)
    slipped.look = sighting_at(0, 0, look=2).look
    assert worse(at_home, slipped, 11) is slipped
    assert worse(slipped, at_home, 11) is slipped


def test_meshes_count_as_far_as_the_detector_sees_the_eyes_in_the_same_places():
    seen = sighting_at(100, 100, flag=0.01)

    def face(off):
        return Detection(np.array([70.0, 70, 130, 130]), np.add(seen.points[:2], (off, 0)), 0.9)

    assert vouched(face(0), seen).flag == pytest.approx(0.1)
    assert vouched(face(6), seen).flag == seen.flag
    sure = sighting_at(100, 100)
    assert vouched(face(0), sure).flag == 1
    assert vouched(face(15), sure).flag == 0


def test_a_backed_mesh_is_believed_for_a_while_and_while_it_looks_the_same():
    track = track_along({0: (100.0, 100.0)})
    track.backing = 0.1
    weak, changed = sighting_at(100, 100, flag=0.001), sighting_at(100, 100, flag=0.001, look=1)
    assert track.backed(PATIENCE, weak).flag == 0.1
    assert track.backed(PATIENCE, changed).flag == 0.001
    assert track.backed(PATIENCE + 1, weak).flag == 0.001
    assert track.backed(1, sighting_at(100, 100, flag=0.5)).flag == 0.5


def test_a_face_covered_by_another_thing_is_believed_less():
    track = track_along(dict.fromkeys(range(5), (100.0, 100.0)))
    track.see(5, sighting_at(100, 100, look=1))
    assert track.beliefs[4] == 1 and track.beliefs[5] < 0.1


def test_the_camera_s_motion_is_not_the_face_s():
    track = track_along({0: (100.0, 100.0), 1: (100.0, 100.0)})
    for index in (2, 3):
        track.drift = track.drift + np.array([30.0, -10])
        assert track.expected(index).x == pytest.approx(100 + 30 * (index - 1), abs=3)
        track.see(index, sighting_at(100 + 30 * (index - 1), 100 - 10 * (index - 1)))
    np.testing.assert_allclose(track.velocity, 0, atol=1e-9)


def test_a_face_taken_for_one_that_stands_on_its_head_is_seen_anew():
    class Turned(Scripted):
        def look(self, frame, region):
            seen = super().look(frame, region)
            c, s = np.cos(region.angle), np.sin(region.angle)
            points = (seen.points - 100) @ np.array([[c, s], [-s, c]]) + 100
            return replace(seen, points=points, region=replace(seen.region, angle=region.angle))

    def lying(score, angle):
        across = 10 * np.array([np.cos(angle), np.sin(angle)])
        above = 6 * np.array([np.sin(angle), -np.cos(angle)])
        eyes = np.array([100.0, 100]) + above + [-across, across]
        return replace(detection_at(100, 100, score=score), eyes=eyes)

    crowd = Crowd(Turned(lambda _: [(100, 100)]), count(1), least=10)
    crowd.meet(0, 0, [lying(0.8, np.pi / 2)], [], [])
    crowd.follow(1, 1, np.zeros(2))
    crowd.meet(1, 1, [lying(0.82, -np.pi / 2)], [], [(0, 0)])
    assert [t.latest.region.angle for t in crowd.tracks] == [pytest.approx(np.pi / 2, abs=0.1)]
    crowd.meet(1, 1, [lying(0.95, -np.pi / 2)], [], [(0, 0)])
    (track,) = crowd.tracks
    assert track.id == 1
    angles = [track.sightings[i].region.angle for i in (0, 1)]
    assert angles == [pytest.approx(-np.pi / 2, abs=0.1)] * 2


def test_faces_beyond_the_cap_are_counted_and_left():
    crowd = Crowd(Scripted(lambda _: places), count(1), least=10)
    places = [(100 * i, 100 * j) for i in range(12) for j in range(12)]
    crowd.meet(0, 0, [detection_at(*place) for place in places], [], [])
    assert len(crowd.tracks) == MOST_FACES
    assert crowd.refused == 144 - MOST_FACES


def test_faces_that_cross_keep_their_ids():
    def faces(index):
        return [(50 + 6 * index, 100), (410 - 6 * index, 160)]

    seen = run(faces, 60)
    assert all(set(frame) == {1, 2} for frame in seen)
    assert all(frame[1] == (50 + 6 * i, 100) for i, frame in enumerate(seen))


def test_face_that_is_covered_keeps_its_id():
    def faces(index):
        passing = (40 + 8 * index, 100)
        resting = (200.0, 104.0)
        covered = abs(passing[0] - resting[0]) < 30
        return [passing] if covered else [passing, resting]

    seen = run(faces, 40, sweep=lambda index: index % 4 == 0)
    assert set().union(*seen) == {1, 2}
    assert seen[-1] == {1: (40 + 8 * 39, 100), 2: (200, 104)}


def test_lost_face_is_remembered_for_a_while_only():
    def faces(gone):
        return lambda index: [] if 10 <= index < 10 + gone else [(100, 100)]

    assert set(run(faces(MEMORY - 2), 60)[-1]) == {1}
    assert set(run(faces(MEMORY + 6), 60)[-1]) == {2}


def test_patience_bounds_the_work_on_lost_faces():
    model = Scripted(lambda index: [(100, 100)] if index == 0 else [])
    crowd = Crowd(model, count(1), least=10)
    crowd.meet(0, 0, [detection_at(100, 100)], [], [])
    for index in range(1, 50):
        crowd.follow(index, index, np.zeros(2))
    assert not crowd.tracks
    assert model.calls <= PATIENCE + 2


def test_new_face_is_traced_back():
    crowd = Crowd(Scripted(lambda index: [(100 + 3 * index, 100)]), count(1), least=10)
    crowd.meet(6, 6, [detection_at(118, 100)], [], [(5, 5), (4, 4), (3, 3)])
    (track,) = crowd.tracks
    assert list(track.sightings) == [3, 4, 5, 6]
    assert track.sightings[3].region.x == 109


def test_doubtful_face_needs_two_hits():
    crowd = Crowd(Scripted(lambda _: [(100, 100)]), count(1), least=10)
    (weak,) = [detection_at(100, 100, score=0.5)]
    assert crowd.meet(0, 0, [weak], [], []) == []
    crowd.follow(1, 1, np.zeros(2))
    assert [track.id for track in crowd.meet(1, 1, [weak], [], [])] == [1]


def test_small_faces_are_not_followed():
    crowd = Crowd(Scripted(lambda _: [(100, 100)]), count(1), least=61)
    crowd.meet(0, 0, [detection_at(100, 100)], [], [])
    assert crowd.tracks == []


def test_the_track_that_strayed_loses_a_shared_face():
    straight = track_along({i: (100 + 2.0 * i, 100) for i in range(12)}, 1)
    strayed = track_along({i: (160 - 2.0 * i if i < 9 else 115 + i / 2, 100) for i in range(12)}, 2)
    assert same_face(straight.latest.region, strayed.latest.region)
    assert surprise(straight, 11) < surprise(strayed, 11)
    assert worse(straight, strayed, 11) is strayed


def test_nested_faces_are_one_and_neighbours_are_two():
    assert same_face(region_at(100, 100, 90), region_at(110, 110, 40))
    assert not same_face(region_at(100, 100), region_at(140, 100))


def test_region_rests_on_a_resting_face(rng):
    track = track_along({0: (100.0, 100.0)})
    regions = []
    for index in range(1, 40):
        x, y = 100 + rng.normal(0, 0.2, 2)
        track.see(index, sighting_at(x, y, seen_in=track.expected(index)))
        regions.append(track.region)
    assert len({(round(r.x, 9), round(r.y, 9), r.side) for r in regions[20:]}) == 1


def test_region_does_not_change_size_with_a_mesh_in_doubt():
    track = track_along({0: (100.0, 100.0)})
    for index in range(1, 6):
        track.see(index, sighting_at(100, 100, 90, flag=0.02, seen_in=track.expected(index)))
    assert track.region.side < 1.35 * 60 * 1.5


def test_region_runs_ahead_of_a_moving_face():
    track = track_along({i: (100 + 5.0 * i, 100 - 2.0 * i) for i in range(10)})
    slack = 0.03 * track.latest.region.side
    assert track.expected(10).x == pytest.approx(150, abs=slack + 0.1)
    assert track.expected(13).x == pytest.approx(165, abs=slack + 0.1)
    assert not plausible(track.expected(10), region_at(230, 80))


def test_belief_trusts_the_detector_for_small_faces_and_the_mesh_for_large():
    assert belief(0.8, 0.05, 25) > 0.6
    assert belief(0.8, 0.01, 120) < 0.1
    assert belief(0.0, 0.99, 120) == 1
    assert belief(0.45, 0.3, 30) < 0.3


def test_runs_end_at_gaps_that_cannot_be_bridged():
    track = track_along(dict.fromkeys((2, 3, 4, 8, 9, 20, 21), (100.0, 100.0)))
    assert track.end_of_run(1, 8) is None
    assert track.end_of_run(3, 8) == 9
    assert track.end_of_run(15, 8) == 9
    assert track.end_of_run(15, 10) == 21
    assert track.end_of_run(20, 3) == 21
    track.forget(9)
    assert list(track.sightings) == [9, 20, 21]
