"""Facts that the observer gathers from passing frames."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from crsr_video.imaging.geometry import crop_from_frame
from crsr_video.imaging.masks import patch, possibly_changed
from crsr_video.report import observer as observer_module
from crsr_video.report.measurements import MAX_POINTS, SIDE, FacePair, Gauge, Presence, flicker
from crsr_video.report.observer import EnhancementObserver
from crsr_video.stages.backoff import DRIFT
from crsr_video.stages.base import Lowered
from crsr_video.types import TrackedFrame
from tests.support.frames import frame_of, make_face, make_frame
from tests.support.operations import NUMPY

BASE = Fraction(1, 25)


def finished(frame, faces, weight=1.0, change=0):
    """Return the frame, brighter inside the box of every changed face."""
    planes = [np.array(plane) for plane in frame.components]
    patches = []
    for face in faces:
        found = patch(face.track, frame, crop_from_frame(face.landmarks, 64), 64, weight)
        x0, y0, x1, y1 = found.box
        planes[0][y0:y1, x0:x1] = np.clip(planes[0][y0:y1, x0:x1].astype(int) + change, 0, 255)
        patches.append(found)
    return replace(frame.with_components(tuple(planes)), changed=tuple(patches))


def watch(observer, frames, faces_of, weight=1.0, change_of=lambda _: 0, cuts=(0,)):
    for number, frame in enumerate(frames):
        faces = faces_of(number)
        pasted = [face for face in faces if face.skipped is None]
        done = finished(frame, pasted, weight, change_of(number)) if pasted else frame
        observer.push(TrackedFrame(frame, tuple(faces), number in cuts), done)
    return observer.observations()


@pytest.fixture(scope="module")
def still():
    rng = np.random.default_rng(5)
    frame = make_frame("yuv420p", 96, 128, rng)
    return [replace(frame, pts=n, time_base=BASE) for n in range(60)]


FACE = make_face(60, 48, 64, track=3)


def test_counts_times_sizes_and_strengths_are_noted(still):
    def faces_of(number):
        face = FACE if number < 30 else replace(FACE, skipped="not seen clearly")
        return [face] if number >= 10 else []

    seen = watch(EnhancementObserver(), still[:50], faces_of, weight=0.75, cuts=(0, 20))
    (track,) = seen.people
    assert (track.id, track.frames, track.enhanced) == (3, 40, 20)
    assert (track.first_seconds, track.last_seconds) == (0.4, 1.96)
    width = round(FACE.box[2] - FACE.box[0], 1)
    assert (track.size_min, track.size_median, track.size_max) == (width, width, width)
    assert (track.strength_mean, track.strength_min, track.strength_max) == (0.75, 0.75, 0.75)
    assert track.skipped == {"not seen clearly": 20}
    assert [span.enhanced for span in track.spans] == [True, False]
    assert seen.changed == 20
    assert seen.cuts == (0.8,)  # The first frame is not a cut.
    assert track.backed_off is None and track.identity is None


def test_the_changed_area_counts_touched_pixels(still):
    seen = watch(EnhancementObserver(), still[:1], lambda _: [FACE])
    share = float(possibly_changed(finished(still[0], [FACE])).mean())
    assert seen.masks is not None
    assert (seen.masks.frames, seen.masks.mean) == (1, pytest.approx(share))
    assert 0.05 < share < 0.6


def test_flicker_of_source_and_result_are_separate(still):
    """The source is still, and the result changes by 8 codes in every other frame."""
    seen = watch(
        EnhancementObserver(), still[:40], lambda _: [FACE], change_of=lambda n: 8 * (n % 2)
    )
    measured = seen.people[0].flicker
    assert measured is not None
    assert measured.pairs == 4
    assert measured.before == 0
    assert measured.after == pytest.approx(8, abs=0.5)


def test_motion_is_not_flicker():
    rng = np.random.default_rng(6)
    wide = (
        make_frame("gray", 40, 40, rng).components[0].repeat(4, 0).repeat(4, 1).astype(np.float32)
    )
    import cv2

    smooth = cv2.GaussianBlur(wide, (0, 0), 3)
    a, b = smooth[:SIDE, :SIDE], smooth[1 : SIDE + 1, 2 : SIDE + 2]
    changes = flicker((a, a), (b, b + 3))
    assert changes is not None
    assert changes[0] < 0.5 * float(np.abs(a - b).mean())
    assert changes[1] == pytest.approx(3, abs=0.8)


def test_pictures_show_the_same_region_before_and_after(still):
    import cv2

    seen = watch(EnhancementObserver(), still[:1], lambda _: [FACE], change_of=lambda _: 40)
    (picture,) = seen.people[0].pictures
    before, after = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
        for data in (picture.before, picture.after)
    )
    assert before.shape == after.shape == (128, 128, 3)
    inner = slice(40, 90)
    assert (after - before)[inner, inner].mean() > 20


def test_a_larger_result_is_measured_in_the_same_region(still):
    from crsr_video.stages.paste import Paster

    frame = still[0]
    done = Paster(NUMPY, scale=2).push(TrackedFrame(frame))[0]
    one, other = FacePair(FACE, frame, done).lumas()
    assert np.abs(one - other).mean() < 6  # The frame is only enlarged.


def test_back_off_is_reported(still):
    observer = EnhancementObserver()
    watch(observer, still[:5], lambda _: [FACE])
    lowered = Lowered(frames=4, lowest=0.25, total=2.0)
    lowered.causes[DRIFT] = 4
    taken = observer.observations({3: lowered}).people[0].backed_off
    assert taken is not None
    assert (taken.frames, taken.lowest, taken.mean, taken.cause) == (4, 0.25, 0.5, DRIFT)


class TurningEmbeddings:
    """Stand-in for the recogniser: each result is 0.1 radians farther from its source."""

    def __init__(self):
        self.calls = 0

    def embed(self, chips):
        assert [chip.shape for chip in chips] == [(150, 150, 3)] * 2
        self.calls += 1
        angle = 0.1 * self.calls
        return np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]], np.float32)


def test_identity_is_sampled(still):
    recogniser = TurningEmbeddings()
    frames = [replace(still[0], pts=n) for n in range(150)]
    identity = watch(EnhancementObserver(recogniser), frames, lambda _: [FACE]).people[0].identity
    assert identity is not None
    assert identity.samples == recogniser.calls == 2  # One in 60 frames, beginning late.
    assert identity.likeness_min == pytest.approx(np.cos(0.2), abs=1e-3)
    assert identity.steady_before == 1
    assert identity.steady_after == pytest.approx(np.cos(0.1), abs=1e-3)


def test_details_are_kept_for_the_longest_tracks_only(monkeypatch):
    monkeypatch.setattr(observer_module, "DETAILED_TRACKS", 4)
    frame = frame_of("gray", np.full((64, 64), 90.0), time_base=BASE)
    observer = EnhancementObserver()
    number = 0
    for track in range(12):
        for _ in range(30 if track < 3 else 10):
            face = make_face(32, 32, 40, track=track)
            now = replace(frame, pts=number)
            observer.push(TrackedFrame(now, (face,)), finished(now, [face]))
            number += 1
    tracks = observer.observations().people
    assert len(tracks) == 12
    assert {track.id for track in tracks if track.pictures} == {0, 1, 2, 11}
    assert all(track.frames == (30 if track.id < 3 else 10) for track in tracks)


def test_a_thinned_curve_keeps_its_mean():
    gauge = Gauge()
    for number in range(10_000):
        gauge.push(number / 25, number % 7)
    curve = gauge.curve
    assert MAX_POINTS / 2 <= len(curve.values) <= MAX_POINTS + 1
    assert np.mean(curve.values) == pytest.approx(gauge.mean, abs=0.02)
    assert (gauge.low, gauge.high) == (0, 6)
    assert list(curve.seconds) == sorted(curve.seconds)


def test_near_spans_are_joined_and_their_number_is_bounded():
    presence = Presence()
    for seconds in (0.0, 0.1, 0.2, 2.0, 2.1):
        presence.push(seconds, True)
    assert [(s.first_seconds, s.last_seconds) for s in presence.spans] == [(0, 0.2), (2, 2.1)]
    for number in range(1000):
        presence.push(3 + number, bool(number % 2))
    assert len(presence.spans) <= 120
    assert presence.spans[-1].last_seconds == 1002


class SameEmbeddings:
    """Stand-in for the recogniser: all faces are alike."""

    def embed(self, chips):
        return np.ones((len(chips), 2), np.float32)


def test_tracks_with_the_same_number_are_one_person(still):
    faces = [replace(FACE, person=2), replace(FACE, track=4, person=2)]
    (person,) = watch(EnhancementObserver(), still[:20], lambda n: [faces[n >= 10]]).people
    assert (person.id, person.tracks, person.frames) == (2, (3, 4), 20)


def test_tracks_are_grouped_by_likeness(still):
    faces = [FACE, replace(FACE, track=4)]
    seen = watch(EnhancementObserver(SameEmbeddings()), still[:20], lambda n: [faces[n >= 10]])
    assert [person.tracks for person in seen.people] == [(3, 4)]
