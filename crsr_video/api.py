"""Enhance whole files, or frames one by one: the public API.

import crsr_video
summary = crsr_video.enhance("interview.mp4", "better.mp4")
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crsr_video import pipeline
from crsr_video import report as reporting
from crsr_video.closing import Closing
from crsr_video.config import Config
from crsr_video.errors import ConfigError
from crsr_video.io import frames as conversion
from crsr_video.io import pipes
from crsr_video.io.encode import Encoder
from crsr_video.io.reader import Passthrough, Reader
from crsr_video.io.streams import OutputPlan
from crsr_video.jobs import segments
from crsr_video.pipeline import Pipeline, Statistics
from crsr_video.progress import Progress
from crsr_video.runtime.devices import Placement
from crsr_video.types import Frame, TrackedFrame, VideoInfo
from crsr_video.workers import ReadAhead, WriteBehind

_READ_AHEAD = 4
_WRITE_BEHIND = 4
"""Items between threads: enough to hide jitter, few enough for 4K in memory."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished run did."""

    source: Path
    output: Path
    video: VideoInfo
    plan: OutputPlan
    statistics: Statistics
    seconds: float
    """From the call to the closed file."""
    startup_seconds: float
    """Of those, until the first frame was read: models are loaded, files opened."""
    truncated: bool = False
    """The source ended before its end: what was there is enhanced."""
    concealed: int = 0
    """Frames that the decoder had to patch up."""
    damaged: int = 0
    """Packets of the video that could not be decoded at all."""
    resumed: int = 0
    """Of the frames, those that an earlier run had finished (`Config.resume`)."""
    notices: tuple[str, ...] = field(default=())
    """What the user should know: streams left out, formats changed."""
    reports: tuple[Path, ...] = ()
    """Files in which all this is told (`Config.report`)."""

    @property
    def partial(self) -> bool:
        """The source was cut off or damaged: the result is as good as that allowed."""
        return self.truncated or self.concealed > 0 or self.damaged > 0

    @property
    def fps(self) -> float:
        """Frames a second, end to end, once started."""
        running = self.seconds - self.startup_seconds
        return (self.statistics.frames - self.resumed) / running if running > 0 else 0.0


def enhance(
    source: str | Path,
    output: str | Path | None = None,
    *,
    config: Config | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
    command: Sequence[str] = (),
    networks: pipeline.Networks | None = None,
    workers: segments.Workers | None = None,
) -> Summary:
    """Enhance the faces of a video file.

    Args:    source: a video file; "-": standard input.
             output: the result's path; None: ``NAME.enhanced.EXT`` beside the source; "-": standard
             output.
             config: see `Config`; None: the defaults.
             on_progress: called after every frame, from the calling thread.
             on_notice: called with a line that the user should read, as soon as it is known.
             command: the command line that asked for it, to be told in a report.
             networks: those of this configuration, if they are loaded already.
             workers: who enhances the segments of a resumable run; None: this process.
    Returns: what was done.
    Raises:  CrsrError: nothing is left under the output's name then.
    """
    chosen = config or Config()
    _check_pipes(source, output, chosen)
    if chosen.job.resume:
        return _enhance_resumably(
            Path(source), output, chosen, on_progress, on_notice, command, workers
        )
    begin = time.perf_counter()
    with ExitStack() as stack:
        decoder = stack.enter_context(
            Reader(
                source, start=chosen.job.start, duration=chosen.job.duration, read=chosen.reading
            )
        )
        # The encoder is made before the networks: what cannot be written fails at once.
        encoder = stack.enter_context(
            Encoder(
                output, decoder, chosen.output, scale=chosen.scale, overwrite=chosen.job.overwrite
            )
        )
        reporting.check_paths(
            chosen.job.report,
            Path(source),
            encoder.plan.path,
            overwrite=chosen.job.overwrite,
            inputs=_inputs(chosen),
        )
        told = _tell(on_notice, encoder.notices, ())
        replay = pipeline.recorded(chosen, decoder.path, decoder.info, shift=decoder.source.shift)
        frames = stack.enter_context(pipeline.build(chosen, tracker=replay, networks=networks))
        observer = reporting.Observer() if chosen.job.report else None
        frames.observer = observer.push if observer is not None else None
        started = time.perf_counter()
        ends = transfer(decoder, frames, encoder, started, on_progress)
        encoder.close()
    report = decoder.report
    told = _tell(on_notice, (*encoder.notices, *report.notes, *frames.notices), told)
    summary = Summary(
        source=Path(source),
        output=encoder.plan.path,
        video=decoder.info,
        plan=encoder.plan,
        statistics=_with_ends(frames.statistics, ends),
        seconds=time.perf_counter() - begin,
        startup_seconds=started - begin,
        truncated=report.truncated,
        concealed=report.concealed,
        damaged=report.damaged,
        notices=told,
    )
    if observer is None:
        return summary
    assert frames.placement is not None
    seen = observer.observations(frames.lowered)
    return _reported(summary, seen, chosen, frames.placement, command)


