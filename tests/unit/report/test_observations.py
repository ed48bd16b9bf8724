"""Merging the observations of segments."""

import json
from dataclasses import replace

import pytest

from crsr_video.records import from_json, to_json
from crsr_video.report import Observations, merge, renumber
from crsr_video.report.facts import Masks, VisibleSpan
from tests.unit.report.sample_report import person


@pytest.fixture
def part():
    return Observations(
        (person(1), person(2)), changed=90, masks=Masks(8, 0.1, 0.2), cuts=(2.0,), seconds=1.0
    )


def test_a_record_comes_back_from_json(part):
    assert from_json(Observations, json.loads(json.dumps(to_json(part)))) == part
    assert (
        from_json(Observations, json.loads(json.dumps(to_json(Observations())))) == Observations()
    )


def test_a_single_part_stays_unchanged(part):
    assert merge([part]) == part
    assert renumber(part, {1: 1, 2: 2}) == part


def test_track_ids_and_times_are_changed(part):
    moved = renumber(part, {2: 5}, shift=10.0)
    (face,) = moved.people
    assert (face.id, face.tracks) == (5, (5,))
    assert (face.id, face.first_seconds, face.last_seconds) == (5, 10.0, 14.0)
    assert face.spans[0] == VisibleSpan(10.0, 12.0, True)
    assert face.curves["size"].seconds[:2] == (10.0, 10.1)
    assert face.pictures[0].seconds == 11.0
    assert moved.cuts == (12.0,)


def test_people_are_merged_over_the_tracks_that_they_share():
    first = Observations((replace(person(1), tracks=(1, 3)), person(2)))
    second = Observations((replace(person(3), tracks=(3, 7)), person(5)))
    assert [(p.id, p.tracks) for p in merge([first, second]).people] == [
        (1, (1, 3, 7)), (2, (2,)), (5, (5,)),
    ]  # fmt: skip


def test_numbers_from_a_tracks_file_are_kept():
    edited = Observations((replace(person(9), tracks=(1, 2)),))
    assert renumber(edited, {1: 1, 2: 2}).people[0].id == 9


def test_two_parts_of_one_person_are_merged(part):
    later = replace(person(1), enhanced=20, strength_mean=0.4, strength_min=0.1, size_max=90.0)
    second = renumber(Observations((later,), changed=10, masks=Masks(2, 0.5, 0.6)), {1: 1}, 4.2)
    whole = merge([part, second])
    one, other = whole.people
    assert other == person(2)
    assert (one.frames, one.enhanced) == (198, 100)
    assert (one.first_seconds, one.last_seconds) == (0.0, 8.2)
    assert one.strength_mean == pytest.approx((80 * 0.9 + 20 * 0.4) / 100)
    assert (one.strength_min, one.size_max) == (0.1, 90.0)
    assert one.skipped == {"not seen clearly": 14}
    assert one.backed_off.frames == 24
    assert (one.identity.samples, one.flicker.pairs) == (6, 16)
    assert [span.enhanced for span in one.spans] == [True, False, True, False]
    assert len(one.curves["size"].values) == 80
    assert [picture.seconds for picture in one.pictures] == [1.0, 5.2]
    assert (whole.changed, whole.masks) == (100, Masks(10, pytest.approx(0.18), 0.6))


def test_a_span_continues_across_a_segment_boundary():
    first = replace(person(1), spans=(VisibleSpan(0.0, 4.0, True),))
    second = replace(person(1), spans=(VisibleSpan(4.04, 6.0, True),))
    assert merge([Observations((first,)), Observations((second,))]).people[0].spans == (
        VisibleSpan(0.0, 6.0, True),
    )


def test_merging_many_parts_keeps_curves_and_pictures_bounded():
    whole = merge([renumber(Observations((person(1),)), {1: 1}, 5.0 * n) for n in range(50)])
    curve = whole.people[0].curves["size"]
    assert len(curve.values) <= 240
    assert sum(curve.values) / len(curve.values) == pytest.approx(59.5, abs=0.5)
    assert len(whole.people[0].pictures) == 3
