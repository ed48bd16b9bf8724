"""Which part of a file is wanted: reckoned exactly, on the file's own clock."""

from fractions import Fraction

import av
import pytest

from crsr_video.io.timestamps import Span, Window, time_of

BASE = Fraction(1, 90_000)


def test_without_bounds_everything_is_wanted() -> None:
    whole = Window.from_seconds(0.0, None, Fraction(7, 5), BASE)
    assert whole == Window()
    assert whole.contains(None)
    assert whole.contains(Fraction(-1))
    assert not whole.is_finished(Fraction(10**9))


def test_seconds_count_from_the_file_s_beginning() -> None:
    part = Window.from_seconds(0.2, 0.3, Fraction(7, 5), BASE)
    assert (part.begin, part.end, part.shift) == (Fraction(8, 5), Fraction(19, 10), Fraction(8, 5))
    first = Window.from_seconds(0.0, 0.3, Fraction(7, 5), BASE)
    assert (first.begin, first.end, first.shift) == (None, Fraction(17, 10), 0)


def test_a_begin_lies_on_the_video_s_clock() -> None:
    coarse = Window.from_seconds(0.11, None, Fraction(0), Fraction(1, 25))
    assert coarse.begin == coarse.shift == Fraction(3, 25)


def test_a_span_leaves_times_as_they_are() -> None:
    part = Window.from_span(Span(90_000, 180_000, seek=False), BASE)
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
def test_the_begin_is_in_and_the_end_is_out(
    time: Fraction | None, holds: bool, long_over: bool
) -> None:
    part = Window(Fraction(1), Fraction(2))
    assert (part.contains(time), part.is_finished(time)) == (holds, long_over)


def test_packets_are_moved_by_whole_ticks() -> None:
    packet = av.Packet(b"x")
    packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), 1500, None
    Window(shift=Fraction(1)).shift_packet(packet)
    assert (packet.pts, packet.dts, time_of(packet)) == (500, None, Fraction(1, 2))
