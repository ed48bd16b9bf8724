"""The four threads, between a source and a sink that misbehave on purpose."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from crsr_video.errors import InputError, OutputError, ReaderGoneError
from crsr_video.io.feed import Arrival, Feed
from crsr_video.io.pyav import Passthrough
from crsr_video.live.engine import Engine
from crsr_video.live.governor import Governor, Sample
from crsr_video.live.watchdog import Watchdog
from crsr_video.pipeline import Pipeline
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import LiveQuality
from crsr_video.types import Frame, TrackedFrame
from tests.support.frames import make_frame
from tests.unit.live.test_companions import sound

PICTURE = make_frame("gray", 8, 8, np.random.default_rng(2))
PATIENCE = 20.0


def frame(pts: int) -> Frame:
    return make_frame("gray", 8, 8, np.random.default_rng(2), pts=pts)


class Source:
    """Sends what it is given, at a pace."""

    state = "waiting for data"

    def __init__(self, items: list[object], *, pace: float = 0.0, endless: bool = False) -> None:
        self._items, self._pace, self._endless = items, pace, endless
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Arrival]:
        for item in self._items:
            if self._stopped.wait(self._pace):
                return
            if isinstance(item, Exception):
                raise item
            yield Arrival(item, time.monotonic())
        if self._endless:
            self._stopped.wait(PATIENCE)

    def interrupt(self) -> None:
        self._stopped.set()


class Sink:
    """Keeps what it gets, as slowly as it is told."""

    state = "writing"

    def __init__(self, *, pace: float = 0.0, fail: Exception | None = None, after: int = 0) -> None:
        self.got: list[object] = []
        self.closed = self.aborted = False
        self._pace, self._fail, self._after = pace, fail, after
        self._given_up = threading.Event()

    def push(self, frame: Frame) -> None:
        if self._fail is not None and len(self.got) >= self._after:
            raise self._fail
        if self._given_up.wait(self._pace):
            raise OutputError("given up")
        self.got.append(frame.pts)

    def push_packet(self, item: Passthrough) -> None:
        self.got.append(type(item).__name__)

    def change(self, feed: Feed) -> None:
        self.got.append(type(feed).__name__)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        self._given_up.set()


class Step(Stage[object, object]):
    """Hands on, after a while."""

    def __init__(self, seconds: float = 0.0, *, last: bool = False) -> None:
        self._seconds, self._last = seconds, last

    def push(self, item: object) -> list[object]:
        time.sleep(self._seconds)
        if isinstance(item, Frame):
            return [TrackedFrame(item)]
        assert isinstance(item, TrackedFrame)
        return [item.frame] if self._last else [item]


def stages(track: float = 0.0, restore: float = 0.0) -> Pipeline:
    return Pipeline([("track", Step(track)), ("a", Step(restore)), ("b", Step(last=True))])


class Run:
    def __init__(
        self, source: Source, sink: Sink, frames: Pipeline, *, waits: bool = False
    ) -> None:
        self.effort, self.told = LiveQuality(), []
        self.watchdog = Watchdog(self.told.append, patience=0.2)
        self.engine = Engine(
            source,
            sink,
            self.effort,
            most=0.08,
            governor=None if waits else Governor(self.effort, 0.08),
            watchdog=self.watchdog,
            waits=waits,
        )
        self.engine.start()
        self.engine.work(frames)

    def __enter__(self) -> Engine:
        return self.engine

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        names = {thread.name for thread in threading.enumerate()}
        assert not names & {"live-read", "live-write", "read"}


def test_a_file_goes_through_whole_and_in_order() -> None:
    sink = Sink()
    source = Source([frame(i) for i in range(50)])
    with Run(source, sink, stages(0.001, 0.001), waits=True) as engine:
        assert engine.wait(PATIENCE)
    assert sink.got == list(range(50))
    assert sink.closed
    assert not sink.aborted


def test_too_much_work_drops_frames_and_the_delay_does_not_grow() -> None:
    sink = Sink()
    source = Source([frame(i) for i in range(100)], pace=0.01)
    with Run(source, sink, stages(0.0, 0.03)) as engine:
        assert engine.wait(PATIENCE)
    assert sink.got == sorted(sink.got)
    assert 20 <= len(sink.got) <= 60
    assert engine.mailbox.dropped == 100 - len(sink.got) == engine.frames_in - engine.frames_out
    # Were nothing dropped, the last frame would be two seconds late, the middle one half of that.
    assert engine.latency.total().p50 < 4 * 30 + 250


def test_sound_comes_with_its_picture_and_changes_keep_their_place() -> None:
    feed = Feed(None, PICTURE)
    items = [frame(0), sound(17), frame(1), frame(2), feed, frame(3), sound(999)]
    sink = Sink()
    with Run(Source(items), sink, stages(restore=0.002), waits=True) as engine:
        assert engine.wait(PATIENCE)
    # The time base is 1/25 s: frame 2 is at 80 ms, the first packet at 170, within a tenth.
    assert sink.got == [0, 1, "Passthrough", 2, "Feed", 3, "Passthrough"]


def test_a_source_that_breaks_is_told_and_what_was_read_is_written() -> None:
    sink = Sink()
    source = Source([frame(0), frame(1), InputError("cut off")])
    with Run(source, sink, stages(), waits=True) as engine:
        with pytest.raises(InputError, match="cut off"):
            engine.wait(PATIENCE)
        assert sink.got == [0, 1]
        assert sink.closed


def test_a_reader_that_goes_away_ends_the_run_without_an_error() -> None:
    sink = Sink(fail=ReaderGoneError("gone"), after=5)
    source = Source([frame(i) for i in range(10_000)], pace=0.002)
    with Run(source, sink, stages()) as engine:
        assert engine.wait(PATIENCE)
        assert engine.sink_gone
    assert sink.aborted
    assert not sink.closed


def test_a_sink_that_fails_ends_the_run_with_its_error() -> None:
    sink = Sink(fail=OutputError("disk full"), after=2)
    run = Run(Source([frame(i) for i in range(50)], pace=0.002), sink, stages())
    with run as engine, pytest.raises(OutputError, match="disk full"):
        engine.wait(PATIENCE)
    assert sink.aborted


def test_a_stage_that_fails_ends_the_run_with_its_error() -> None:
    class Broken(Step):
        def push(self, item: object) -> list[object]:
            raise RuntimeError(f"a defect at {item}")

    frames = Pipeline([("track", Step()), ("a", Broken()), ("b", Step(last=True))])
    run = Run(Source([frame(i) for i in range(50)], pace=0.002), Sink(), frames)
    with run as engine, pytest.raises(RuntimeError, match="a defect"):
        engine.wait(PATIENCE)


def test_stopping_writes_what_is_on_its_way_and_closes_the_sink() -> None:
    sink = Sink()
    source = Source([frame(i) for i in range(5)], pace=0.02, endless=True)
    with Run(source, sink, stages(0.01, 0.01)) as engine:
        deadline = time.monotonic() + PATIENCE
        while engine.frames_in < 5 and time.monotonic() < deadline:
            time.sleep(0.005)
        engine.stop()
        assert engine.wait(PATIENCE)
    assert len(sink.got) == 5 - engine.mailbox.dropped
    assert sink.got[-1] == 4
    assert sink.closed


def test_a_reader_that_takes_nothing_is_told_of_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crsr_video.live.engine._CLOSING", 0.3)
    sink = Sink(pace=PATIENCE)
    run = Run(Source([frame(i) for i in range(10_000)], pace=0.005), sink, stages())
    with run as engine:
        deadline = time.monotonic() + PATIENCE
        while not (run.told and engine.mailbox.dropped) and time.monotonic() < deadline:
            time.sleep(0.02)
            run.watchdog.look(engine.states)
        assert not engine.wait(0)
        assert engine.mailbox.dropped > 0
    assert run.told
    assert "writing a frame" in run.told[0]
    assert sink.aborted


def test_lateness_never_keeps_the_networks_out_for_good() -> None:
    class Slow:
        expected = 1.0  # Every frame would be late.

        def push(self, sample: Sample) -> None:
            assert sample.latency >= 0
            fresh.append(hurry.pop(0))

    class Budget(Step):
        def push(self, item: object) -> list[object]:
            hurry.append(effort.hurry)
            return super().push(item)

    fresh: list[bool] = []
    hurry: list[bool] = []
    effort, sink = LiveQuality(), Sink()
    engine = Engine(
        Source([frame(i) for i in range(30)], pace=0.005),
        sink,
        effort,
        most=0.08,
        governor=Slow(),
        watchdog=Watchdog(print),
    )
    engine.start()
    engine.work(Pipeline([("track", Step()), ("a", Budget()), ("b", Step(last=True))]))
    assert engine.wait(PATIENCE)
    engine.close()
    assert len(fresh) > 10
    assert fresh[:6] == [True, True, False] * 2
