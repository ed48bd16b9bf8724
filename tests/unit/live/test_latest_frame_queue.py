import threading
import time
from types import SimpleNamespace

import numpy as np

from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Arrival
from crsr_video.live.queues import LatestFrameQueue
from tests.support.frames import make_frame

RNG = np.random.default_rng(1)


def frame(pts: int, at: float | None = None) -> Arrival:
    made = make_frame("gray", 4, 4, RNG, pts=pts)
    return Arrival(made, time.monotonic() if at is None else at)


def packet(at: float | None = None, size: int = 100) -> Arrival:
    data = SimpleNamespace(size=size)
    return Arrival(Passthrough(1, data), time.monotonic() if at is None else at)


def taken(queue: LatestFrameQueue) -> list[int | str]:
    names: list[int | str] = []
    while (arrival := queue.take(0)) is not None:
        names.append("packet" if isinstance(arrival.item, Passthrough) else arrival.item.pts)
    return names


def test_items_that_are_taken_in_time_keep_their_order() -> None:
    queue = LatestFrameQueue(max_frames=3, max_age_seconds=10)
    for arrival in (frame(0), packet(), frame(1), frame(2)):
        queue.put(arrival)
    assert taken(queue) == [0, "packet", 1, 2]
    assert queue.dropped == 0


def test_too_many_frames_drop_the_oldest_and_keep_packets() -> None:
    queue = LatestFrameQueue(max_frames=2, max_age_seconds=10)
    for arrival in (frame(0), packet(), frame(1), frame(2), frame(3)):
        queue.put(arrival)
    assert taken(queue) == ["packet", 2, 3]
    assert queue.dropped == 2


def test_a_stale_frame_is_dropped_only_if_a_newer_one_waits() -> None:
    queue = LatestFrameQueue(max_frames=3, max_age_seconds=0.05)
    old = time.monotonic() - 1
    queue.put(frame(0, old))
    queue.put(frame(1, old))
    queue.put(frame(2))
    assert taken(queue) == [2]
    queue.put(frame(3, old))
    assert taken(queue) == [3]  # late is better than nothing
    assert queue.dropped == 2


def test_a_live_sender_never_waits_and_memory_is_bounded() -> None:
    queue = LatestFrameQueue(max_frames=3, max_age_seconds=10)
    for index in range(6000):
        queue.put(frame(index) if index % 100 == 0 else packet())
    assert len(taken(queue)) <= 4096 + 3
    assert queue.dropped == 57
    assert queue.dropped_packets == 5940 - 4096


def test_a_blocking_queue_loses_nothing() -> None:
    queue = LatestFrameQueue(max_frames=2, blocks=True)
    sender = threading.Thread(target=lambda: [queue.put(frame(i, 0.0)) for i in range(20)])
    sender.start()
    got = []
    while len(got) < 20:
        arrival = queue.take(5)
        assert arrival is not None
        got.append(arrival.item.pts)
    sender.join(5)
    assert got == list(range(20))
    assert queue.dropped == 0


def test_iteration_ends_when_the_queue_has_ended_and_is_empty() -> None:
    queue = LatestFrameQueue(max_age_seconds=10)
    queue.put(frame(0))
    queue.end()
    queue.put(frame(1))
    assert [arrival.item.pts for arrival in queue] == [0]


def test_an_interruption_drops_what_waits_and_ends_the_iteration() -> None:
    queue = LatestFrameQueue()
    queue.put(frame(0))
    queue.interrupt()
    assert list(queue) == []


def test_frames_are_handed_out_only_while_few_are_in_flight() -> None:
    queue = LatestFrameQueue(max_in_flight=2, max_age_seconds=10)
    for arrival in (frame(0), frame(1), frame(2)):
        queue.put(arrival)
    assert taken(queue) == [0, 1]
    queue.release()
    assert taken(queue) == [2]
    queue.put(packet())
    assert taken(queue) == ["packet"]


def test_waiting_ends_with_the_queue() -> None:
    queue = LatestFrameQueue()
    threading.Timer(0.05, queue.end).start()
    begin = time.monotonic()
    assert queue.take(30) is None
    assert time.monotonic() - begin < 20


def test_a_patient_queue_keeps_late_frames_up_to_a_bound() -> None:
    queue = LatestFrameQueue(max_frames=2, max_age_seconds=0.0)
    queue.is_patient = True
    for number in range(100):
        queue.put(frame(number))
    assert (queue.waiting, queue.dropped) == (90, 10)
    assert taken(queue) == list(range(10, 100))


def test_large_packets_are_dropped_before_they_fill_the_memory() -> None:
    queue = LatestFrameQueue()
    for _ in range(200):
        queue.put(packet(size=1 << 20))
    assert queue.dropped_packets == 200 - 64
    queue.clear()
    queue.put(packet(size=1 << 20))
    assert queue.dropped_packets == 200 - 64
