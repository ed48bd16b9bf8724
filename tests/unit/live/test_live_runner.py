"""The live runner between a source and a sink that misbehave on purpose."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from crsr_video.errors import InputError, OutputError, ReaderGoneError
from crsr_video.io.pyav import Passthrough
from crsr_video.io.source import Arrival, Source
from crsr_video.live.quality_controller import FrameTiming, QualityController
from crsr_video.live.runner import LiveRunner
from crsr_video.live.watchdog import Watchdog
from crsr_video.pipeline import Pipeline
from crsr_video.stages.base import Stage
from crsr_video.stages.quality import LiveQuality
from crsr_video.types import Frame, TrackedFrame
from tests.support.frames import make_frame
from tests.support.waiting import wait_until
from tests.unit.live.test_side_streams import sound

PICTURE = make_frame("gray", 8, 8, np.random.default_rng(2))
PATIENCE = 20.0


def frame(pts: int) -> Frame:
    return make_frame("gray", 8, 8, np.random.default_rng(2), pts=pts)


class PacedSource:
    """Source that sends given items at a pace."""

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
    """Sink that keeps everything, as slowly as it is asked to."""

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

    def change(self, source: Source) -> None:
        self.got.append(type(source).__name__)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True
        self._given_up.set()


class Delay(Stage):
    """Stage that passes items on after some time."""

    def __init__(self, seconds: float = 0.0, *, last: bool = False) -> None:
        self._seconds, self._last = seconds, last

    def push(self, item: object) -> list[object]:
        time.sleep(self._seconds)
        if isinstance(item, Frame):
            return [TrackedFrame(item)]
        assert isinstance(item, TrackedFrame)
        return [item.frame] if self._last else [item]


def stages(track: float = 0.0, restore: float = 0.0) -> Pipeline:
    return Pipeline([("track", Delay(track)), ("a", Delay(restore)), ("b", Delay(last=True))])


class Run:
    def __init__(
        self,
        source: Source,
        sink: Sink,
        frames: Pipeline,
        *,
        waits: bool = False,
        closing_seconds: float = 2.0,
    ) -> None:
        self.quality, self.reports = LiveQuality(), []
        self.watchdog = Watchdog(self.reports.append, stuck_seconds=0.2)
        self.runner = LiveRunner(
            source,
            sink,
            self.quality,
            max_latency_seconds=0.08,
            controller=None if waits else QualityController(self.quality, 0.08),
            watchdog=self.watchdog,
            drops_frames=not waits,
            closing_seconds=closing_seconds,
        )
        self.runner.start(frames)

    def __enter__(self) -> LiveRunner:
        return self.runner

    def __exit__(self, *_: object) -> None:
        self.runner.close()
        names = {thread.name for thread in threading.enumerate()}
        assert not {name for name in names if name.startswith(("live-", "chain-"))}


def test_a_file_passes_completely_and_in_order() -> None:
    sink = Sink()
    source = PacedSource([frame(i) for i in range(50)])
    with Run(source, sink, stages(0.001, 0.001), waits=True) as runner:
        assert runner.wait(PATIENCE)
    assert sink.got == list(range(50))
    assert sink.closed
    assert not sink.aborted


def test_overload_drops_frames_and_bounds_the_latency() -> None:
    sink = Sink()
    source = PacedSource([frame(i) for i in range(100)], pace=0.01)
    with Run(source, sink, stages(0.0, 0.03)) as runner:
        assert runner.wait(PATIENCE)
    assert sink.got == sorted(sink.got)
    assert 20 <= len(sink.got) <= 60
    assert runner.queue.dropped == 100 - len(sink.got) == runner.frames_in - runner.frames_out
    # Were nothing dropped, the last frame would be two seconds late, the middle one half of that.
    assert runner.latency.total().p50 < 4 * 30 + 250


def test_sound_is_written_with_its_frame_and_changes_of_the_source_keep_their_place() -> None:
    change = Source(info=None, first=PICTURE)
    items = [frame(0), sound(17), frame(1), frame(2), change, frame(3), sound(999)]
    sink = Sink()
    with Run(PacedSource(items), sink, stages(restore=0.002), waits=True) as runner:
        assert runner.wait(PATIENCE)
    # The time base is 1/25 s: frame 2 is at 80 ms, the first packet at 170, within a tenth.
    assert sink.got == [0, 1, "Passthrough", 2, "Source", 3, "Passthrough"]


def test_an_error_of_the_source_is_raised_after_its_frames_are_written() -> None:
    sink = Sink()
    source = PacedSource([frame(0), frame(1), InputError("cut off")])
    with Run(source, sink, stages(), waits=True) as runner:
        with pytest.raises(InputError, match="cut off"):
            runner.wait(PATIENCE)
        assert sink.got == [0, 1]
        assert sink.closed


def test_a_receiver_that_leaves_ends_the_run_without_an_error() -> None:
    sink = Sink(fail=ReaderGoneError("gone"), after=5)
    source = PacedSource([frame(i) for i in range(10_000)], pace=0.002)
    with Run(source, sink, stages()) as runner:
        assert runner.wait(PATIENCE)
        assert runner.sink_gone
    assert sink.aborted
    assert not sink.closed


def test_an_error_of_the_writer_ends_the_run() -> None:
    sink = Sink(fail=OutputError("disk full"), after=2)
    run = Run(PacedSource([frame(i) for i in range(50)], pace=0.002), sink, stages())
    with run as runner, pytest.raises(OutputError, match="disk full"):
        runner.wait(PATIENCE)
    assert sink.aborted


def test_an_error_of_a_stage_ends_the_run() -> None:
    class Broken(Delay):
        def push(self, item: object) -> list[object]:
            raise RuntimeError(f"a defect at {item}")

    frames = Pipeline([("track", Delay()), ("a", Broken()), ("b", Delay(last=True))])
    run = Run(PacedSource([frame(i) for i in range(50)], pace=0.002), Sink(), frames)
    with run as runner, pytest.raises(RuntimeError, match="a defect"):
        runner.wait(PATIENCE)


def test_stopping_writes_the_frames_in_flight_and_closes_the_writer() -> None:
    sink = Sink()
    source = PacedSource([frame(i) for i in range(5)], pace=0.02, endless=True)
    with Run(source, sink, stages(0.01, 0.01)) as runner:
        wait_until(lambda: runner.frames_in == 5)
        runner.stop()
        assert runner.wait(PATIENCE)
    assert len(sink.got) == 5 - runner.queue.dropped
    assert sink.got[-1] == 4
    assert sink.closed


def test_a_receiver_that_reads_nothing_is_reported_and_given_up() -> None:
    sink = Sink(pace=PATIENCE)
    source = PacedSource([frame(i) for i in range(10_000)], pace=0.005)
    run = Run(source, sink, stages(), closing_seconds=0.3)
    with run as runner:

        def is_reported() -> bool:
            run.watchdog.look(runner.states)
            return bool(run.reports and runner.queue.dropped)

        wait_until(is_reported)
        assert not runner.wait(0)
        assert runner.queue.dropped > 0
    assert run.reports
    assert "writing a frame" in run.reports[0]
    assert sink.aborted


def test_frames_pass_unchanged_and_none_is_dropped_until_there_is_a_pipeline() -> None:
    strengths: list[float] = []

    class Strength(Delay):
        def set_strength(self, strength: float) -> None:
            strengths.append(strength)

    sink, quality = Sink(), LiveQuality()
    runner = LiveRunner(
        PacedSource([frame(i) for i in range(60)], pace=0.01),
        sink,
        quality,
        max_latency_seconds=0.08,
        controller=QualityController(quality, 0.08),
        watchdog=Watchdog(print),
        strength=lambda: 0.8,
    )
    with runner:
        runner.start()
        wait_until(lambda: len(sink.got) >= 20)
        assert strengths == []
        runner.use(Pipeline([("track", Delay()), ("a", Strength()), ("b", Delay(last=True))]))
        assert runner.wait(PATIENCE)
    assert sink.got == list(range(60))
    assert 20 <= runner.frames_passed <= 60
    assert strengths == sorted(strengths)
    assert all(0 <= strength <= 0.8 for strength in strengths)


def test_late_frames_skip_the_networks_only_for_a_while() -> None:
    class Slow:
        expected_seconds = 1.0  # Every frame would be late.

        def push(self, sample: FrameTiming) -> None:
            assert sample.latency >= 0
            fresh.append(hurry.pop(0))

    class Ration(Delay):
        def push(self, item: object) -> list[object]:
            hurry.append(quality.hurry)
            return super().push(item)

    fresh: list[bool] = []
    hurry: list[bool] = []
    quality, sink = LiveQuality(), Sink()
    runner = LiveRunner(
        PacedSource([frame(i) for i in range(30)], pace=0.005),
        sink,
        quality,
        max_latency_seconds=0.08,
        controller=Slow(),
        watchdog=Watchdog(print),
    )
    runner.start(Pipeline([("track", Delay()), ("a", Ration()), ("b", Delay(last=True))]))
    assert runner.wait(PATIENCE)
    runner.close()
    assert len(fresh) > 10
    assert fresh[:6] == [True, True, False] * 2
