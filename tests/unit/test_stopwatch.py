"""Tests of the stopwatch."""

from itertools import count

import pytest

from crsr_video.stopwatch import Stopwatch


def test_times_add_up_by_name_even_if_a_block_fails():
    watch = Stopwatch(count().__next__)
    with pytest.raises(KeyError), watch("read"):
        raise KeyError
    for name in ("read", "write"):
        with watch(name):
            pass
    assert watch.seconds == {"read": 2, "write": 1}


def test_waiting_for_items_is_timed_but_their_use_is_not():
    ticks = count()
    watch = Stopwatch(ticks.__next__)
    for _ in watch.iterate("decode", [1, None]):
        next(ticks)
    assert watch.seconds == {"decode": 3}
