"""The people of a tracks file, merged and split by hand."""

import json

import pytest

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file import (
    Recorder,
    merge_people,
    people_of,
    read,
    split_people,
    write,
)
from tests.support.frames import make_face, tracked
from tests.support.tracks_files import FACTS, SETTINGS, document, frame


def three_tracks(people=None):
    """Return track 1 in frames 0 and 1, track 2 in frame 2, and track 4 in frames 3 to 5."""
    recorder = Recorder()
    for number, track in enumerate((1, 1, 2, 4, 4, 4)):
        recorder.add(tracked(frame(number), make_face(30, 30, 32 + 8 * track, track=track)))
    return recorder.recording(FACTS, SETTINGS, "test", {1: "one", 2: "two"}, people)


def tracks_by_person(recording):
    return {person.id: person.tracks for person in people_of(recording)}


def test_a_person_sums_up_its_tracks():
    one, two = people_of(three_tracks({1: 1, 2: 2, 4: 1}))
    assert (one.id, one.tracks, one.frames) == (1, (1, 4), 5)
    assert (one.first_seconds, one.last_seconds) == (0.0, 0.2)
    assert one.thumbnail == "one" and two.thumbnail == "two"
    summaries = three_tracks().summaries
    assert one.size == pytest.approx((2 * summaries[0].size + 3 * summaries[2].size) / 5, abs=0.1)


def test_people_are_merged_under_the_lowest_number_and_split_again():
    recording = three_tracks()
    assert tracks_by_person(recording) == {1: (1,), 2: (2,), 4: (4,)}
    merged = merge_people(recording, {2, 4})
    assert tracks_by_person(merged) == {1: (1,), 2: (2, 4)}
    assert tracks_by_person(split_people(merged, {2})) == {1: (1,), 2: (2,), 4: (4,)}
    assert merge_people(recording, set()) == recording


def test_numbers_survive_the_file(tmp_path):
    merged = merge_people(three_tracks(), {1, 4})
    write(merged, tmp_path / "t.json")
    assert tracks_by_person(read(tmp_path / "t.json")) == {1: (1, 4), 2: (2,)}


def test_numbers_edited_by_hand_are_read(tmp_path):
    path = tmp_path / "t.json"
    edited = document(path)
    edited["people"][1]["person"] = 1
    path.write_text(json.dumps(edited))
    assert tracks_by_person(read(path)) == {1: (1, 3)}
    edited["people"][1]["person"] = 0
    path.write_text(json.dumps(edited))
    with pytest.raises(TracksError, match=r"people\[1\].person: expected a whole number from 1"):
        read(path)


def test_files_of_older_versions_have_a_person_for_each_track(tmp_path):
    path = tmp_path / "t.json"
    old = document(path)
    for summary in old["people"]:
        del summary["person"]
    path.write_text(json.dumps(old))
    assert tracks_by_person(read(path)) == {1: (1,), 3: (3,)}
