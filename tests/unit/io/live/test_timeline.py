"""One clock for a run, whatever the clocks of its connections do."""

from dataclasses import dataclass
from fractions import Fraction

import pytest

from crsr_video.io.timestamps import Timeline, common_time_base

BASE = Fraction(1, 1000)


@dataclass
class Packet:
    """As far as a timeline looks at one; PyAV's cannot be of a stream without a container."""

    pts: int | None
    dts: int | None
    stream_index: int = 0
    duration: int = 40
    time_base: Fraction = BASE


class Line:
    """A timeline, and what becomes of the times that it is given."""

    def __init__(self, *, live: bool = True, leaps: bool = True) -> None:
        self.timeline = Timeline(BASE, counts_pauses=live, is_sent_live=leaps)

    def __call__(self, pts: int, at: float, stream: int = 0) -> int:
        moved = Packet(pts, pts, stream)
        self.timeline.move(moved, at)
        assert moved.pts is not None
        assert moved.pts == moved.dts
        return moved.pts


def test_times_of_one_connection_stay_as_they_are() -> None:
    line = Line()
    times = [5000, 5040, 5020, 5080, 7000]
    assert [line(t, t / 1000) for t in times] == times


def test_after_a_new_connection_time_goes_on_by_what_passed() -> None:
    line = Line()
    assert line(1000, 10.0) == 1000
    line.timeline.restart()
    assert line(77_000, 12.5) == 3500
    assert line(77_040, 12.54) == 3540


def test_all_streams_of_a_connection_move_alike() -> None:
    line = Line()
    line(1000, 10.0)
    line(1010, 10.0, stream=1)
    line.timeline.restart()
    assert line(500_020, 13.0, stream=1) - line(500_000, 13.0) == 20


@pytest.mark.parametrize("live", [True, False])
def test_a_clock_that_falls_back_goes_on(live: bool) -> None:
    line = Line(live=live)
    times = [line(t, 10 + i * 0.04) for i, t in enumerate((90_000, 90_040, 0, 40, 80))]
    assert times == [90_000, 90_040, 90_080, 90_120, 90_160]


def test_a_second_stream_falls_back_with_the_first() -> None:
    line = Line()
    for i in range(3):
        line(90_000 + 40 * i, 10 + 0.04 * i)
        line(90_000 + 40 * i, 10 + 0.04 * i, stream=1)
    assert line(0, 10.12) == 90_120
    assert line(90_120, 10.12, stream=1) == 90_120, "it has not fallen back yet"
    assert line(40, 10.16, stream=1) == line(40, 10.16)


def test_a_leap_without_time_passing_is_closed_up() -> None:
    line = Line()
    assert line(0, 10.0) == 0
    assert line(500_000, 10.04) == 40
    assert line(500_040, 10.08) == 80


def test_a_leap_that_time_explains_is_left() -> None:
    line = Line()
    line(0, 10.0)
    assert line(60_000, 70.0) == 60_000


def test_a_slideshow_through_a_pipe_keeps_its_steps() -> None:
    line = Line(leaps=False)
    assert [line(t, 10.0) for t in (0, 30_000, 60_000)] == [0, 30_000, 60_000]


def test_one_wrong_time_moves_nothing_for_good() -> None:
    line = Line()
    line(0, 10.0)
    line(0, 10.0, stream=1)
    assert line(800_000, 10.04) == 40
    assert line(80, 10.08) == 80
    assert line(80, 10.08, stream=1) == 80


def test_a_presentation_time_far_from_decoding_is_not_believed() -> None:
    timeline, wild = Timeline(BASE, counts_pauses=True, is_sent_live=True), Packet(10**9, 40)
    timeline.move(wild, 1.0)
    assert wild.pts == 40


def test_frames_always_increase() -> None:
    timeline = Timeline(Fraction(1, 90_000), counts_pauses=True, is_sent_live=True)
    times = [Fraction(1), Fraction(1), Fraction(1, 2), Fraction(2)]
    assert [timeline.stamp(t, 0.0) for t in times] == [90_000, 90_001, 90_002, 180_000]


def test_frames_without_times_are_stamped_by_arrival() -> None:
    timeline = Timeline(BASE, counts_pauses=True, is_sent_live=True)
    assert [timeline.stamp(None, at) for at in (100.0, 100.04, 100.04, 100.5)] == [0, 40, 41, 501]


@pytest.mark.parametrize(
    ("base", "common"),
    [
        ((1, 90_000), (1, 90_000)),
        ((1, 1000), (1, 1000)),
        ((1, 1_000_000), (1, 1_000_000)),
        ((1, 25), (1, 90_000)),
        ((1001, 30_000), (1, 90_000)),
        ((1001, 24_000), (1, 360_000)),
        ((1, 7), (1, 90_000)),
        ((0, 1), (1, 90_000)),
    ],
)
def test_the_base_is_fine_and_exact(base: tuple[int, int], common: tuple[int, int]) -> None:
    assert common_time_base(Fraction(*base)) == Fraction(*common)
