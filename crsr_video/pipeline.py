"""The pipeline: track, align, consistify, super-resolve, smooth, back off, paste.

Decoding comes before it and encoding after it; both are in `io`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import ConfigError
from crsr_video.imaging import fields
from crsr_video.stages.base import Lowered, Stage
from crsr_video.stages.repeats import RepeatedFrames
from crsr_video.track import tracks_file
from crsr_video.track.replay import Replay
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame, RunStatistics, TrackedFrame, VideoInfo

if TYPE_CHECKING:  # These modules load torch, which takes about a second.
    from crsr_video.imaging.operations import Operations
    from crsr_video.restoration import Restoration
    from crsr_video.runtime.loading import Networks
    from crsr_video.runtime.placement import Placement
    from crsr_video.stages.quality import LiveQuality

_TRACKER_LOOKAHEAD = 8


def build(
    config: EnhancerConfig,
    *,
    live: bool = False,
    tracker: Stage[Frame, TrackedFrame] | None = None,
    quality: "LiveQuality | None" = None,
    networks: "Networks | None" = None,
    operations: "Operations | None" = None,
    in_background: bool = False,
) -> "Pipeline":
    """Build the pipeline that a configuration asks for.

    Args:
        config: What is enhanced, and how.
        live: Use no lookahead anywhere, so that each frame comes back at once.
        tracker: First stage. By default faces are searched for.
        quality: Tells the stages, frame by frame, how much work there is time for.
        networks: The loaded networks of this configuration. By default they are loaded.
        operations: Where crops, warps and masks are computed. By default beside the networks on
            CUDA, otherwise on the processor.
        in_background: Load the networks in another thread, while faces are already searched for.
            The errors of loading are then raised by the methods that need the networks.

    Raises:
        DeviceError: The device or the precision is not available.
        WeightsError: The weights cannot be loaded.
        FaceModelError: The face models cannot be loaded.
        ConfigError: The configuration names a tracks file, but no tracker was given.
    """
    if config.faces.tracks is not None and tracker is None:
        raise ConfigError("tracks belong to a video file and cannot be used without it")

    def load() -> "Restoration":
        from crsr_video.restoration import build_restoration

        return build_restoration(
            config, live=live, quality=quality, networks=networks, operations=operations
        )

    executor = ThreadPoolExecutor(1, thread_name_prefix="loading")
    loading = executor.submit(load)
    executor.shutdown(wait=not in_background)
    if not in_background:
        loading.result()  # Raises the errors of loading.
    first = ("track", tracker or _tracker(config, live))
    return Pipeline(
        [first],
        loading,
        chosen=config.faces.only or (),
        rescue=config.on_error == "passthrough",
    )


def replay_for(
    config: EnhancerConfig, source: Path, info: VideoInfo, *, shift: Fraction = Fraction(0)
) -> Replay | None:
    """Return the first stage that replays the tracks file of a configuration, if it names one.

    Args:
        config: The configuration.
        source: The video.
        info: What is known about the video.
        shift: Seconds by which the video's times are moved.

    Raises:
        TracksError: The file is damaged, or belongs to another video.
    """
    if config.faces.tracks is None:
        return None
    recording = tracks_file.read(config.faces.tracks)
    tracks_file.check_video(recording, config.faces.tracks, source, info)
    ticks = int(shift / info.time_base)
    return Replay(recording, config.faces.tracks, shift=ticks, min_face=config.faces.min_face)


def _tracker(config: EnhancerConfig, live: bool) -> Tracker:
    return Tracker(lookahead=0 if live else _TRACKER_LOOKAHEAD, min_face=config.faces.min_face)


class Pipeline(Closing):
    """Takes frames and returns them enhanced, in order.

    Args:
        stages: Names and stages in order; the first takes `Frame`, the last returns it.
        loading: Further stages, which may still be loading. Methods that need them wait for them,
            and raise the errors of loading.
        chosen: Numbers of the people that the user chose. A notice says which of them were never
            enhanced.
        rescue: Let a frame pass through unchanged when a stage fails on it.
    """

    def __init__(
        self,
        stages: Iterable[tuple[str, Stage[Any, Any]]],
        loading: "Future[Restoration] | None" = None,
        *,
        chosen: Collection[int] = (),
        rescue: bool = False,
    ) -> None:
        self._rescue = rescue
        self._loaded_runs: list[_StageRun] = []
        self._loading, self._lock = loading, threading.Lock()
        self._placement: Placement | None = None
        self._clock = time.perf_counter
        self.loaded_at = time.perf_counter()
        """Value of `time.perf_counter` when all stages were loaded."""
        self._add_stages(stages, is_end=loading is None)
        self._weaver = fields.Weaver()
        self._repeats = RepeatedFrames()
        self._counted = RunStatistics()
        self._tracks: set[int] = set()
        self._people: set[int] = set()
        self._are_grouped = True
        self._chosen = frozenset(chosen)
        self._enhanced: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._skipped: Counter[str] = Counter()
        self._notices: tuple[str, ...] = ()
        self.faces_in_view = 0
        """Number of faces in the last frame that entered the statistics."""
        self.counts_frame: Callable[[Frame], bool] = lambda _: True
        """Decides which frames enter the statistics; a warm-up, for example, does not."""
        self.observer: Callable[[TrackedFrame, Frame], None] | None = None
        """Called with each counted frame before and after the last stage."""

    @property
    def placement(self) -> "Placement | None":
        """Device and precision of the networks, or None if no stage has any."""
        self._wait_for_stages()
        return self._placement

    @property
    def lookahead(self) -> int:
        """Largest number of frames held back by all stages together."""
        return sum(run.stage.lookahead for run in self._runs)

    @property
    def statistics(self) -> RunStatistics:
        """Statistics so far."""
        return replace(
            self._counted,
            tracks=len(self._tracks),
            people=len(self._people) if self._are_grouped or len(self._tracks) == 1 else 0,
            passed_through=sum(run.failures for run in self._runs),
            skipped=dict(self._skipped),
            stage_seconds={run.name: run.seconds for run in self._runs},
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user, one sentence each."""
        self._wait_for_stages()
        alone = sorted(self._chosen & self._reasons.keys() - self._enhanced)
        lines = (f"person {n} was left alone in every frame: {self._reasons[n]}" for n in alone)
        return (
            *self._notices,
            *(notice for run in self._runs for notice in run.stage.notices),
            *lines,
        )

    @property
    def lowered(self) -> dict[int, Lowered]:
        """How far back-off lowered the strength of faces, by track ID."""
        return {track: found for run in self._runs for track, found in run.stage.lowered.items()}

    def push(self, frame: Frame) -> list[Frame]:
        """Take a frame, and return the frames that are now finished."""
        return [done for item in self.track(frame) for done in self.restore(item)]

    def flush(self) -> list[Frame]:
        """Finish every frame held back, at the end of the stream."""
        done = [done for item in self.track(None) for done in self.restore(item)]
        return done + self.restore(None)

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Run the first stage only: half of `push`, or of `flush` when there is no frame.

        The two halves may run in two threads, because they share only the items that are passed on.
        """
        first = self._loaded_runs[0]
        return first.flush() if frame is None else first.push_all([frame])

    def skip_tracking(self, frame: Frame) -> TrackedFrame:
        """Return a frame without searching it. Without lookahead, this may replace `track`."""
        self._loaded_runs[0].reset()
        return TrackedFrame(frame)

    def restore(self, item: TrackedFrame | None) -> list[Frame]:
        """Run all further stages: the second half of `push`, or of `flush` without an item."""
        if item is not None:
            return self._woven(self._through(list(fields.split(item)), 1))
        done: list[Frame] = []
        for index, run in enumerate(self._runs[1:], 1):
            done += self._through(run.flush(), index + 1)
        return self._woven(done)

    def warm_up(self) -> None:
        """Warm up every stage, so that the first frame takes no longer than later ones."""
        for run in self._runs:
            run.stage.warm_up()

    def set_strength(self, strength: float) -> None:
        """Apply this share of the correction, 0 to 1, from the next frame on."""
        for run in self._runs:
            run.stage.set_strength(strength)

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Time the stages with another clock than wall time, such as `time.process_time`."""
        self._clock = clock
        for run in self._loaded_runs:
            run.clock = clock

    def reset(self) -> None:
        """Forget all frames and faces, as at the beginning of another video."""
        for run in self._runs:
            run.reset()
        self._weaver.reset()
        self._repeats.reset()

    def close(self) -> None:
        """Wait until loading has ended, and close all stages."""
        if self._loading is not None:
            wait([self._loading])
            if self._loading.exception() is None:
                self._wait_for_stages()
        for run in self._loaded_runs:
            run.stage.close()

    @property
    def _runs(self) -> "list[_StageRun]":
        self._wait_for_stages()
        return self._loaded_runs

    def _wait_for_stages(self) -> None:
        """Wait until all stages are loaded. Any thread may call this."""
        if self._loading is None:
            return
        restoration = self._loading.result()
        with self._lock:
            if self._loading is None:
                return
            self._add_stages(restoration.stages, is_end=True)
            self._placement, self._notices = restoration.placement, restoration.notices
            self.loaded_at = time.perf_counter()
            self._loading = None

    def _add_stages(self, stages: Iterable[tuple[str, Stage[Any, Any]]], *, is_end: bool) -> None:
        added = [_StageRun(name, stage, self._rescue, self._clock) for name, stage in stages]
        if is_end:
            added[-1].is_last = True
        self._loaded_runs = [*self._loaded_runs, *added]

    def _through(self, items: list[Any], first: int) -> list[Any]:
        """Run items through the stages from number `first` on."""
        for run in self._runs[first:]:
            items = self._finished(run, items) if run.is_last else run.push_all(items)
        return items

    def _finished(self, run: "_StageRun", items: list[TrackedFrame]) -> list[Frame]:
        """Run the last stage, count its frames, and show them to the observer."""
        # The fields of an interlaced frame count once.
        counted = [not i.frame.is_second_field and self.counts_frame(i.frame) for i in items]
        for item, counts in zip(items, counted, strict=True):
            if counts:
                self._count(item)
        done: list[Frame] = run.push_all(items)
        if len(done) == len(items):
            pairs = zip(items, done, strict=True)
            done = [self._repeats.settled(item, frame) for item, frame in pairs]
        if self.observer is not None and len(done) == len(items):
            for item, frame, counts in zip(items, done, counted, strict=True):
                if counts:
                    self.observer(item, frame)
        return done

    def _count(self, item: TrackedFrame) -> None:
        counted = self._counted
        self.faces_in_view = len(item.faces)
        self._tracks.update(face.track for face in item.faces)
        self._people.update(face.person_number for face in item.faces)
        self._are_grouped &= all(face.person for face in item.faces)
        for face in item.faces:
            if face.enhanced is not None:
                self._enhanced.add(face.person_number)
            elif face.skipped is not None:
                self._reasons[face.person_number] = face.skipped
        self._skipped.update(face.skipped for face in item.faces if face.skipped is not None)
        self._counted = replace(
            counted,
            frames=counted.frames + 1,
            faces=counted.faces + len(item.faces),
            enhanced=counted.enhanced + sum(face.enhanced is not None for face in item.faces),
            cuts=counted.cuts + item.cut,
        )

    def _woven(self, done: list[Frame]) -> list[Frame]:
        """Join the fields of interlaced frames into whole frames again."""
        return [whole for frame in done for whole in self._weaver.push(frame)]


