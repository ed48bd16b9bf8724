"""Enhance whole files, still pictures, or frames one by one: the public API.

import crsr_video
summary = crsr_video.enhance("interview.mp4", "better.mp4")
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from crsr_video import pipeline
from crsr_video import report as reporting
from crsr_video.closing import Closing
from crsr_video.config import Config, EnhancerConfig, OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.io import frames as conversion
from crsr_video.io import images, pipes
from crsr_video.io.destinations.byte_streams import check_standard_output
from crsr_video.io.output_file import OutputFile
from crsr_video.io.output_plan import OutputPlan
from crsr_video.io.reader import Reader
from crsr_video.io.sources.opening import check_path
from crsr_video.io.writer import Writer
from crsr_video.jobs import segments
from crsr_video.runner import Notices, Progress, Runner, RunSummary
from crsr_video.runtime import loading
from crsr_video.runtime.placement import Placement
from crsr_video.types import Frame, RunStatistics, VideoInfo

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from PIL.Image import Image

OnProgress = Callable[[Progress], None]
OnNotice = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(RunSummary):
    """Summary of a finished run.

    Attributes:
        source: The video that was read.
        output: The file that was written.
        video: Properties of the source.
        plan: How the output was written.
        statistics: Counts of frames and faces, and the time of every stage.
        resumed: Number of frames that an earlier run had finished, see `JobSettings.resume`.
        reports: Reports that were written, see `JobSettings.report`.
    """

    source: Path
    output: Path
    video: VideoInfo
    plan: OutputPlan
    statistics: RunStatistics
    resumed: int = 0
    reports: tuple[Path, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second of the whole run, without its start."""
        return self.rate_of(self.statistics.frames - self.resumed)


def enhance(
    source: str | Path,
    output: str | Path | None = None,
    *,
    config: Config | None = None,
    on_progress: OnProgress | None = None,
    on_notice: OnNotice | None = None,
    command: Sequence[str] = (),
    networks: loading.Networks | None = None,
    executor: segments.SegmentExecutor | None = None,
) -> Summary:
    """Enhance the faces of a video file, or of a picture.

    Args:
        source: A video or picture file, or "-" for standard input.
        output: Path of the output. Defaults to ``NAME.enhanced.EXT`` beside the source. "-" is
            standard output.
        config: All settings. Defaults to ``Config()``.
        on_progress: Called after every frame, from the calling thread.
        on_notice: Called with each notice for the user, as soon as it is known.
        command: Command line to show in a report.
        networks: Networks of this configuration, if they are loaded already.
        executor: Executor for the segments of a resumable run. Defaults to this process.

    Raises:
        CrsrError: The file cannot be enhanced. Nothing is left under the output's name then.

    Example:
        >>> config = Config.from_options(strength=0.8)  # doctest: +SKIP
        >>> enhance("interview.mp4", "better.mp4", config=config).fps  # doctest: +SKIP
        41.3
    """
    chosen = config or Config()
    _check_pipes(source, output, chosen)
    notices = Notices(on_notice)
    if images.is_still(source):
        return _enhance_picture_file(
            Path(source), output, chosen, on_progress, notices, command, networks
        )
    if chosen.job.resume:
        return _enhance_resumably(
            Path(source), output, chosen, on_progress, notices, command, executor
        )
    begin = time.perf_counter()
    job = chosen.job
    with ExitStack() as stack:
        reader = stack.enter_context(
            Reader(source, start=job.start, duration=job.duration, settings=chosen.reading)
        )
        # The encoder is opened before the networks, so that an impossible output fails at once.
        writer = stack.enter_context(
            Writer(
                output, reader.source, chosen.output, scale=chosen.scale, overwrite=job.overwrite
            )
        )
        _check_reports(chosen, Path(source), writer.plan.path)
        notices.add(*writer.notices)
        replay = pipeline.replay_for(chosen, reader.path, reader.info, shift=reader.source.shift)
        frames = stack.enter_context(pipeline.build(chosen, tracker=replay, networks=networks))
        observer = reporting.Observer() if job.report else None
        frames.observer = observer.push if observer is not None else None
        started = time.perf_counter()
        finished = 0

        def count(_: Frame) -> None:
            nonlocal finished
            finished += 1
            if on_progress is not None:
                seconds = time.perf_counter() - started
                on_progress(Progress(finished, reader.info.frames, seconds, frames.faces_in_view))

        runner = Runner(reader, frames, writer, on_frame=count)
        runner.run()
        writer.check_losses(reader.report.losses)
        writer.close()
    report = reader.report
    notices.add(*writer.notices, *report.notes, *frames.notices)
    stage_seconds = {
        "decode": runner.read_seconds,
        **frames.statistics.stage_seconds,
        "encode": runner.write_seconds,
    }
    summary = Summary(
        source=Path(source),
        output=writer.plan.path,
        video=reader.info,
        plan=writer.plan,
        statistics=replace(frames.statistics, stage_seconds=stage_seconds),
        seconds=time.perf_counter() - begin,
        startup_seconds=started - begin,
        truncated=report.truncated,
        concealed=report.concealed,
        damaged=report.damaged,
        notices=notices.lines,
    )
    if observer is None:
        return summary
    assert frames.placement is not None
    seen = observer.observations(frames.lowered)
    return _with_reports(summary, seen, chosen, frames.placement, command)


