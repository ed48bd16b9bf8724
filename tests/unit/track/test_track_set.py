"""Tracks of scripted faces, without models. A frame is its number here."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from crsr_video.track.track_set import MAX_TRACKS, TrackSet
from crsr_video.track.tracks import SEARCH_FRAMES
from tests.support.tracking import detection_at, observation_at

MEMORY = 30


class ScriptedModel:
    """Replaces the landmark model: observes the one of the given faces nearest to the region."""

    def __init__(self, faces):
        self.faces = faces
        self.runs = 0

    def observe(self, frame, region):
        self.runs += 1
        here = self.faces(frame)
        near = [f for f in here if np.hypot(f[0] - region.x, f[1] - region.y) < 0.4 * region.side]
        if not near:
            return observation_at(region.x, region.y, face_score=0.0, person=1)
        x, y = min(near, key=lambda f: np.hypot(f[0] - region.x, f[1] - region.y))
        return observation_at(x, y)


def detect(track_set, index, *detections, past=()):
    """Update the tracks by detections; return the tracks observed."""
    return track_set.update(index, index, list(detections), [], list(past))[0]


def run(faces, frames, detects=lambda _: True):
    """Track scripted faces; return {track ID: centre} for each frame."""
    track_set = TrackSet(ScriptedModel(faces), count(1), min_size=10)
    seen = []
    for index in range(frames):
        track_set.follow(index, index, np.zeros(2))
        if detects(index):
            detect(track_set, index, *(detection_at(*face) for face in faces(index)))
        seen.append(
            {
                t.id: (t.latest.region.x, t.latest.region.y)
                for t in track_set.tracks
                if t.last == index and t.confirmed
            }
        )
    return seen


def test_a_new_face_beside_a_lost_one_needs_two_detections():
    track_set = TrackSet(ScriptedModel(lambda _: faces), count(1), min_size=10)
    faces = [(100, 100)]
    detect(track_set, 0, detection_at(100, 100))
    faces = [(140, 100)]
    track_set.tracks[0].appearance = observation_at(0, 0, person=2).appearance
    assert detect(track_set, 2, detection_at(140, 100)) == []
    track_set.follow(3, 3, np.zeros(2))
    assert [t.id for t in detect(track_set, 3, detection_at(140, 100))] == [2]


def test_lost_faces_are_searched_for_farther_around_than_doubtful_ones():
    track_set = TrackSet(ScriptedModel(lambda _: [(100, 100)]), count(1), min_size=10)
    detect(track_set, 0, detection_at(100, 100))
    (track,) = track_set.tracks
    assert track_set.extra_runs(0, 6, []) == []
    (wide,) = track_set.extra_runs(2, 6, [])
    track.add(9, observation_at(100, 100, face_score=0.2))
    (close,) = track_set.extra_runs(9, 6, [])
    assert (wide.detector, close.detector) == ("full_range", "short_range")
    assert wide.region.side > 2 * close.region.side > 2 * track.latest.region.side
    assert track_set.extra_runs(9, 6, []) == []  # Once is enough for now.


def test_a_face_observed_upside_down_is_observed_again():
    class TurnedModel(ScriptedModel):
        def observe(self, frame, region):
            seen = super().observe(frame, region)
            c, s = np.cos(region.angle), np.sin(region.angle)
            points = (seen.points - 100) @ np.array([[c, s], [-s, c]]) + 100
            return replace(seen, points=points, region=replace(seen.region, angle=region.angle))

    def lying(score, angle):
        across = 10 * np.array([np.cos(angle), np.sin(angle)])
        above = 6 * np.array([np.sin(angle), -np.cos(angle)])
        eyes = np.array([100.0, 100]) + above + [-across, across]
        return replace(detection_at(100, 100, score=score), eyes=eyes)

    track_set = TrackSet(TurnedModel(lambda _: [(100, 100)]), count(1), min_size=10)
    detect(track_set, 0, lying(0.8, np.pi / 2))
    track_set.follow(1, 1, np.zeros(2))
    detect(track_set, 1, lying(0.82, -np.pi / 2), past=[(0, 0)])
    assert [t.latest.region.angle for t in track_set.tracks] == [pytest.approx(np.pi / 2, abs=0.1)]
    detect(track_set, 1, lying(0.95, -np.pi / 2), past=[(0, 0)])
    (track,) = track_set.tracks
    assert track.id == 1
    angles = [track.observations[i].region.angle for i in (0, 1)]
    assert angles == [pytest.approx(-np.pi / 2, abs=0.1)] * 2


def test_faces_beyond_the_limit_are_counted_and_left_alone():
    track_set = TrackSet(ScriptedModel(lambda _: places), count(1), min_size=10)
    places = [(100 * i, 100 * j) for i in range(12) for j in range(12)]
    detect(track_set, 0, *(detection_at(*place) for place in places))
    assert len(track_set.tracks) == MAX_TRACKS
    assert track_set.refused == 144 - MAX_TRACKS


def test_faces_that_cross_keep_their_track_ids():
    def faces(index):
        return [(50 + 6 * index, 100), (410 - 6 * index, 160)]

    seen = run(faces, 60)
    assert all(set(frame) == {1, 2} for frame in seen)
    assert all(frame[1] == (50 + 6 * i, 100) for i, frame in enumerate(seen))


@pytest.mark.parametrize(("speed", "share"), [(0.0, 0.5), (0.5, 0.5), (6.0, 1.0)])
def test_a_slow_face_is_observed_in_every_second_frame(speed, share):
    model = ScriptedModel(lambda index: [(100 + speed * index, 100)])
    track_set = TrackSet(model, count(1), min_size=10)
    detect(track_set, 0, detection_at(100, 100))
    before = model.runs
    for index in range(1, 41):
        track_set.follow(index, index, np.zeros(2))
        (track,) = track_set.tracks
        assert track.last == index
        error = abs(
            track.latest.points.mean(0)[0]
            - observation_at(100 + speed * index, 0).points.mean(0)[0]
        )
        assert error < 0.015 * 60
    assert model.runs - before == pytest.approx(40 * share, abs=4)
    # Only the last observation may be extrapolated.
    assert len(track.observations) <= model.runs - before + 2


def test_an_extrapolated_observation_is_dropped_when_the_face_is_gone():
    faces = [(100, 100)]
    track_set = TrackSet(ScriptedModel(lambda _: faces), count(1), min_size=10)
    detect(track_set, 0, detection_at(100, 100))
    for index in range(1, 7):
        track_set.follow(index, index, np.zeros(2))
    (track,) = track_set.tracks
    seen = track.last if track.extrapolated is None else track.last - 1
    faces = []
    for index in (7, 8):
        track_set.follow(index, index, np.zeros(2))
    assert track.last == seen


def test_a_covered_face_keeps_its_track_id():
    def faces(index):
        passing = (40 + 8 * index, 100)
        resting = (200.0, 104.0)
        covered = abs(passing[0] - resting[0]) < 30
        return [passing] if covered else [passing, resting]

    seen = run(faces, 40, detects=lambda index: index % 4 == 0)
    assert set().union(*seen) == {1, 2}
    assert seen[-1] == {1: (40 + 8 * 39, 100), 2: (200, 104)}


def test_a_lost_face_keeps_its_track_id_for_a_limited_time():
    def faces(gone):
        return lambda index: [] if 10 <= index < 10 + gone else [(100, 100)]

    assert set(run(faces(MEMORY - 2), 60)[-1]) == {1}
    assert set(run(faces(MEMORY + 6), 60)[-1]) == {2}


def test_the_work_on_lost_faces_is_bounded():
    model = ScriptedModel(lambda index: [(100, 100)] if index == 0 else [])
    track_set = TrackSet(model, count(1), min_size=10)
    detect(track_set, 0, detection_at(100, 100))
    for index in range(1, 50):
        track_set.follow(index, index, np.zeros(2))
    assert not track_set.tracks
    assert model.runs <= SEARCH_FRAMES + 2


def test_a_new_face_is_traced_back():
    model = ScriptedModel(lambda index: [(100 + 3 * index, 100)])
    track_set = TrackSet(model, count(1), min_size=10)
    detect(track_set, 6, detection_at(118, 100), past=[(5, 5), (4, 4), (3, 3)])
    (track,) = track_set.tracks
    assert list(track.observations) == [3, 4, 5, 6]
    assert track.observations[3].region.x == 109


def test_a_doubtful_face_needs_two_detections():
    track_set = TrackSet(ScriptedModel(lambda _: [(100, 100)]), count(1), min_size=10)
    (weak,) = [detection_at(100, 100, score=0.5)]
    assert detect(track_set, 0, weak) == []
    track_set.follow(1, 1, np.zeros(2))
    assert [track.id for track in detect(track_set, 1, weak)] == [1]


def test_faces_below_the_least_size_are_not_tracked():
    track_set = TrackSet(ScriptedModel(lambda _: [(100, 100)]), count(1), min_size=61)
    detect(track_set, 0, detection_at(100, 100))
    assert track_set.tracks == []
