"""Scores of hand-made cases with known figures."""

import numpy as np
import pytest

from crsr_video.evaluation.tracking.results import by_face, failures, figures
from crsr_video.evaluation.tracking.scoring import Scorer, is_due, match_quality, size_class
from tests.support.tracking_truth import tracked, true


def judged(frames):
    """Return the figures and the score of (truths, faces) by frame."""
    scorer = Scorer()
    for index, (truths, faces) in enumerate(frames):
        scorer.add_frame(index, truths, faces)
    return figures([scorer.score]), scorer.score


def test_perfect_tracking_has_perfect_figures():
    f, score = judged([([true(10.0 * t)], [tracked(10.0 * t)]) for t in range(10)])
    assert (f.due, f.recall, f.precision, f.idf1) == (10, 1, 1, 1)
    assert (f.switches, f.fragments, f.false, f.skipped, f.hidden) == (0, 0, 0, 0, 0)
    assert f.error == f.deviation == f.jitter == f.jitter_max == 0
    assert score.failures == []


def test_a_constant_shift_is_an_error_without_jitter():
    f, _ = judged([([true(10.0 * t)], [tracked(10.0 * t + 4)]) for t in range(10)])
    assert (f.recall, f.precision, f.idf1) == (1, 1, 1)
    assert f.error == pytest.approx(0.1) and f.error_95 == pytest.approx(0.1)
    assert f.deviation == pytest.approx(0) and f.jitter == pytest.approx(0) and f.misplaced == 0
    f, _ = judged([([true(0)], [tracked(x)]) for x in (5.9, 6.1, 12)])
    assert f.misplaced == 2


def test_jitter_is_motion_relative_to_the_truth():
    f, _ = judged([([true(5.0 * t)], [tracked(5.0 * t + t % 2)]) for t in range(10)])
    assert f.jitter == pytest.approx(1) and f.jitter_max == pytest.approx(1)
    assert f.deviation == pytest.approx(0.5 / 40)


def test_a_distant_face_is_missed_and_false():
    f, score = judged([([true(0)], [tracked(30)])])
    assert (f.recall, f.precision, f.idf1, f.false) == (0, 0, 0, 1)
    assert [(x.kind, x.id) for x in score.failures] == [("false", 7), ("missed", 1)]


def test_a_box_of_another_size_does_not_match():
    assert match_quality([true(0)], [tracked(0, width=75)])[0, 0] > 0
    assert match_quality([true(0)], [tracked(0, width=85)])[0, 0] == 0
    assert match_quality([true(0)], [tracked(0, width=17)])[0, 0] == 0


def swapped(at, count=10):
    """Return frames of two distant faces whose tracks are swapped."""
    for t in range(count):
        a, b = (7, 8) if t < at else (8, 7)
        yield (
            [true(0, face_id=1), true(300, face_id=2)],
            [tracked(0, track=a), tracked(300, track=b)],
        )


def test_swapped_track_ids_are_two_switches():
    f, score = judged(swapped(4))
    assert (f.recall, f.precision, f.switches, f.fragments) == (1, 1, 2, 0)
    # Best is to call 6 of 10 frames right: 2 * 12 / (20 + 20).
    assert f.idf1 == pytest.approx(0.6)
    assert [x.frame for x in score.failures] == [4, 4]


def test_a_gap_is_a_fragment_without_a_switch():
    f, score = judged([([true(0)], [] if t in (3, 4) else [tracked(0)]) for t in range(10)])
    assert f.recall == pytest.approx(0.8) and f.precision == 1
    assert (f.fragments, f.switches) == (1, 0)
    assert f.idf1 == pytest.approx(2 * 8 / (10 + 8))
    assert failures(score.failures) == [
        {"what": "missed", "id": 1, "from": 3, "to": 4, "x": 0, "y": 100, "width": 40.0}
    ]


def test_a_new_id_after_a_gap_is_a_switch():
    f, _ = judged(
        [([true(0)], [tracked(0, track=7 + (t > 4))] if t != 4 else []) for t in range(9)]
    )
    assert (f.fragments, f.switches) == (1, 1)
    assert f.idf1 == pytest.approx(2 * 4 / (9 + 8))


