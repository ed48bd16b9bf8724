"""Enhance one segment: reset all state, process the warm-up, and write a complete file."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from crsr_video import pipeline, report
from crsr_video.closing import Closing
from crsr_video.errors import InputError, NoVideoError, OutputError
from crsr_video.files import sha256_of_file
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader, TimeSpan
from crsr_video.io.writer import Writer
from crsr_video.jobs.segments import compatibility, packets
from crsr_video.jobs.segments.planning import Plan, Segment
from crsr_video.jobs.segments.results import (
    OVERLAP_FRAMES,
    Boxes,
    SegmentResult,
    subtract_statistics,
)
from crsr_video.pipeline import Pipeline
from crsr_video.runner import Runner
from crsr_video.runtime import loading
from crsr_video.track.recognition import installed_recogniser
from crsr_video.types import Frame, TrackedFrame

OnFrame = Callable[[int], None]
"""Called after each finished frame with the number of visible faces."""


class SegmentWorker(Closing):
    """Enhances segments of one plan. The networks stay loaded between segments.

    Args:
        plan: A plan, possibly made on another machine that sees the source under the same path.
        networks: Networks that were loaded with the plan's settings, if there are any.

    Raises:
        InputError: Other versions are installed here than where the plan was made.
        DeviceError: The device cannot be used.
        WeightsError: The weights cannot be loaded.
        FaceModelError: The face models are missing.
        TracksError: The tracks file is damaged or belongs to another video.
    """

    def __init__(self, plan: Plan, *, networks: loading.Networks | None = None) -> None:
        installed = compatibility.versions(plan.config)
        difference = compatibility.first_difference(plan.versions, installed)
        if difference is not None:
            raise InputError(f"{plan.source}: was planned by a machine with {difference}")
        self._plan = plan
        with Reader(plan.source) as reader:
            replay = pipeline.replay_for(plan.config, plan.source, reader.info)
        self._pipeline = pipeline.build(plan.config, tracker=replay, networks=networks)

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user."""
        return self._pipeline.notices

    def close(self) -> None:
        """Free the detectors."""
        self._pipeline.close()

    def enhance(
        self, segment: Segment, folder: Path, on_frame: OnFrame = lambda _: None
    ) -> SegmentResult:
        """Enhance one segment, independently of what was enhanced before.

        Raises:
            CrsrError: The segment cannot be enhanced. None of its files is left.
        """
        frames, config = self._pipeline, self._plan.config
        frames.reset()
        frames.counts_frame = lambda frame: segment.contains(_source_pts(frame))
        before = frames.statistics
        observer = report.EnhancementObserver(installed_recogniser()) if config.job.report else None
        frames.observer = observer.push if observer is not None else None
        frames.lowered.clear()
        faces = _FaceLog(segment, own_ids=config.faces.tracks is None)
        with ExitStack() as stack:
            whole = stack.enter_context(
                Reader(self._plan.source, start=config.job.start, duration=config.job.duration)
            )
            source = self._open_source(whole, segment, stack)
            writer = stack.enter_context(self._open_writer(whole, segment, folder))
            runner = _SegmentRunner(source, frames, writer, segment, faces, on_frame)
            runner.run()
            if not runner.durations:
                raise NoVideoError(self._why_nothing(segment))
            writer.check_losses(source.report.losses)
            writer.close()
        grown = subtract_statistics(frames.statistics, before, len(faces.ids))
        seconds = {
            "decode": runner.read_seconds,
            **grown.stage_seconds,
            "encode": runner.write_seconds,
        }
        path = writer.plan.path
        observed = None
        if observer is not None:
            observed = report.renumber(observer.observations(frames.lowered), faces.ids)
        return SegmentResult(
            number=segment.number,
            name=path.name,
            size=path.stat().st_size,
            sha256=sha256_of_file(path),
            frames=len(runner.durations),
            first=runner.first,
            durations=tuple((len(list(same)), d) for d, same in groupby(runner.durations)),
            delay=_decoding_delay(path, len(runner.durations)),
            statistics=replace(grown, stage_seconds=seconds),
            entering=dict(faces.entering),
            leaving=dict(faces.leaving),
            tracks=tuple(faces.ids.values()),
            concealed=runner.concealed,
            damaged=runner.damaged,
            notes=(*source.report.notes, *writer.losses),
            observed=observed,
        )

    def _open_source(self, whole: Reader, segment: Segment, stack: ExitStack) -> Reader:
        """Open the source at the start of the warm-up."""
        plan = self._plan
        span = TimeSpan(segment.warm_up, plan.end, plan.can_seek)
        try:
            return stack.enter_context(Reader(plan.source, span=span, like=whole.source.first))
        except NoVideoError as error:
            raise NoVideoError(self._why_nothing(segment)) from error

    def _why_nothing(self, segment: Segment) -> str:
        """Return the message for a segment that would be missing in the result."""
        number, count = segment.number + 1, len(self._plan.segments)
        return (
            f"{self._plan.source}: none of the {segment.frames} frames of segment {number} of"
            f" {count} could be decoded"
        )

    def _open_writer(self, whole: Reader, segment: Segment, folder: Path) -> Writer:
        """Open a segment file that is encoded like the whole result, without other streams."""
        plan, config = self._plan, self._plan.config
        result = plan_output(whole.source, plan.output, config.output, scale=config.scale)
        name = f"segment{segment.number:06d}{packets.segment_suffix(result)}"
        return Writer(
            folder / name,
            whole.source,
            config.output,
            scale=config.scale,
            overwrite=True,
            threads=plan.threads,
            plan=packets.segment_plan(result, folder / name, whole.source),
            exclusive=False,  # An abandoned worker may still be writing.
        )