def _reported(
    summary: Summary,
    seen: reporting.Observations,
    config: Config,
    placement: Placement,
    command: Sequence[str],
) -> Summary:
    """Write the reports that were asked for."""
    told = reporting.assemble(
        summary,
        seen,
        source=reporting.describe(summary.source, summary.plan.carried),
        output=reporting.describe(summary.output),
        config=config,
        placement=placement,
        command=tuple(command),
    )
    reporting.write(told, config.job.report)
    return replace(summary, reports=config.job.report)


def _enhance_resumably(
    source: Path,
    output: str | Path | None,
    config: Config,
    on_progress: Callable[[Progress], None] | None,
    on_notice: Callable[[str], None] | None,
    command: Sequence[str],
    workers: segments.Workers | None,
) -> Summary:
    """`enhance` in segments, for `Config.resume`."""
    begin = time.perf_counter()
    reporting.check_paths(
        config.job.report,
        source,
        Path(output or source),
        overwrite=config.job.overwrite,
        inputs=_inputs(config),
    )
    started = time.perf_counter() if workers is not None else None

    def count(finished: int, resumed: int, total: int, faces: int) -> None:
        nonlocal started
        started = started or time.perf_counter()
        if on_progress is not None:
            seconds = time.perf_counter() - started
            on_progress(Progress(resumed + finished, total, seconds, faces, resumed))

    done = segments.enhance_resumably(
        source,
        output,
        config,
        on_frame=count,
        on_notice=on_notice or (lambda _: None),
        workers=workers,
    )
    end = time.perf_counter()
    summary = Summary(
        source=source,
        output=done.joined.plan.path,
        video=done.joined.video,
        plan=done.joined.plan,
        statistics=done.statistics,
        seconds=end - begin,
        startup_seconds=(started or end) - begin,
        truncated=done.joined.report.truncated,
        concealed=done.concealed,
        damaged=done.damaged,
        resumed=done.resumed,
        notices=done.notices,
    )
    if not config.job.report:
        return summary
    return _reported(summary, done.seen, config, pipeline.placed(done.settled), command)


def _check_pipes(source: str | Path, output: str | Path | None, config: Config) -> None:
    """See, before anything is read, that pipes are what they should be.

    Raises: ConfigError: something needs a file. OutputError: standard output is a terminal.
    """
    reads, writes = pipes.is_standard(source), pipes.is_standard(output)
    if not (reads or writes):
        return
    if config.job.resume:
        raise ConfigError("a pipe cannot be gone on with: resume needs files to read and to write")
    if config.job.report:
        raise ConfigError("a report tells of files: it needs them for source and result, no pipe")
    if reads and config.faces.tracks is not None:
        raise ConfigError("tracks belong to a file, which standard input is not")
    if writes:
        pipes.check_outlet()


def _inputs(config: Config) -> tuple[Path, ...]:
    """Files that a run reads beside its source."""
    model = Path(config.networks.model)
    return (
        *([config.faces.tracks] if config.faces.tracks else []),
        *([model] if model.is_file() else []),
    )


def _tell(
    on_notice: Callable[[str], None] | None, notices: Iterable[str], told: tuple[str, ...]
) -> tuple[str, ...]:
    """Pass on what has not been said yet; returns all that has been said."""
    new = tuple(dict.fromkeys(notice for notice in notices if notice not in told))
    if on_notice is not None:
        for notice in new:
            on_notice(notice)
    return told + new


@dataclass(slots=True)
class _Ends:
    """Seconds spent at the two ends of the pipeline, each in its own thread."""

    decode: float = 0.0
    encode: float = 0.0


def _with_ends(statistics: Statistics, ends: _Ends) -> Statistics:
    stages = {"decode": ends.decode, **statistics.stage_seconds, "encode": ends.encode}
    return replace(statistics, stage_seconds=stages)


