"""Crop sizes of one face over many frames, and frames that wait for a full batch."""

from dataclasses import replace

import pytest

from crsr_video.stages import align
from crsr_video.stages.align import Aligner
from tests.support.frames import flat_frame, make_face, tracked
from tests.support.operations import NUMPY

# State of a track


def push_many(aligner, frame, face, count):
    """Push the same face in `count` frames, and return the result of the last one."""
    for _ in range(count):
        (item,) = aligner.push(tracked(frame, face))
    return item.faces[0]


@pytest.fixture
def plain():
    frame = flat_frame("gray", 200, 200, (0.5, 0.5, 0.5))
    return frame, make_face(100, 100, 150)


def test_detail_is_measured_now_and_then_only(measured, plain):
    push_many(Aligner(NUMPY), *plain, 60)
    assert 2 <= measured["calls"] <= 10


BORDER = align.FAST_CROPS.holds[64]
"""Pixels of detail at which the second crop size ends and the third begins."""
LONG = 12 * 12
"""Frames after which a track has forgotten how it began."""


@pytest.mark.parametrize(
    ("first", "then", "size"),
    [
        (0.9, 1.05, 64),  # not far enough beyond the border
        (1.2, 0.95, 96),
        (0.9, 1.3, 96),
        (1.2, 0.7, 64),
    ],
)
def test_a_track_changes_its_crop_size_well_beyond_the_border_only(
    measured, plain, first, then, size
):
    aligner = Aligner(NUMPY)
    measured["side"] = first * BORDER
    assert push_many(aligner, *plain, 12).crop.size == (64 if first < 1 else 96)
    measured["side"] = then * BORDER
    assert push_many(aligner, *plain, LONG).crop.size == size


def test_one_odd_measurement_does_not_change_a_track(measured, plain):
    aligner = Aligner(NUMPY)
    measured["side"] = 50
    push_many(aligner, *plain, 24)
    measured["side"] = 140
    assert push_many(aligner, *plain, 12).crop.size == 64


def test_a_face_that_grows_is_not_measured_as_larger_than_it_is(measured, plain):
    measured["side"] = 500
    frame, _ = plain
    assert push_many(Aligner(NUMPY), frame, make_face(100, 100, 30), 1).crop.size == 32


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_nothing_is_remembered_over_a_cut(measured, plain, how):
    aligner = Aligner(NUMPY)
    frame, face = plain
    measured["side"] = 120
    assert push_many(aligner, frame, face, 1).crop.size == 96
    measured["side"] = 20
    if how == "reset":
        aligner.reset()
    (item,) = aligner.push(tracked(frame, face, cut=how == "cut"))
    assert item.faces[0].crop.size == 64
    assert item.cut == (how == "cut")


def test_tracks_are_measured_one_by_one(measured, plain):
    aligner = Aligner(NUMPY)
    frame, face = plain
    measured["side"] = 120
    push_many(aligner, frame, face, 12)
    measured["side"] = 20
    (item,) = aligner.push(tracked(frame, face, replace(face, track=1)))
    assert [f.crop.size for f in item.faces] == [96, 64]


def test_tracks_long_gone_are_measured_again(measured, plain):
    aligner = Aligner(NUMPY)
    push_many(aligner, *plain, 10)
    for _ in range(400):
        aligner.push(tracked(plain[0]))
    before = measured["calls"]
    push_many(aligner, *plain, 1)
    assert measured["calls"] == before + 1


# Frames that wait for a batch


def waiting(number, *faces):
    return tracked(flat_frame("gray", 100, 100, (0.5,) * 3), *faces, cut=number == 0)


def faces_of(count, **fields):
    return [make_face(50, 50, 40, track=track, **fields) for track in range(count)]


def test_frames_without_crops_go_on_at_once():
    aligner = Aligner(NUMPY, batch=4, lookahead=3)
    for number in range(5):
        (done,) = aligner.push(waiting(number, make_face(skipped="too small")))
        assert done.cut == (number == 0)


def test_frames_without_crops_wait_behind_those_with():
    aligner = Aligner(NUMPY, batch=4, lookahead=3)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert aligner.push(waiting(1)) == []
    assert aligner.push(waiting(2)) == []
    done = aligner.push(waiting(3))
    assert [item.cut for item in done] == [True, False, False, False]
    assert [len(item.faces) for item in done] == [1, 0, 0, 0]
    assert done[0].faces[0].crop is not None


def test_a_full_batch_goes_on_at_once():
    aligner = Aligner(NUMPY, batch=3, lookahead=100)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert len(aligner.push(waiting(1, *faces_of(2)))) == 2


def test_faces_that_the_networks_do_not_see_fill_no_batch():
    aligner = Aligner(NUMPY, batch=2, lookahead=100)
    assert aligner.push(waiting(0, *faces_of(1))) == []
    assert aligner.push(waiting(1, *faces_of(4, fresh=False))) == []


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_no_more_frames_wait_than_declared(lookahead):
    aligner = Aligner(NUMPY, batch=1000, lookahead=lookahead)
    assert aligner.lookahead == lookahead
    inside = 0
    for number in range(12):
        inside += 1 - len(aligner.push(waiting(number, *faces_of(1))))
        assert inside <= lookahead
    assert len(aligner.flush()) == inside
    assert aligner.flush() == []


def test_reset_drops_the_frames_that_wait():
    aligner = Aligner(NUMPY, batch=10, lookahead=10)
    aligner.push(waiting(0, *faces_of(1)))
    aligner.reset()
    assert aligner.flush() == []