class _StageRun:
    """Runs a stage, measures its time, and passes frames through if it fails."""

    def __init__(
        self, name: str, stage: Stage[Any, Any], rescue: bool, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self.stage = stage
        self.is_last = False
        self.seconds = 0.0
        self.failures = 0
        self.clock = clock
        self._rescue = rescue
        self._inside: list[Any] = []

    def push_all(self, items: list[Any]) -> list[Any]:
        if not items:
            return []
        begin = self.clock()
        done = self._attempt(lambda: self.stage.push_all(items), items)
        self.seconds += self.clock() - begin
        return done

    def flush(self) -> list[Any]:
        begin = self.clock()
        done = self._attempt(self.stage.flush, [])
        self.seconds += self.clock() - begin
        return done

    def reset(self) -> None:
        self._inside.clear()
        self.stage.reset()

    def _attempt(self, act: Callable[[], list[Any]], new: list[Any]) -> list[Any]:
        """Return the results of a stage, or frames without faces if it fails."""
        try:
            done = act()
        except Exception:
            if not self._rescue:
                raise
            return self._passed_through(new)
        self._inside += new
        del self._inside[: len(done)]
        return done

    def _passed_through(self, new: list[Any]) -> list[Any]:
        """Empty a stage that failed. Several new items are tried again one by one."""
        # The stage's state is in doubt, so the items it held back pass through without faces.
        self.stage.reset()
        done = [plain for item in self._inside for plain in self._without_faces(item)]
        self._inside.clear()
        if len(new) == 1:
            return done + self._without_faces(new[0])
        for item in new:
            done += self._attempt(partial(self.stage.push, item), [item])
        return done

    def _without_faces(self, item: Any) -> list[Any]:
        self.failures += 1
        plain = TrackedFrame(item) if isinstance(item, Frame) else replace(item, faces=())
        return self.stage.push(plain) if self.is_last else [plain]
