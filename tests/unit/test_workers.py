import threading
import time

import pytest

from crsr_video.workers import ReadAhead, WriteBehind


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Stop(BaseException):
    """Like KeyboardInterrupt: no Exception."""


def failing(count, error):
    yield from range(count)
    raise error


def wait_until(condition, seconds=2.0):
    end = time.perf_counter() + seconds
    while not condition() and time.perf_counter() < end:
        time.sleep(0.005)
    return condition()


def test_reading_keeps_the_order():
    with ReadAhead(range(500), 3) as items:
        assert list(items) == list(range(500))


def test_reading_nothing():
    with ReadAhead([], 3) as items:
        assert list(items) == []


def test_reading_runs_ahead_but_on_a_short_leash():
    taken = []

    def source():
        for number in range(100):
            taken.append(number)
            yield number

    with ReadAhead(source(), 3) as items:
        iterator = iter(items)
        assert next(iterator) == 0
        # One is out, three are queued, and one is in the thread's hand.
        assert wait_until(lambda: len(taken) >= 4)
        time.sleep(0.03)
        assert len(taken) <= 5


def test_reading_happens_in_another_thread():
    with ReadAhead((threading.get_ident() for _ in range(1)), 1) as items:
        assert next(iter(items)) != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("broken"), Stop("broken"), KeyboardInterrupt()])
def test_reading_raises_what_the_source_raised_after_what_came_before(error):
    got = []
    with ReadAhead(failing(5, error), 2) as items, pytest.raises(type(error)) as caught:
        got.extend(items)
    assert caught.value is error or not got
    with ReadAhead(failing(5, error), 2) as items:
        found = []
        with pytest.raises(type(error)):
            for item in items:
                found.append(item)
    assert found == list(range(5))


def test_an_unread_error_does_not_hang_the_exit():
    with ReadAhead(failing(0, ValueError("never looked at")), 1):
        pass


@pytest.mark.parametrize("depth", [1, 4])
def test_leaving_early_joins_the_reader(depth):
    with ReadAhead(iter(int, 1), depth) as items:  # endless
        for _, _item in zip(range(3), items, strict=False):
            pass


def test_leaving_early_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with ReadAhead(source(), 2) as items:
        next(iter(items))
    assert closed.wait(1)


def test_an_error_in_the_caller_joins_the_reader():
    with pytest.raises(Stop), ReadAhead(iter(int, 1), 2) as items:
        for _ in items:
            raise Stop


def test_a_slow_reader_is_waited_for():
    def source():
        for number in range(4):
            time.sleep(0.03)
            yield number

    with ReadAhead(source(), 2) as items:
        assert list(items) == [0, 1, 2, 3]


def test_writing_keeps_the_order():
    written = []
    with WriteBehind(written.append, 3) as writer:
        for number in range(500):
            writer.put(number)
    assert written == list(range(500))


def test_writing_nothing():
    with WriteBehind(lambda _: None, 3):
        pass


def test_everything_is_written_before_the_exit_of_a_slow_writer():
    written = []

    def write(number):
        time.sleep(0.01)
        written.append(number)

    with WriteBehind(write, 2) as writer:
        for number in range(12):
            writer.put(number)
    assert written == list(range(12))


def test_writing_lags_on_a_short_leash():
    gate, written, given = threading.Event(), [], []

    def write(number):
        gate.wait(5)
        written.append(number)

    def give(writer):
        for number in range(20):
            writer.put(number)
            given.append(number)

    with WriteBehind(write, 3) as writer:
        giver = threading.Thread(target=give, args=(writer,))
        giver.start()
        assert wait_until(lambda: len(given) >= 4)
        time.sleep(0.15)  # longer than the poll
        assert len(given) <= 4  # three queued, one in the thread's hand
        gate.set()
        giver.join()
    assert written == list(range(20))


@pytest.mark.parametrize("error", [OSError("disk full"), Stop(), KeyboardInterrupt()])
@pytest.mark.parametrize("count", [1, 50])
def test_writing_raises_what_the_function_raised(error, count):
    def write(number):
        if number == 0:
            raise error

    with pytest.raises(type(error)) as caught, WriteBehind(write, 2) as writer:
        for number in range(count):
            writer.put(number)
    assert caught.value is error


def test_nothing_is_written_after_a_failure():
    written = []

    def write(number):
        written.append(number)
        if number == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), WriteBehind(write, 2) as writer:
        for number in range(50):
            writer.put(number)
    assert written == [0, 1, 2]


def test_an_error_in_the_caller_wins_and_joins_the_writer():
    with pytest.raises(Stop), WriteBehind(lambda _: time.sleep(0.01), 2) as writer:
        writer.put(0)
        writer.put(1)
        raise Stop


def test_an_error_in_the_caller_drops_what_is_queued():
    begun, written = threading.Event(), []

    def write(number):
        begun.set()
        time.sleep(0.05)
        written.append(number)

    with pytest.raises(Stop), WriteBehind(write, 5) as writer:
        for number in range(5):
            writer.put(number)
        begun.wait(1)
        raise Stop
    assert written == [0]


def test_a_failure_of_the_last_item_is_not_lost():
    def write(number):
        time.sleep(0.02)
        raise OSError(str(number))

    with pytest.raises(OSError, match="7"), WriteBehind(write, 4) as writer:
        writer.put(7)


def test_reader_and_writer_together():
    written = []
    with ReadAhead(range(200), 4) as items, WriteBehind(written.append, 4) as writer:
        for item in items:
            writer.put(item * 2)
    assert written == list(range(0, 400, 2))


def test_a_failing_writer_stops_the_reader_too():
    def write(_):
        raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        ReadAhead(iter(int, 1), 4) as items,
        WriteBehind(write, 4) as writer,
    ):
        for item in items:
            writer.put(item)
