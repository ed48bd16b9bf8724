"""Frames through a pipeline in threads: order, bounds, errors, and the end of all threads."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from crsr_video.runner import Notices, Progress, Runner, ThreadChain
from crsr_video.types import Frame, PixelLayout, TrackedFrame

SECONDS = 10.0
"""Timeout of waits that end at once unless there is a defect."""
GRAY = PixelLayout("gray", "gray", 8)


class Stop(BaseException):
    """Like KeyboardInterrupt, this is no Exception."""


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def failing(count, error):
    yield from range(count)
    raise error


def doubled(items):
    for item in items:
        yield 2 * item


def frame(pts, size=4):
    return Frame((np.zeros((size, size), np.uint8),), GRAY, pts, Fraction(1, 25))


class Reader:
    """Reader that yields given items, and can wait for `interrupt` at the end."""

    def __init__(self, items, *, waits=False):
        self._items, self._waits = items, waits
        self._interrupted = threading.Event()

    def __iter__(self):
        yield from self._items
        if self._waits:
            assert self._interrupted.wait(SECONDS)

    def interrupt(self):
        self._interrupted.set()


class Delay:
    """Pipeline whose two halves hold back one frame each."""

    def __init__(self):
        self._held = {"track": [], "restore": []}
        self.threads = set()

    def track(self, item):
        self.threads.add(threading.current_thread())
        return [TrackedFrame(done) for done in self._swap("track", item)]

    def restore(self, item):
        self.threads.add(threading.current_thread())
        return self._swap("restore", None if item is None else item.frame)

    def _swap(self, half, item):
        before, self._held[half] = self._held[half], [] if item is None else [item]
        return before


class Writer:
    """Writer that keeps the timestamps of frames, and packets."""

    def __init__(self, *, fails_at=None, error=None):
        self.written = []
        self._fails_at, self._error = fails_at, error

    def push(self, item):
        if item.pts == self._fails_at:
            raise self._error
        self.written.append(item.pts)

    def push_packet(self, item):
        self.written.append(item)


class UpTo(Runner):
    """Runner that ends before a timestamp."""

    def write(self, item):
        return item.pts < 3 and super().write(item)


def test_all_frames_and_packets_are_written():
    items = [frame(0), "sound 0", frame(1), "sound 1", frame(2), "sound 2"]
    writer, seen = Writer(), []
    Runner(Reader(items), Delay(), writer, on_frame=lambda done: seen.append(done.pts)).run()
    assert [item for item in writer.written if isinstance(item, int)] == seen == [0, 1, 2]
    assert [item for item in writer.written if isinstance(item, str)] == [
        "sound 0",
        "sound 1",
        "sound 2",
    ]


def test_tracking_and_enhancing_run_in_threads_of_their_own():
    pipeline = Delay()
    Runner(Reader([frame(0), frame(1)]), pipeline, Writer()).run()
    assert len(pipeline.threads) == 2
    assert threading.current_thread() not in pipeline.threads


def test_the_time_of_both_ends_is_measured():
    runner = Runner(Reader([frame(pts) for pts in range(5)]), Delay(), Writer())
    runner.run()
    assert runner.read_seconds > 0
    assert runner.write_seconds > 0


@pytest.mark.parametrize("error", [OSError("disk full"), Stop(), KeyboardInterrupt()])
def test_an_error_of_the_writer_ends_a_reader_that_waits(error):
    reader = Reader([frame(pts) for pts in range(9)], waits=True)
    writer = Writer(fails_at=2, error=error)
    with pytest.raises(type(error)) as caught:
        Runner(reader, Delay(), writer).run()
    assert caught.value is error
    assert writer.written == [0, 1]


@pytest.mark.parametrize("half", ["track", "restore"])
def test_an_error_of_the_pipeline_is_raised_in_the_calling_thread(half, monkeypatch):
    pipeline = Delay()
    error = ValueError("no such face")

    def fail(_):
        raise error

    monkeypatch.setattr(pipeline, half, fail)
    with pytest.raises(ValueError, match="no such face") as caught:
        Runner(Reader([frame(0), frame(1)], waits=True), pipeline, Writer()).run()
    assert caught.value is error


def test_an_error_of_the_reader_is_raised_after_the_frames_before_it():
    writer = Writer()

    def items():
        yield from (frame(pts) for pts in range(6))
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        Runner(Reader(items()), Delay(), writer).run()
    assert writer.written == [0, 1, 2, 3]  # The pipeline held back two, which are in doubt.


def test_a_run_ends_when_its_policy_says_so():
    writer = Writer()
    UpTo(Reader(map(frame, range(10**9))), Delay(), writer).run()
    assert writer.written == [0, 1, 2]


def test_a_chain_keeps_the_order():
    with ThreadChain(range(500), doubled, doubled, items=3) as items:
        assert list(items) == list(range(0, 2000, 4))


def test_a_chain_of_nothing_is_empty():
    with ThreadChain([], doubled) as items:
        assert list(items) == []


def test_a_step_runs_ahead_by_no_more_than_the_queue_holds():
    taken, full = [], threading.Event()

    def source():
        for number in range(100):
            taken.append(number)
            if len(taken) == 5:
                full.set()
            yield number

    with ThreadChain(source(), items=3) as items:
        assert next(iter(items)) == 0
        # One item is taken, three wait, and one is in the thread's hand: there is no sixth.
        assert full.wait(SECONDS)
        assert not threading.Event().wait(0.03)
        assert len(taken) == 5


def test_a_queue_is_bounded_in_bytes_too():
    taken, full = [], threading.Event()

    def source():
        for pts in range(100):
            taken.append(pts)
            if len(taken) == 4:
                full.set()
            yield frame(pts, size=10)

    with ThreadChain(source(), items=50, max_bytes=200) as items:
        assert next(iter(items)).pts == 0
        assert full.wait(SECONDS)
        assert not threading.Event().wait(0.03)
        assert len(taken) == 4


def test_an_item_larger_than_the_bound_passes():
    frames = [frame(pts, size=100) for pts in range(5)]
    with ThreadChain(frames, items=3, max_bytes=10) as items:
        assert list(items) == frames


def test_no_second_giant_item_is_made_while_a_thread_works_on_one():
    taken = []

    def source():
        for pts in range(5):
            taken.append(pts)
            yield frame(pts, size=100)

    with ThreadChain(source(), items=3, max_bytes=10) as items:
        for count, item in enumerate(items, 1):
            assert item.pts == count - 1
            assert not threading.Event().wait(0.03)
            assert len(taken) == count


@pytest.mark.parametrize("error", [ValueError("broken"), Stop("broken"), KeyboardInterrupt()])
def test_a_chain_raises_an_error_after_the_items_before_it(error):
    found = []
    with pytest.raises(type(error)) as caught, ThreadChain(failing(5, error), items=2) as items:
        found.extend(items)
    assert caught.value is error
    assert found == list(range(5))


def test_a_chain_ends_although_its_error_was_not_read():
    with ThreadChain(failing(0, ValueError("never read")), items=1):
        pass


def test_leaving_a_chain_ends_endless_steps():
    with pytest.raises(Stop), ThreadChain(iter(int, 1), doubled, items=2) as items:
        for _ in items:
            raise Stop


def test_steps_are_not_finished_when_a_chain_is_left_early():
    finished = []

    def step(items):
        yield from items
        finished.append("flushed")

    with ThreadChain(iter(int, 1), step, items=1) as items:
        next(iter(items))
    assert finished == []


def test_leaving_a_chain_interrupts_its_source():
    interrupted = threading.Event()

    def source():
        yield 1
        assert interrupted.wait(SECONDS)

    with ThreadChain(source(), items=2, interrupt=interrupted.set) as items:
        assert next(iter(items)) == 1


def test_notices_are_passed_on_once_and_kept_in_order():
    seen = []
    notices = Notices(seen.append)
    notices.add("b", "a")
    notices.add("b", "c")
    assert seen == ["b", "a", "c"]
    assert notices.lines == ("b", "a", "c")


def test_progress_reports_the_speed_of_this_run():
    assert Progress(30, 100, 2.0, 1, resumed=10).fps == 10.0
    assert Progress(0, 100, 0.0, 0).fps == 0.0