def transfer(
    decoder: Reader,
    frames: Pipeline,
    encoder: Encoder,
    begin: float,
    on_progress: Callable[[Progress], None] | None,
) -> _Ends:
    """Move everything from decoder to encoder: frames through the pipeline, packets around it.

    Three threads share the work: one decodes and tracks, this one restores, one encodes.
    """
    ends = _Ends()

    def write(item: Frame | Passthrough) -> None:
        before = time.perf_counter()
        if isinstance(item, Frame):
            encoder.push(item)
        else:
            encoder.push_packet(item)
        ends.encode += time.perf_counter() - before

    finished = 0
    with (
        ReadAhead(
            _tracked(_decoded(decoder, ends), frames), _READ_AHEAD, decoder.interrupt
        ) as items,
        WriteBehind(write, _WRITE_BEHIND, encoder.interrupt) as writer,
    ):
        for done in _restored(items, frames):
            writer.put(done)
            if isinstance(done, Frame):
                finished += 1
                if on_progress is not None:
                    elapsed = time.perf_counter() - begin
                    on_progress(Progress(finished, decoder.info.frames, elapsed, frames.in_view))
    return ends


def _decoded(decoder: Reader, ends: _Ends) -> Iterator[Frame | Passthrough]:
    """What the decoder yields, its time taken."""
    items = iter(decoder)
    while True:
        before = time.perf_counter()
        item = next(items, None)
        ends.decode += time.perf_counter() - before
        if item is None:
            return
        yield item


def _tracked(
    items: Iterable[Frame | Passthrough], frames: Pipeline
) -> Iterator[TrackedFrame | Passthrough]:
    """Decode and track: the reading thread's work."""
    for item in items:
        if isinstance(item, Frame):
            yield from frames.track(item)
        else:
            yield item
    yield from frames.track(None)


def _restored(
    items: Iterable[TrackedFrame | Passthrough], frames: Pipeline
) -> Iterator[Frame | Passthrough]:
    """Align to paste: the calling thread's work."""
    for item in items:
        if isinstance(item, TrackedFrame):
            yield from frames.restore(item)
        else:
            yield item
    yield from frames.restore(None)


class Enhancer(Closing):
    """Enhance frames one by one, wherever they come from.

    Frames are ``av.VideoFrame`` or uint8 RGB arrays (H, W, 3); each kind comes back as it went
    in. With lookahead (the default) results come some frames late and `flush` returns the rest;
    ``live=True`` returns each at once.

        with Enhancer() as enhancer:
            for frame in frames:
                for enhanced in enhancer.push(frame):
                    show(enhanced)
            for enhanced in enhancer.flush():
                show(enhanced)

    Args:   config: see `Config`; start, duration, overwrite and encode have no meaning here.
            live: no lookahead.
    Raises: DeviceError, WeightsError, FaceModelError.
            ConfigError: tracks are given, which belong to a file.
    """

    def __init__(self, config: Config | None = None, *, live: bool = False) -> None:
        self._pipeline = pipeline.build(config or Config(), live=live)
        self._count = 0
        self._closed = False

    @property
    def lookahead(self) -> int:
        """Frames by which results may come late."""
        return self._pipeline.lookahead

    @property
    def statistics(self) -> Statistics:
        """What was seen and done so far."""
        return self._pipeline.statistics

    def push(self, frame: Any) -> list[Any]:
        """Take a frame; return those that are finished, in order.

        Args:   frame: ``av.VideoFrame``, or uint8 (H, W, 3) RGB.
        Raises: ValueError: anything else, or the object is closed.
        """
        if self._closed:
            raise ValueError("this Enhancer is closed")
        return [_outward(done) for done in self._pipeline.push(self._inward(frame))]

    def flush(self) -> list[Any]:
        """End of stream: the frames held back."""
        return [_outward(done) for done in self._pipeline.flush()]

    def enhance(self, frames: Iterable[Any]) -> Iterator[Any]:
        """All of `frames`, enhanced, in order; holds no more than `lookahead` of them."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def reset(self) -> None:
        """Forget all frames and faces, as at the beginning of another video."""
        self._pipeline.reset()

    def close(self) -> None:
        """Free detectors; the object cannot be used afterwards."""
        self._closed = True
        self._pipeline.close()

    def _inward(self, frame: Any) -> Frame:
        self._count += 1
        if isinstance(frame, np.ndarray):
            return conversion.from_rgb(frame, self._count)
        if hasattr(frame, "planes"):
            return conversion.from_av(frame)
        raise ValueError(
            f"a frame is a numpy array or an av.VideoFrame, not {type(frame).__name__}"
        )


def _outward(frame: Frame) -> Any:
    """Back to the kind of picture that came in."""
    return conversion.as_rgb(frame) if frame.native is None else conversion.as_av(frame)
