"""Timestamps: the part that is read, one clock for a live run, and the pace of files."""

from dataclasses import dataclass
from fractions import Fraction

import av
import pytest

from crsr_video.io.pace import Pace
from crsr_video.io.packet_clocks import RecordingClocks, Timeline, common_time_base
from crsr_video.io.windows import TimeSpan, Window, time_of

TICK = Fraction(1, 90_000)
MILLISECOND = Fraction(1, 1000)

# The part that is read ---------------------------------------------------------------------------


def test_without_bounds_everything_is_wanted() -> None:
    whole = Window.from_seconds(0.0, None, Fraction(7, 5), TICK)
    assert whole == Window()
    assert whole.contains(None)
    assert whole.contains(Fraction(-1))
    assert not whole.is_finished(Fraction(10**9))


def test_seconds_count_from_the_beginning_of_the_file() -> None:
    part = Window.from_seconds(0.2, 0.3, Fraction(7, 5), TICK)
    assert (part.begin, part.end, part.shift) == (Fraction(8, 5), Fraction(19, 10), Fraction(8, 5))
    first = Window.from_seconds(0.0, 0.3, Fraction(7, 5), TICK)
    assert (first.begin, first.end, first.shift) == (None, Fraction(17, 10), 0)


def test_the_begin_is_a_whole_number_of_ticks() -> None:
    coarse = Window.from_seconds(0.11, None, Fraction(0), Fraction(1, 25))
    assert coarse.begin == coarse.shift == Fraction(3, 25)


def test_a_span_shifts_no_timestamps() -> None:
    part = Window.from_span(TimeSpan(90_000, 180_000, seek=False), TICK)
    assert part == Window(Fraction(1), Fraction(2), Fraction(0), False)


@pytest.mark.parametrize(
    ("time", "holds", "long_over"),
    [
        (None, False, False),
        (Fraction(99, 100), False, False),
        (Fraction(1), True, False),
        (Fraction(199, 100), True, False),
        (Fraction(2), False, False),
        (Fraction(4), False, True),
    ],
)
def test_a_window_includes_its_begin_but_not_its_end(
    time: Fraction | None, holds: bool, long_over: bool
) -> None:
    part = Window(Fraction(1), Fraction(2))
    assert (part.contains(time), part.is_finished(time)) == (holds, long_over)


def test_packets_are_shifted_by_whole_ticks() -> None:
    packet = av.Packet(b"x")
    packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), 1500, None
    Window(shift=Fraction(1)).shift_packet(packet)
    assert (packet.pts, packet.dts, time_of(packet)) == (500, None, Fraction(1, 2))


# Recordings in one file --------------------------------------------------------------------------


def moved(*packets: tuple[int, int]) -> tuple[list[int], RecordingClocks]:
    """Return the times of packets, given by stream and milliseconds, on the first clock."""
    clocks, times = RecordingClocks(), []
    for stream, time in packets:
        packet = Packet(time, time, stream)
        clocks.move(packet)
        times.append(packet.dts or 0)
    return times, clocks


def test_a_pause_of_one_stream_is_kept() -> None:
    video = [(0, time) for time in range(0, 60_000, 1000)]
    given = [(1, 0), *video[:20], (1, 20_000), *video[20:], (1, 59_900)]
    times, clocks = moved(*given)
    assert times == [time for _, time in given]
    assert clocks.is_steady


def test_a_leap_of_all_streams_is_closed() -> None:
    times, clocks = moved((0, 0), (1, 10), (0, 40), (0, 90_000), (1, 90_010), (0, 90_040))
    assert times == [0, 10, 40, 80, 90, 120]
    assert (clocks.leaps, clocks.restarts) == (1, 0)


def test_a_clock_that_starts_again_goes_on() -> None:
    times, clocks = moved((0, 5000), (1, 5010), (0, 5040), (1, 0), (0, 10), (1, 40))
    assert times == [5000, 5010, 5040, 5080, 5090, 5120]
    assert (clocks.leaps, clocks.restarts) == (0, 1)


def test_one_wrong_timestamp_does_not_move_those_after_it() -> None:
    times, _ = moved((0, 0), (1, 10), (0, 40), (0, 90_000), (0, 120), (1, 130), (0, 160))
    assert times == [0, 10, 40, 80, 120, 130, 160]


