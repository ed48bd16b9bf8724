"""Faces from a tracks file keep their places, whatever part of the video is read."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from crsr_video.track.replay import Replay
from crsr_video.track.tracks_file import Recorder, TrackingSettings, VideoFacts
from tests.support.frames import make_face, make_frame, tracked

NAME = Path("t.json")
PICTURE = make_frame("yuv420p", 60, 80, np.random.default_rng(1))
FACTS = VideoFacts(80, 60, Fraction(1, 25), 0, Fraction(1), 1, 0.0, "0" * 64)


def frame(pts, **fields):
    return replace(PICTURE, pts=pts, **fields)


def path(pts):
    """Return tracks of face 1, which cannot be enhanced in frame 7 and is missing in 4 and 5."""
    why = "not seen clearly" if pts == 7 else None
    return make_face(20 + pts, 30, 40, degrees=pts, track=1, skipped=why)


def recording(min_face=16.0):
    recorder = Recorder()
    for pts in range(10):
        faces = [path(pts)] if pts not in (4, 5) else []
        if pts >= 6:
            faces.append(make_face(60, 30, 1.9 * (20 + pts), track=2))
        recorder.add(tracked(frame(pts), *faces, cut=pts in (0, 6)))
    return recorder.recording(FACTS, TrackingSettings(min_face), "test")


def at(stage, pts, **fields):
    (item,) = stage.push(frame(pts, **fields))
    return item


def test_every_recorded_face_is_returned():
    stage = Replay(recording(), NAME, min_face=16.0)
    for pts in range(10):
        item = at(stage, pts)
        faces = {face.track: face for face in item.faces}
        assert set(faces) == ({1} if pts not in (4, 5) else set()) | ({2} if pts >= 6 else set())
        assert item.cut == (pts in (0, 6))
        assert item.frame.pts == pts
        if 1 in faces:
            assert np.abs(faces[1].landmarks - path(pts).landmarks).max() < 0.0051
            assert faces[1].skipped == path(pts).skipped
    assert stage.notices == ()


def test_an_excerpt_whose_times_start_at_0_is_matched_by_the_shift():
    stage = Replay(recording(), NAME, shift=3)
    items = [at(stage, pts) for pts in range(7)]
    assert [item.cut for item in items] == [True, False, False, True, False, False, False]
    assert np.abs(items[0].faces[0].landmarks - path(3).landmarks).max() < 0.0051


def test_frames_may_come_in_any_order():
    stage = Replay(recording(), NAME, min_face=16.0)
    for pts in (8, 2, 9, 0):
        face = next(f for f in at(stage, pts).faces if f.track == 1)
        assert np.abs(face.landmarks - path(pts).landmarks).max() < 0.0051


def test_frames_that_are_not_in_the_file_are_reported():
    stage = Replay(recording(), NAME, min_face=16.0)
    assert [at(stage, pts).faces for pts in (-1, 10, 100)] == [()] * 3
    assert stage.notices == ("3 frames are not in t.json: no faces were enhanced there",)


def test_a_reset_begins_a_scene():
    stage = Replay(recording(), NAME, min_face=16.0)
    assert [at(stage, 1).cut, at(stage, 2).cut] == [True, False]
    stage.reset()
    assert at(stage, 3).cut


def test_a_greater_least_size_skips_more_faces():
    stage = Replay(recording(), NAME, min_face=27.0)
    faces = [f for pts in range(6, 10) for f in at(stage, pts).faces if f.track == 2]
    assert [f.skipped for f in faces] == ["smaller than 27 px"] + [None] * 3
    shares = [f.presence for f in faces[1:]]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1


def test_a_least_size_below_the_recorded_one_is_reported():
    assert Replay(recording(20.0), NAME, min_face=16.0).notices == (
        "t.json was made with `min_face` 20, so it has no smaller faces",
    )