def test_a_second_track_on_a_face_is_false():
    f, _ = judged([([true(0)], [tracked(0), tracked(3, track=8)]) for _ in range(5)])
    assert (f.recall, f.precision, f.false) == (1, 0.5, 5)
    assert f.idf1 == pytest.approx(2 * 5 / (5 + 10))


def test_a_pair_is_kept_although_another_is_nearer():
    """Two faces cross, and their tracks are a little late, which is no swap of IDs."""
    frames = []
    for t in range(21):
        x = 10.0 * (t - 10)
        truths = [true(x, face_id=1), true(-x, face_id=2)]
        frames.append((truths, [tracked(x - 14, track=7), tracked(-x + 14, track=8)]))
    f, _ = judged(frames)
    assert (f.switches, f.recall, f.precision) == (0, 1, 1)


def test_optional_faces_do_not_count():
    half = {"visible": 0.3}
    f, _ = judged([([true(0, **half)], []), ([true(0, **half)], [tracked(0)])])
    assert (f.due, f.false, f.switches) == (0, 0, 0) and np.isnan(f.idf1)
    small = true(0, width=14)
    f, _ = judged([([small], []), ([small], [tracked(0, width=14)])])
    assert (f.due, f.false) == (0, 0)


def test_a_covered_face_must_not_be_tracked():
    f, score = judged([([true(0, visible=0.05)], [tracked(0)])])
    assert (f.due, f.false, f.hidden) == (0, 1, 1)
    assert score.failures[0].kind == "hidden"
    # One that has left the picture does no harm.
    f, _ = judged([([true(0, visible=0.05, inside=0.05)], [tracked(0)])])
    assert f.false == 0


def test_a_skipped_face_is_missed_and_counted():
    for face in (tracked(0, skipped="not seen clearly"), tracked(0, presence=0.0)):
        f, score = judged([([true(0)], [face])])
        assert (f.recall, f.skipped, f.false) == (0, 1, 0)
        assert score.failures[0].kind == "skipped"


def test_size_classes_have_their_own_figures():
    truths = [
        true(0, width=20, face_id=1),
        true(300, width=50, face_id=2),
        true(600, width=90, face_id=3),
    ]
    faces = [tracked(0, width=20, track=1), tracked(600, width=90, track=3), tracked(900, track=4)]
    f, _ = judged([(truths, faces)])
    assert f.recalls[0] == 1 and f.recalls[2] == 0 and f.recalls[3] == 1
    assert np.isnan(f.recalls[1])
    assert f.precisions[0] == 1 and f.precisions[2] == 0 and f.precisions[3] == 1


def test_faces_are_due_within_the_limits():
    assert is_due(true(0, visible=0.5, inside=0.75))
    assert not is_due(true(0, visible=0.49)) and not is_due(true(0, inside=0.74))
    assert not is_due(true(0, width=15.9))
    assert [size_class(w) for w in (15.9, 16, 24, 32, 64, 900)] == [None, 0, 1, 2, 3, 3]


def test_scenes_together_are_weighted_by_faces():
    _, good = judged([([true(0)], [tracked(0)]) for _ in range(9)])
    _, bad = judged([([true(0)], []) for _ in range(3)])
    f = figures([good, bad])
    assert f.recall == pytest.approx(0.75) and f.idf1 == pytest.approx(2 * 9 / (12 + 9))


def test_jitter_ignores_gaps_and_changes_of_track():
    steps = [(0, 7), (0, 7), None, (9, 7), (9, 7), (0, 8)]
    f, _ = judged([([true(0)], [tracked(s[0], track=s[1])] if s else []) for s in steps])
    assert f.jitter == f.jitter_max == 0


def test_every_face_has_its_results():
    _, score = judged(
        [([true(0), true(300, face_id=2)], [tracked(4, track=7 + t)]) for t in range(2)]
    )
    assert by_face(score) == [
        {"id": 1, "due": 2, "found": 2, "tracks": [7, 8], "width": 40.0, "error": 0.1},
        {"id": 2, "due": 2, "found": 0, "tracks": [], "width": None, "error": None},
    ]
