"""The choice of close-ups for a contact sheet."""

import numpy as np

from crsr_video.inspection.close_ups import FaceMoment, choose
from crsr_video.track.regions import Region


def moment(person: int, pts: int, score: float = 1.0) -> FaceMoment:
    return FaceMoment(person, pts, pts / 1000, Region(0, 0, 1, 1), score)


def test_close_ups_are_spread_over_faces_and_time() -> None:
    long = [moment(1, t) for t in range(0, 10_000, 250)]
    brief = [moment(2, 5_000), moment(2, 5_250, score=2.0)]
    chosen = choose(long + brief, 5)
    assert [m.person for m in chosen] == [1, 1, 1, 1, 2]
    assert chosen[-1].score == 2.0
    gaps = np.diff([m.pts for m in chosen[:4]])
    assert gaps.min() >= 2_250


def test_the_largest_faces_are_kept() -> None:
    faces = [moment(track, 0, score=float(track)) for track in range(1, 9)]
    assert [m.person for m in choose(faces, 3)] == [6, 7, 8]
    assert len(choose(faces, 20)) == 8
    assert choose([], 3) == []
