import threading
import time

import numpy as np

from crsr_video.io.feed import Arrival
from crsr_video.io.pyav import Passthrough
from crsr_video.live.mailbox import Mailbox
from tests.support.frames import make_frame

RNG = np.random.default_rng(1)


def frame(pts: int, at: float | None = None) -> Arrival:
    made = make_frame("gray", 4, 4, RNG, pts=pts)
    return Arrival(made, time.monotonic() if at is None else at)


def packet(at: float | None = None) -> Arrival:
    return Arrival(Passthrough(1, None), time.monotonic() if at is None else at)


def taken(box: Mailbox) -> list[int | str]:
    names: list[int | str] = []
    while (arrival := box.take(0)) is not None:
        names.append("packet" if isinstance(arrival.item, Passthrough) else arrival.item.pts)
    return names


def test_what_comes_in_time_goes_through_in_order() -> None:
    box = Mailbox(frames=3, patience=10)
    for arrival in (frame(0), packet(), frame(1), frame(2)):
        box.put(arrival)
    assert taken(box) == [0, "packet", 1, 2]
    assert box.dropped == 0


def test_of_too_many_frames_the_oldest_go_and_packets_stay() -> None:
    box = Mailbox(frames=2, patience=10)
    for arrival in (frame(0), packet(), frame(1), frame(2), frame(3)):
        box.put(arrival)
    assert taken(box) == ["packet", 2, 3]
    assert box.dropped == 2


def test_a_stale_frame_goes_if_a_newer_one_waits_and_only_then() -> None:
    box = Mailbox(frames=3, patience=0.05)
    old = time.monotonic() - 1
    box.put(frame(0, old))
    box.put(frame(1, old))
    box.put(frame(2))
    assert taken(box) == [2]
    box.put(frame(3, old))
    assert taken(box) == [3]  # late is better than nothing
    assert box.dropped == 2


def test_the_sender_is_never_kept_waiting_and_memory_is_bounded() -> None:
    box = Mailbox(frames=3, patience=10)
    for index in range(6000):
        box.put(frame(index) if index % 100 == 0 else packet())
    assert len(taken(box)) <= 4096 + 3
    assert box.dropped == 57
    assert box.dropped_packets == 5940 - 4096


def test_a_file_is_kept_waiting_and_loses_nothing() -> None:
    box = Mailbox(frames=2, waits=True)
    sender = threading.Thread(target=lambda: [box.put(frame(i, 0.0)) for i in range(20)])
    sender.start()
    got = []
    while len(got) < 20:
        arrival = box.take(5)
        assert arrival is not None
        got.append(arrival.item.pts)
    sender.join(5)
    assert got == list(range(20))
    assert box.dropped == 0


def test_it_is_over_when_it_has_ended_and_is_empty() -> None:
    box = Mailbox(patience=10)
    box.put(frame(0))
    box.end()
    box.put(frame(1))
    assert not box.over
    assert taken(box) == [0]
    assert box.over


def test_waiting_ends_when_nothing_more_will_come() -> None:
    box = Mailbox()
    threading.Timer(0.05, box.end).start()
    begin = time.monotonic()
    assert box.take(30) is None
    assert time.monotonic() - begin < 20


def test_what_came_before_the_beginning_is_told_and_its_sound_goes_too() -> None:
    box = Mailbox(frames=2, patience=10)
    for arrival in (frame(0), packet(), frame(1), packet(), frame(2), packet(), frame(3)):
        box.put(arrival)
    assert box.begin() == (2, 2)
    assert taken(box) == [2, "packet", 3]
    assert box.dropped == 0
