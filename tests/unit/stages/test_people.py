"""Choice of faces: settings of single faces, and the largest of many without flicker."""

import pickle

import numpy as np
import pytest

from crsr_video.config import PersonSettings
from crsr_video.stages.people import OFF, People, ranges
from tests.support.frames import make_face, make_frame, tracked

FRAME = make_frame("yuv420p", 60, 80, np.random.default_rng(1))


def face(track, side=40.0, **fields):
    return make_face(side=side, track=track, **fields)


def result(stage, *faces, cut=False):
    (item,) = stage.push(tracked(FRAME, *faces, cut=cut))
    return {done.track: done for done in item.faces}


def test_nothing_chosen_changes_nothing():
    faces = (face(1), face(2, skipped="small"))
    (item,) = People().push(tracked(FRAME, *faces))
    assert item.faces == faces


def test_faces_are_turned_off_and_weakened():
    stage = People({1: PersonSettings(enabled=False), 2: PersonSettings(strength=0.5)})
    done = result(stage, face(1), face(2), face(3))
    assert [done[k].skipped for k in (1, 2, 3)] == [OFF, None, None]
    assert [done[k].strength for k in (2, 3)] == [0.5, 1.0]


def test_strength_zero_needs_no_work():
    assert result(People({1: PersonSettings(strength=0)}), face(1))[1].skipped == OFF


def test_only_some_are_enhanced():
    done = result(People(only={2, 4}), face(1), face(2), face(3, skipped="small"), face(4))
    assert [done[k].skipped for k in (1, 2, 3, 4)] == [OFF, None, OFF, None]


def test_off_wins_over_only():
    stage = People({2: PersonSettings(enabled=False)}, only={2})
    assert result(stage, face(2))[2].skipped == OFF


def test_the_largest_are_enhanced_from_the_first_frame_on():
    done = result(People(most=2), face(1, 30), face(2, 60), face(3, 50), face(4, 20))
    assert [done[k].skipped is None for k in (1, 2, 3, 4)] == [False, True, True, False]
    assert done[2].strength == done[3].strength == 1
    assert done[1].skipped == "not among the 2 largest"


def test_faces_that_are_left_alone_take_no_place():
    done = result(People(most=1), face(1, 60, skipped="not seen clearly"), face(2, 30))
    assert done[1].skipped == "not seen clearly"
    assert done[2].skipped is None


def test_turned_off_faces_take_no_place():
    stage = People({1: PersonSettings(enabled=False)}, most=1)
    assert result(stage, face(1, 60), face(2, 30))[2].skipped is None


def test_equally_large_faces_do_not_take_turns():
    stage, rng = People(most=1), np.random.default_rng(3)
    first = result(stage, face(1, 40.5), face(2, 40))
    assert first[2].skipped is not None
    for _ in range(300):
        done = result(stage, *(face(k, 40 * (1 + rng.normal(0, 0.1))) for k in (1, 2)))
        assert (done[1].skipped, done[1].strength) == (None, 1.0)
        assert done[2].skipped is not None


def test_a_face_that_grows_takes_over_by_fading():
    stage, seen = People(most=1), []
    for number in range(120):
        done = result(stage, face(1, 40), face(2, 20 + number))
        seen.append([0.0 if d.skipped else d.strength for d in (done[1], done[2])])
    shares = np.array(seen)
    assert shares[0].tolist() == [1, 0]
    assert shares[-1].tolist() == [0, 1]
    assert np.abs(np.diff(shares, axis=0)).max() < 0.17
    assert (np.diff(shares[:, 0]) <= 0).all()
    assert (np.diff(shares[:, 1]) >= 0).all()


def test_a_cut_begins_anew_without_fading():
    stage = People(most=1)
    for _ in range(10):
        result(stage, face(1, 40), face(2, 30))
    done = result(stage, face(3, 30), face(4, 33), cut=True)
    assert done[3].skipped is not None
    assert (done[4].skipped, done[4].strength) == (None, 1.0)


def test_memory_does_not_grow_with_the_video():
    stage = People(most=1)
    for number in range(1, 2000):
        result(stage, face(number, 40))
    # Two thousand histories would take over 100 kB. IDs alone are kept for notices.
    assert len(pickle.dumps(stage)) < 20_000


def test_ids_that_never_occur_are_reported():
    stage = People({7: PersonSettings(enabled=False)}, only={1, 9})
    result(stage, *(face(k) for k in (1, 2, 3, 4)))
    assert stage.notices == ("people 7 and 9 were not found: the video has people 1 to 4",)
    result(stage, face(7), face(9))
    assert stage.notices == ()


def test_a_single_face_is_reported_in_the_singular():
    stage = People({2: PersonSettings()})
    result(stage, face(1))
    assert stage.notices == ("person 2 was not found: the video has person 1",)


def test_ids_are_reported_if_there_is_no_face():
    assert People(only={2}).notices == ("person 2 was not found: no face was found",)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], ""),
        ([3], "3"),
        ([1, 2], "1 and 2"),
        ([4, 2, 3, 1], "1 to 4"),
        ([1, 2, 3, 5, 7, 8], "1 to 3, 5, 7 and 8"),
    ],
)
def test_numbers_of_people_are_listed_in_words(ids, words):
    assert ranges(ids) == words