def _enhance_picture_file(
    source: Path,
    output: str | Path | None,
    config: Config,
    on_progress: OnProgress | None,
    notices: Notices,
    command: Sequence[str],
    networks: loading.Networks | None,
) -> Summary:
    """Enhance a still picture. One without any face is copied as it is."""
    begin = time.perf_counter()
    _check_picture_settings(source, config)
    path = source.with_stem(f"{source.stem}.enhanced") if output is None else Path(output)
    kind = images.format_of(path)
    with ExitStack() as stack:
        # The name is taken before anything is computed, so that an impossible output fails at once.
        file = OutputFile(path, source, overwrite=config.job.overwrite)
        stack.callback(file.release)
        _check_reports(config, source, path)
        image = images.read(source)
        lost = (*image.notices, *images.losses(image, kind))
        if lost and config.output.strict:
            raise OutputError(f"{path}: {lost[0]}")
        notices.add(*lost)
        stages = stack.enter_context(pipeline.build(config, networks=networks))
        observer = reporting.Observer() if config.job.report else None
        stages.observer = observer.push if observer is not None else None
        started = time.perf_counter()
        (done,) = [*stages.push(image.frame), *stages.flush()]
        if on_progress is not None:
            on_progress(Progress(1, 1, time.perf_counter() - started, stages.faces_in_view))
        encoding = time.perf_counter()
        is_same = kind == image.format and not done.changed and config.scale == 1
        try:
            file.temporary.write_bytes(image.data if is_same else images.encode(image, done, kind))
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        file.publish()
        write_seconds = time.perf_counter() - encoding
        notices.add(*stages.notices)
        statistics, placement = stages.statistics, stages.placement
        seen = None if observer is None else observer.observations(stages.lowered)
    stage_seconds = {**statistics.stage_seconds, "encode": write_seconds}
    summary = Summary(
        source=source,
        output=path,
        video=images.describe(image),
        plan=images.plan(path, kind, done),
        statistics=replace(statistics, stage_seconds=stage_seconds),
        seconds=time.perf_counter() - begin,
        startup_seconds=started - begin,
        notices=notices.lines,
    )
    if seen is None:
        return summary
    assert placement is not None
    return _with_reports(summary, seen, config, placement, command)