# One clock for a live run ------------------------------------------------------------------------


@dataclass
class Packet:
    """Stand-in for a packet. PyAV's own needs a container."""

    pts: int | None
    dts: int | None
    stream_index: int = 0
    duration: int = 40
    time_base: Fraction = MILLISECOND


class Line:
    """Timeline that returns new timestamps."""

    def __init__(self, *, live: bool = True, leaps: bool = True) -> None:
        self.timeline = Timeline(MILLISECOND, counts_pauses=live, is_sent_live=leaps)

    def __call__(self, pts: int, at: float, stream: int = 0) -> int:
        moved = Packet(pts, pts, stream)
        self.timeline.move(moved, at)
        assert moved.pts is not None
        assert moved.pts == moved.dts
        return moved.pts


def test_timestamps_of_one_connection_are_kept() -> None:
    line = Line()
    times = [5000, 5040, 5020, 5080, 7000]
    assert [line(t, t / 1000) for t in times] == times


def test_a_new_connection_continues_after_the_time_that_passed() -> None:
    line = Line()
    assert line(1000, 10.0) == 1000
    line.timeline.restart()
    assert line(77_000, 12.5) == 3500
    assert line(77_040, 12.54) == 3540


def test_all_streams_of_a_connection_are_shifted_alike() -> None:
    line = Line()
    line(1000, 10.0)
    line(1010, 10.0, stream=1)
    line.timeline.restart()
    assert line(500_020, 13.0, stream=1) - line(500_000, 13.0) == 20


@pytest.mark.parametrize("live", [True, False])
def test_a_clock_that_falls_back_continues(live: bool) -> None:
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


def test_a_leap_is_kept_if_the_time_has_passed() -> None:
    line = Line()
    line(0, 10.0)
    assert line(60_000, 70.0) == 60_000


def test_a_slideshow_through_a_pipe_keeps_its_steps() -> None:
    line = Line(leaps=False)
    assert [line(t, 10.0) for t in (0, 30_000, 60_000)] == [0, 30_000, 60_000]


def test_one_wrong_timestamp_has_no_lasting_effect() -> None:
    line = Line()
    line(0, 10.0)
    line(0, 10.0, stream=1)
    assert line(800_000, 10.04) == 40
    assert line(80, 10.08) == 80
    assert line(80, 10.08, stream=1) == 80


def test_a_presentation_time_far_from_its_decoding_time_is_replaced() -> None:
    timeline, wild = Timeline(MILLISECOND, counts_pauses=True, is_sent_live=True), Packet(10**9, 40)
    timeline.move(wild, 1.0)
    assert wild.pts == 40


def test_timestamps_of_frames_always_increase() -> None:
    timeline = Timeline(Fraction(1, 90_000), counts_pauses=True, is_sent_live=True)
    times = [Fraction(1), Fraction(1), Fraction(1, 2), Fraction(2)]
    assert [timeline.stamp(t, 0.0) for t in times] == [90_000, 90_001, 90_002, 180_000]


def test_frames_without_a_time_are_stamped_by_arrival() -> None:
    timeline = Timeline(MILLISECOND, counts_pauses=True, is_sent_live=True)
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
def test_the_common_time_base_is_fine_and_exact(
    base: tuple[int, int], common: tuple[int, int]
) -> None:
    assert common_time_base(Fraction(*base)) == Fraction(*common)


# Pace --------------------------------------------------------------------------------------------


class Clock:
    """A clock, and an event that is never set, on which waiting takes no real time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_frames_are_held_back_until_they_are_due() -> None:
    clock = Clock()
    pace = Pace(clock, clock=clock)
    for number in range(4):
        assert pace.wait(Fraction(7 + number, 50))
    assert clock.now == pytest.approx(100 + 3 / 50)


@pytest.mark.parametrize(("slack", "caught_up"), [(None, 105.0), (0.5, 105.5)])
def test_a_source_that_ran_dry_starts_again(slack: float | None, caught_up: float) -> None:
    clock = Clock()
    pace = Pace(clock, slack=slack, clock=clock)
    pace.wait(Fraction(0))
    clock.now += 5
    pace.wait(Fraction(1))
    pace.wait(Fraction(3, 2))
    assert clock.now == pytest.approx(caught_up)
