"""Tracks of one person get one number; strangers, and faces seen together, do not."""

from dataclasses import replace

import numpy as np
import pytest

from crsr_video.track.grouping import PeopleGrouper
from crsr_video.types import TrackedFrame
from tests.support.frames import frame_of, make_face


class Brightness:
    """Stand-in for the recogniser whose embeddings are twice the brightness, 0 to 1."""

    def __init__(self):
        self.calls = 0

    def embed(self, chips):
        self.calls += len(chips)
        return np.array([[2 * chip.mean(), 0.0] for chip in chips], np.float32)


ANNA, BOB = 0.0, 1.0
"""Embeddings of two people."""


def face(track, width=80.0, x=100.0, **fields):
    return make_face(x, 120, 1.9 * width, track=track, **fields)


def shot(embedding, *faces):
    """Return a frame in which all faces have the same embedding."""
    pixels = np.full((240, 320), round(embedding / 2 * 255), np.uint8)
    return TrackedFrame(frame_of("gray", pixels), faces)


def grouped(*items):
    """Return the numbers of the people by track, at the end and in the last frame."""
    grouper = PeopleGrouper(Brightness())
    for item in items:
        (item,) = grouper.push(item)
    return grouper.people(), {found.track: found.person for found in item.faces}


def test_a_person_has_the_same_number_after_a_cut():
    shots = [shot(ANNA, face(1)), shot(BOB, face(2)), shot(ANNA + 0.3, face(3))]
    people, last = grouped(*(item for item in shots for _ in range(10)))
    assert people == {1: 1, 2: 2, 3: 1}
    assert last == {3: 1}


def test_faces_that_are_seen_together_are_two_people():
    people, last = grouped(*[shot(ANNA, face(1), face(2, x=220.0))] * 10)
    assert people == last == {1: 1, 2: 2}


def test_a_track_may_fade_out_while_the_next_one_of_the_person_begins():
    alone = shot(ANNA, face(1))
    fading = shot(ANNA, face(1, presence=0.2), face(2, x=220.0))
    assert grouped(*[alone] * 10, *[fading] * 6)[0] == {1: 1, 2: 1}


@pytest.mark.parametrize(("width", "distance", "is_same"), [
    (80, 0.44, True), (80, 0.5, False), (30, 0.3, True), (30, 0.4, False), (16, 0.0, False),
])  # fmt: skip
def test_small_faces_must_be_more_alike(width, distance, is_same):
    people, _ = grouped(*[shot(ANNA, face(1))] * 10, *[shot(ANNA + distance, face(2, width))] * 10)
    assert (people[2] == 1) == is_same


def test_a_chain_of_resembling_faces_is_not_one_person():
    shots = [shot(0.4 * n, face(n)) for n in (1, 2, 3, 4) for _ in range(10)]
    people, _ = grouped(*shots)
    assert people[4] != people[1]


def test_only_a_few_of_the_best_frames_of_a_track_are_embedded():
    recogniser = Brightness()
    grouper = PeopleGrouper(recogniser)
    for number in range(200):
        grouper.push(shot(ANNA, face(1, 60 if number < 190 else 100)))
    assert recogniser.calls == 0  # There is nobody else.
    grouper.push(shot(BOB, face(2)))
    assert recogniser.calls == 6
    grouper.push(shot(BOB, face(3, x=10.0)))  # The edge cuts this face off.
    assert recogniser.calls == 6


def test_without_the_network_every_track_is_a_person(monkeypatch):
    monkeypatch.setattr("crsr_video.track.grouping.installed_recogniser", lambda: None)
    grouper = PeopleGrouper()
    grouper.push(shot(ANNA, face(1)))
    assert grouper.notices == ()
    grouper.push(shot(ANNA, face(2)))
    assert grouper.people() == {1: 1, 2: 2}
    assert "models --fetch" in grouper.notices[0]


def test_a_face_turned_far_to_a_side_is_not_recognised():
    frontal = face(2)
    nose_moved = frontal.landmarks.copy()
    nose_moved[2, 0] += 0.7 * (nose_moved[1, 0] - nose_moved[0, 0])
    turned = replace(frontal, landmarks=nose_moved)
    first = [shot(ANNA, face(1))] * 10
    assert grouped(*first, *[shot(ANNA, frontal)] * 10)[0] == {1: 1, 2: 1}
    assert grouped(*first, *[shot(ANNA, turned)] * 10)[0] == {1: 1, 2: 2}