def _check_picture_settings(source: Path, config: Config) -> None:
    """Refuse settings that have no meaning for a picture.

    Raises:
        ConfigError: Such a setting differs from its default.
    """
    usual = Config()
    reading = [(config.reading, usual.reading, item.name) for item in fields(ReadSettings)]
    output = [
        (config.output, usual.output, item.name)
        for item in fields(OutputSettings)
        if item.name != "strict"
    ]
    job = [(config.job, usual.job, name) for name in ("start", "duration", "resume")]
    for chosen, default, name in (*job, (config.faces, usual.faces, "tracks"), *reading, *output):
        if getattr(chosen, name) != getattr(default, name):
            raise ConfigError(f"{source}: `{name}` is for videos, and this is a picture")


def _enhance_resumably(
    source: Path,
    output: str | Path | None,
    config: Config,
    on_progress: OnProgress | None,
    notices: Notices,
    command: Sequence[str],
    executor: segments.SegmentExecutor | None,
) -> Summary:
    """Enhance a video in segments, see `JobSettings.resume`."""
    begin = time.perf_counter()
    _check_reports(config, source, Path(output or source))
    done = segments.enhance_resumably(
        source,
        output,
        config,
        on_progress=on_progress or (lambda _: None),
        on_notice=notices.add,
        executor=executor,
    )
    summary = Summary(
        source=source,
        output=done.joined.plan.path,
        video=done.joined.video,
        plan=done.joined.plan,
        statistics=done.statistics,
        seconds=time.perf_counter() - begin,
        startup_seconds=done.startup_seconds,
        truncated=done.joined.report.truncated,
        concealed=done.concealed,
        damaged=done.damaged,
        resumed=done.resumed,
        notices=done.notices,
    )
    if not config.job.report:
        return summary
    return _with_reports(
        summary, done.observed, config, loading.resolve_placement(done.config), command
    )


def _with_reports(
    summary: Summary,
    seen: reporting.Observations,
    config: Config,
    placement: Placement,
    command: Sequence[str],
) -> Summary:
    """Write the reports, and return the summary with their paths."""
    report = reporting.assemble(
        summary,
        summary.statistics,
        seen,
        fps=summary.fps,
        resumed=summary.resumed,
        source=reporting.describe(summary.source, summary.plan.carried),
        output=reporting.describe(summary.output),
        config=config,
        placement=placement,
        command=tuple(command),
    )
    reporting.write(report, config.job.report)
    return replace(summary, reports=config.job.report)


def _check_reports(config: Config, source: Path, output: Path) -> None:
    """Refuse reports that cannot be written, or that would replace a file of the run.

    Raises:
        CrsrError: A report cannot be written.
    """
    model, tracks = Path(config.networks.model), config.faces.tracks
    reporting.check_paths(
        config.job.report,
        source,
        output,
        overwrite=config.job.overwrite,
        inputs=(*([tracks] if tracks else []), *([model] if model.is_file() else [])),
    )


def _check_pipes(source: str | Path, output: str | Path | None, config: Config) -> None:
    """Refuse settings that need files where a pipe is read or written.

    Raises:
        ConfigError: A setting needs a file.
        OutputError: Standard output is a terminal.
    """
    reads, writes = pipes.is_standard(source), pipes.is_standard(output)
    if not (reads or writes):
        return
    if config.job.resume:
        raise ConfigError("`resume` needs an input file and an output file, not pipes")
    if config.job.report:
        raise ConfigError("`report` needs an input file and an output file, not pipes")
    if reads and config.faces.tracks is not None:
        raise ConfigError("`tracks` belongs to a video file, not to standard input")
    if writes:
        check_standard_output()