def _source_pts(frame: Frame) -> int:
    """Return the timestamp of a frame, or of the interlaced frame that a field was taken from."""
    return (frame if frame.interlaced_frame is None else frame.interlaced_frame).pts


class _FaceLog:
    """Faces of a segment, and their boxes in the frames that neighbouring segments also see.

    Args:
        segment: The segment.
        own_ids: Number the tracks from one in order of appearance, so that the result does not
            depend on earlier work of the tracker.
    """

    def __init__(self, segment: Segment, *, own_ids: bool) -> None:
        self._segment, self._own_ids = segment, own_ids
        self._all_ids: dict[int, int] = {}
        self.entering: deque[tuple[int, Boxes]] = deque(maxlen=OVERLAP_FRAMES)
        self.leaving: deque[tuple[int, Boxes]] = deque(maxlen=OVERLAP_FRAMES)
        self.ids: dict[int, int] = {}
        """The segment's own track IDs, by the tracker's IDs."""

    def add(self, item: TrackedFrame) -> None:
        """Record the faces of a frame."""
        pts = _source_pts(item.frame)
        boxes = {self._id(face.track): face.box for face in item.faces}
        if self._segment.is_warm_up(pts):
            self.entering.append((pts, boxes))
        elif self._segment.contains(pts):
            self.leaving.append((pts, boxes))
            self.ids.update((f.track, self._id(f.track)) for f in item.faces)

    def _id(self, track: int) -> int:
        return self._all_ids.setdefault(track, len(self._all_ids) + 1 if self._own_ids else track)


class _SegmentRunner(Runner):
    """Enhances one segment. Frames before it are the warm-up. The first one after it ends the run.

    The timestamps of the segment file start at zero, because some containers require it. Damage is
    counted inside the segment only.

    Args:
        reader: The source, from the warm-up on.
        frames: The pipeline in its initial state.
        writer: The segment file.
        segment: The segment.
        faces: Records the faces of all tracked frames.
        on_finished: Called after each finished frame.
    """

    def __init__(
        self,
        reader: Reader,
        frames: Pipeline,
        writer: Writer,
        segment: Segment,
        faces: "_FaceLog",
        on_finished: OnFrame,
    ) -> None:
        super().__init__(reader, frames, writer)
        self._source, self._frames = reader, frames
        self._segment, self._faces, self._on_finished = segment, faces, on_finished
        self.concealed = self.damaged = 0
        self.first = 0
        """Original timestamp of the first frame."""
        self.durations: list[int] = []
        """Durations of the finished frames."""

    def read(self) -> Iterator[Frame]:
        """Yield the frames of the source without the packets of other streams."""
        before = self._source.report
        for item in super().read():
            if not isinstance(item, Frame):
                continue
            now = self._source.report
            if self._segment.contains(item.pts):
                self.concealed += now.concealed - before.concealed
                self.damaged += now.damaged - before.damaged
            before = now
            yield item
        if self._segment.end is None:
            self.damaged += self._source.report.damaged - before.damaged

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Find the faces of a frame, and record them."""
        found = super().track(frame)
        for item in found:
            self._faces.add(item)
        return found

    def write(self, item: Frame) -> bool:
        """Write a frame of the segment, and return whether more of them may follow."""
        if not self._segment.contains(item.pts):
            return self._segment.is_warm_up(item.pts)
        if not self.durations:
            self.first = item.pts
        self.durations.append(int(getattr(item.native, "duration", 0) or 0))
        self._writer.push(replace(item, pts=item.pts - self.first))
        self._on_finished(self._frames.faces_in_view)
        return True


def _decoding_delay(path: Path, frames: int) -> int:
    """Return by how many frames decoding precedes presentation in a finished segment file."""
    times = [packet.pts or 0 for packet in packets.packets(path)]
    if len(times) != frames:
        raise OutputError(
            f"{path}: contains {len(times)} instead of {frames} frames; is the disk full?"
        )
    ranks = {pts: rank for rank, pts in enumerate(sorted(times))}
    return max((place - ranks[pts] for place, pts in enumerate(times)), default=0)
