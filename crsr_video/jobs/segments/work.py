"""Enhance one segment: from a reset state, after a warm-up, into a closed file of its own."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from crsr_video import pipeline, report
from crsr_video.closing import Closing
from crsr_video.errors import InputError, NoVideoError, OutputError
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader, Span
from crsr_video.io.writer import Writer
from crsr_video.jobs.segments import facts, media
from crsr_video.jobs.segments.ends import Looking, SegmentRunner, time_of
from crsr_video.jobs.segments.planning import Plan, Segment
from crsr_video.jobs.segments.results import SegmentResult, since
from crsr_video.records import to_json

OnFrame = Callable[[int], None]
"""Called with the number of faces in view after each finished frame."""


def enhance_segment(plan: Plan, segment: Segment, folder: Path) -> SegmentResult:
    """Enhance a segment, on any machine that has the source under the plan's path.

    Args:   folder: where its file goes; for many segments on one machine, see `Worker`.
    Raises: CrsrError: nothing is left in the folder then.
    """
    with Worker(plan) as worker:
        return worker.enhance(segment, folder)


class Worker(Closing):
    """Enhances segments of one plan; the networks stay loaded in between.

    Args:   networks: those of the plan's configuration, if they are loaded already.
    Raises: InputError: other versions are installed here than where the plan was made.
            DeviceError, WeightsError, FaceModelError, TracksError.
    """

    def __init__(self, plan: Plan, *, networks: pipeline.Networks | None = None) -> None:
        differs = facts.difference(plan.versions, facts.versions(plan.config))
        if differs is not None:
            raise InputError(f"{plan.source}: was planned by a machine with {differs}")
        self._plan = plan
        with Reader(plan.source) as film:
            replay = pipeline.recorded(plan.config, plan.source, film.info)
        self._pipeline = pipeline.build(plan.config, tracker=replay, networks=networks)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, in words."""
        return self._pipeline.notices

    def close(self) -> None:
        """Free detectors and the like."""
        self._pipeline.close()

    def enhance(
        self, segment: Segment, folder: Path, on_frame: OnFrame | None = None
    ) -> SegmentResult:
        """Enhance one segment; the same whatever was enhanced before.

        Raises: CrsrError: no file of the segment is left in the folder then.
        """
        frames, config = self._pipeline, self._plan.config
        frames.reset()
        frames.counts = lambda frame: segment.holds(time_of(frame))
        before = frames.statistics
        observer = report.Observer() if config.job.report else None
        frames.observer = observer.push if observer is not None else None
        frames.lowered.clear()
        looking = Looking(segment, own_numbers=config.faces.tracks is None)
        with ExitStack() as stack:
            film = stack.enter_context(
                Reader(self._plan.source, start=config.job.start, duration=config.job.duration)
            )
            decoder = self._decoder(film, segment, stack)
            if decoder is None:
                return _nothing(segment, since(before, before, 0))
            encoder = stack.enter_context(self._encoder(film, segment, folder))
            runner = SegmentRunner(decoder, frames, encoder, segment, looking, on_frame)
            runner.run()
            if not runner.durations:
                encoder.abort()
                return _nothing(segment, since(before, frames.statistics, 0))
            encoder.close()
        grown = since(before, frames.statistics, len(looking.tracks))
        seconds = {
            "decode": runner.read_seconds,
            **grown.stage_seconds,
            "encode": runner.write_seconds,
        }
        return SegmentResult(
            number=segment.number,
            name=encoder.plan.path.name,
            **check(encoder.plan.path, len(runner.durations)),
            first=runner.first,
            durations=tuple((len(list(same)), d) for d, same in groupby(runner.durations)),
            statistics=replace(grown, stage_seconds=seconds),
            entering=dict(looking.entering),
            leaving=dict(looking.leaving),
            tracks=tuple(looking.tracks.values()),
            concealed=runner.concealed,
            damaged=runner.damaged,
            notes=decoder.report.notes,
            observed=self._observed(observer, looking),
        )

    def _observed(
        self, observer: report.Observer | None, looking: Looking
    ) -> dict[str, Any] | None:
        """For the report, with the segment's own numbers of faces."""
        if observer is None:
            return None
        seen = observer.observations(self._pipeline.lowered)
        record: dict[str, Any] = to_json(report.renumber(seen, looking.tracks))
        return record

    def _decoder(self, film: Reader, segment: Segment, stack: ExitStack) -> Reader | None:
        """The source from the warm-up on; None: nothing can be decoded there."""
        plan = self._plan
        span = Span(segment.warm, plan.end, plan.seek)
        try:
            return stack.enter_context(Reader(plan.source, span=span, like=film.source.first))
        except NoVideoError:
            return None

    def _encoder(self, film: Reader, segment: Segment, folder: Path) -> Writer:
        """As for the whole result, but into a file that holds nothing else."""
        plan, config = self._plan, self._plan.config
        whole = plan_output(film.source, plan.output, config.output, scale=config.scale)
        name = f"segment{segment.number:06d}{media.segment_suffix(whole.encoder)}"
        return Writer(
            folder / name,
            film.source,
            config.output,
            scale=config.scale,
            overwrite=True,
            threads=plan.threads,
            plan=media.segment_plan(whole, folder / name, film.source),
            exclusive=False,  # A worker that was given up may still be at it.
        )


def check(path: Path, frames: int) -> dict[str, Any]:
    """What a segment's finished file holds, and that it holds all of it.

    Raises: OutputError: frames are missing: the disk may have been full.
    """
    times = [packet.pts or 0 for packet in media.packets(path)]
    if len(times) != frames:
        raise OutputError(f"{path}: holds {len(times)} frames and not {frames}; is the disk full?")
    ranks = {pts: rank for rank, pts in enumerate(sorted(times))}
    delay = max((place - ranks[pts] for place, pts in enumerate(times)), default=0)
    return {"size": path.stat().st_size, "sha256": sha256(path), "frames": frames, "delay": delay}


def sha256(path: Path) -> str:
    """Of a whole file.

    Raises: OSError.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nothing(segment: Segment, statistics: pipeline.Statistics) -> SegmentResult:
    """The result of a segment of which no frame could be decoded."""
    return SegmentResult(
        segment.number, "", 0, "", 0, segment.begin or 0, (), 0, statistics, {}, {}, ()
    )