class Enhancer(Closing):
    """Enhances frames one by one, wherever they come from.

    Frames are ``av.VideoFrame`` objects or uint8 RGB arrays (H, W, 3). Each comes back as the same
    kind. With lookahead, which is the default, results come some frames late and `flush` returns
    the last ones. ``live=True`` returns each frame at once.

        with Enhancer(strength=0.8) as enhancer:
            for frame in frames:
                for enhanced in enhancer.push(frame):
                    show(enhanced)
            for enhanced in enhancer.flush():
                show(enhanced)

    Args:
        config: How frames are enhanced. A `Config` is accepted if its settings for files
            (`reading`, `output`, `job`) have their defaults.
        live: Return each frame at once, without lookahead.
        **settings: Single settings by name, such as ``strength=0.8``: see
            `EnhancerConfig.from_options`. They replace those of `config`.

    Raises:
        ConfigError: A setting needs a file: `tracks`, or a setting of files.
        DeviceError: The device or the precision is not available.
        WeightsError: The weights cannot be loaded.
        FaceModelError: The face models cannot be loaded.
    """

    def __init__(
        self, config: EnhancerConfig | None = None, *, live: bool = False, **settings: Any
    ) -> None:
        chosen = (config or EnhancerConfig()).with_options(**settings)
        _refuse_file_settings(chosen)
        self._pipeline = pipeline.build(chosen, live=live)
        self._count = 0
        self._is_closed = self._is_inside = False

    @property
    def lookahead(self) -> int:
        """Number of frames by which results may come late."""
        return self._pipeline.lookahead

    @property
    def statistics(self) -> RunStatistics:
        """Counts of frames and faces so far, and the time of every stage."""
        return self._pipeline.statistics

    @overload
    def push(self, frame: NDArray[np.uint8]) -> list[NDArray[np.uint8]]: ...
    @overload
    def push(self, frame: "VideoFrame") -> "list[VideoFrame]": ...
    def push(self, frame: Any) -> list[Any]:
        """Take a frame, and return those that are finished, in order.

        Args:
            frame: An ``av.VideoFrame``, or a uint8 array (H, W, 3) in RGB.

        Raises:
            ValueError: The frame is something else, or this object is closed.
        """
        if self._is_closed:
            raise ValueError("this Enhancer is closed")
        self._is_inside = True
        return [_to_caller(done) for done in self._pipeline.push(self._from_caller(frame))]

    def flush(self) -> list[Any]:
        """End the sequence, and return the frames that were held back."""
        self._is_inside = False
        return [_to_caller(done) for done in self._pipeline.flush()]

    @overload
    def enhance(self, frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]: ...
    @overload
    def enhance(self, frames: "Iterable[VideoFrame]") -> "Iterator[VideoFrame]": ...
    def enhance(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Yield all frames enhanced, in order, and hold no more than `lookahead` of them.

        Args:
            frames: Frames of one video, in order. For one picture, use `enhance_image`.

        Raises:
            ValueError: This is a single picture, or a frame is neither an array nor an
                ``av.VideoFrame``.
        """
        is_array = isinstance(frames, np.ndarray) and frames.ndim < 4
        if is_array or hasattr(frames, "planes") or hasattr(frames, "getexif"):
            raise ValueError("`frames` is a single picture: use `enhance_image` for it")
        return self._enhance_all(frames)

    def _enhance_all(self, frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    @overload
    def enhance_image(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
    @overload
    def enhance_image(self, picture: NDArray[np.uint16]) -> NDArray[np.uint16]: ...
    @overload
    def enhance_image(self, picture: "Image") -> "Image": ...
    def enhance_image(self, picture: Any) -> Any:
        """Return one picture enhanced, which belongs to no sequence.

        Args:
            picture: A uint8 or uint16 array, (H, W) for gray, (H, W, 3) in RGB or (H, W, 4) with
                alpha; or a ``PIL.Image.Image``. It is not changed.

        Returns:
            An object of the same kind. A Pillow image keeps its metadata and its orientation.

        Raises:
            ValueError: The picture is something else, this object is closed, or it still holds
                frames of a video.
        """
        if self._is_closed:
            raise ValueError("this Enhancer is closed")
        if self._is_inside:
            raise ValueError("this Enhancer is inside a video: call flush() or reset() first")
        is_array = isinstance(picture, np.ndarray)
        if not is_array and not hasattr(picture, "getexif"):
            raise ValueError(
                f"a picture is a numpy array or a PIL image, not {type(picture).__name__}"
            )
        image = images.from_array(picture) if is_array else images.from_pillow(picture)
        (done,) = [*self._pipeline.push(image.frame), *self._pipeline.flush()]
        self._pipeline.reset()
        return (images.to_pixels if is_array else images.to_pillow)(image, done)

    def reset(self) -> None:
        """Forget all frames and faces, as at the beginning of another video."""
        self._is_inside = False
        self._pipeline.reset()

    def close(self) -> None:
        """Free the face models. The object cannot be used afterwards."""
        self._is_closed = True
        self._pipeline.close()

    def _from_caller(self, frame: Any) -> Frame:
        self._count += 1
        if isinstance(frame, np.ndarray):
            return conversion.from_rgb(frame, self._count)
        if hasattr(frame, "planes"):
            return conversion.from_av(frame)
        raise ValueError(
            f"a frame is a numpy array or an av.VideoFrame, not {type(frame).__name__}"
        )


@overload
def enhance_image(
    picture: str | Path,
    output: str | Path | None = None,
    *,
    config: EnhancerConfig | None = None,
    **settings: Any,
) -> Path: ...
@overload
def enhance_image(
    picture: NDArray[np.uint8], *, config: EnhancerConfig | None = None, **settings: Any
) -> NDArray[np.uint8]: ...
@overload
def enhance_image(
    picture: NDArray[np.uint16], *, config: EnhancerConfig | None = None, **settings: Any
) -> NDArray[np.uint16]: ...
@overload
def enhance_image(
    picture: "Image", *, config: EnhancerConfig | None = None, **settings: Any
) -> "Image": ...
def enhance_image(
    picture: Any,
    output: str | Path | None = None,
    *,
    config: EnhancerConfig | None = None,
    **settings: Any,
) -> Any:
    """Enhance the faces of one picture.

    Every call loads the networks. For many pictures, use `Enhancer.enhance_image`.

    Args:
        picture: An array or a ``PIL.Image.Image``, as for `Enhancer.enhance_image`; or the path of
            a picture file.
        output: Path of the result, if `picture` is a path. Defaults to ``NAME.enhanced.EXT``
            beside the source.
        config: How the picture is enhanced.
        **settings: Single settings by name, such as ``strength=0.8`` or ``overwrite=True``. They
            replace those of `config`.

    Returns:
        An object of the same kind; for a path, the path of the result.

    Raises:
        CrsrError: The file cannot be enhanced, or a setting cannot be used.
        ValueError: `picture` is neither a path, an array nor a Pillow image.

    Example:
        >>> enhance_image("photo.jpg", strength=0.8)  # doctest: +SKIP
        PosixPath('photo.enhanced.jpg')
    """
    if isinstance(picture, (str, Path)):
        if Path(picture).is_file() and not images.is_still(picture):
            raise InputError(f"{picture}: is not a still picture: use `enhance` for videos")
        check_path(Path(picture))
        chosen = Config() if config is None else Config.from_options(**config.options())
        return enhance(picture, output, config=chosen.with_options(**settings)).output
    if output is not None:
        raise ValueError("`output` needs the path of a picture; arrays and images are returned")
    with Enhancer(config, **settings) as enhancer:
        return enhancer.enhance_image(picture)


def _to_caller(frame: Frame) -> Any:
    return conversion.as_rgb(frame) if frame.native is None else conversion.as_av(frame)


def _refuse_file_settings(config: EnhancerConfig) -> None:
    """Refuse settings that have no meaning without a file.

    Raises:
        ConfigError: Such a setting differs from its default.
    """
    if not isinstance(config, Config):
        return
    usual = Config()
    for name in ("reading", "output", "job"):
        if getattr(config, name) != getattr(usual, name):
            raise ConfigError(f"`{name}` has settings of files, which an Enhancer does not take")
