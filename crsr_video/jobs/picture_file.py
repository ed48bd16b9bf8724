"""Enhance one still picture, or image sequences as the source, the result or both."""

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.files import writing
from crsr_video.io import image_writing, images, sequences
from crsr_video.io.output_file import OutputFile
from crsr_video.io.reader import Reader
from crsr_video.jobs.file import FileRun, Summary
from crsr_video.jobs.reports import RunReports
from crsr_video.jobs.video_file import enhance_video
from crsr_video.runner import Progress
from crsr_video.types import Frame, VideoInfo


def enhance_picture(run: FileRun) -> Summary:
    """Enhance a still picture. If nothing changes, not even the format, the file is copied."""
    begin = time.perf_counter()
    source, config, notices = Path(run.source), run.config, run.notices
    _check_picture_settings(source, config)
    path = source.with_stem(f"{source.stem}.enhanced") if run.output is None else Path(run.output)
    kind = image_writing.format_of(path)
    with ExitStack() as stack:
        # The name is reserved before any computation, so that an impossible output fails at once.
        file = OutputFile(path, source, overwrite=config.job.overwrite)
        stack.callback(file.release)
        reports = RunReports(config, source, path, run.command) if config.job.report else None
        image = images.read(source)
        lost = (*image.notices, *image_writing.losses(image, kind))
        if lost and config.output.strict:
            raise OutputError(f"{path}: {lost[0]}")
        notices.add(*lost)
        stages = stack.enter_context(pipeline.build(config, networks=run.networks))
        stages.observer = None if reports is None else reports.observer.push
        started = time.perf_counter()
        (done,) = [*stages.push(image.frame), *stages.flush()]
        run.on_progress(Progress(1, 1, time.perf_counter() - started, stages.faces_in_view))
        encoding = time.perf_counter()
        is_same = kind == image.format and not done.edited and config.scale == 1
        with writing(path):
            file.temporary.write_bytes(
                image.data if is_same else image_writing.encode(image, done, kind)
            )
        file.publish()
        write_seconds = time.perf_counter() - encoding
        notices.add(*stages.notices)
        statistics, placement = stages.statistics, stages.placement
        lowered = stages.lowered
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
        is_copy=is_same,
    )
    if reports is None:
        return summary
    assert placement is not None
    return reports.write(summary, reports.observer.observations(lowered), placement)


def _check_picture_settings(source: Path, config: Config) -> None:
    """Refuse settings that have no meaning for a picture."""
    usual = Config()
    reading = [(config.reading, usual.reading, item.name) for item in fields(ReadSettings)]
    output = [
        (config.output, usual.output, item.name)
        for item in fields(OutputSettings)
        if item.name not in ("strict", "purpose", "always_encode")
    ]
    job = [(config.job, usual.job, name) for name in ("start", "duration", "resume")]
    for chosen, default, name in (*job, (config.faces, usual.faces, "tracks"), *reading, *output):
        if getattr(chosen, name) != getattr(default, name):
            raise ConfigError(f"{source}: `{name}` is for videos, and this is a picture")


_USUAL_RATE = Fraction(25)


def enhance_sequence(run: FileRun) -> Summary:
    """Enhance a sequence, or write a video as one. See `crsr_video.jobs.file.enhance`."""
    source, output, config = Path(run.source), run.output, run.config
    for name, value in (("resume", config.job.resume), ("report", config.job.report)):
        if value:
            raise ConfigError(f"{source}: `{name}` does not work with image sequences")
    if output is None:
        output = source.with_name(f"{source.stem}.enhanced{source.suffix}")
    if sequences.is_sequence(output):
        return _enhance_to_pictures(source, Path(output), run)
    with tempfile.TemporaryDirectory() as folder:
        joined = Path(folder) / "joined.mov"
        sequences.join(source, joined, config.reading.rate or _USUAL_RATE)
        reading = replace(config.reading, rate=None)
        chosen = config.with_options(reading=reading, output=_for_players(config))
        summary = enhance_video(replace(run, source=joined, output=output, config=chosen))
    return replace(summary, source=source)


def _for_players(config: Config) -> OutputSettings:
    """Return settings for H.264 that all players support, unless the user chose otherwise.

    The joined pictures are only an intermediate file, so they are never copied to the result.
    """
    output = replace(config.output, always_encode=True)
    if output.codec is not None or output.purpose is not None:
        return output
    return replace(output, codec="libx264", options={"pix_fmt": "yuv420p", **output.options})


def _enhance_to_pictures(source: Path, output: Path, run: FileRun) -> Summary:
    config = run.config
    begin = time.perf_counter()
    kind = image_writing.format_of(output)
    with ExitStack() as stack:
        if sequences.is_sequence(source):
            pictures = _pictures_of(source, output, config)
        else:
            pictures = stack.enter_context(_video_frames(source, config))
        pattern = stack.enter_context(_new_pictures(output, overwrite=config.job.overwrite))
        stages = stack.enter_context(pipeline.build(config, networks=run.networks))
        started, finished = time.perf_counter(), 0
        waiting: deque[tuple[int, images.StillImage | None]] = deque()
        last: Frame | None = None

        def write(done: Sequence[Frame]) -> None:
            nonlocal finished, last
            for frame in done:
                number, image = waiting.popleft()
                finished, last = finished + 1, frame
                if image is None:
                    image = images.from_frame(frame)
                    frame = image.frame
                lost = image_writing.losses(image, kind)
                if lost and config.output.strict:
                    raise OutputError(f"{output}: {lost[0]}")
                run.notices.add(*lost)
                file = sequences.file_of(pattern, number)
                file.write_bytes(_encoded(image, frame, kind, config.scale))
                seconds = time.perf_counter() - started
                run.on_progress(Progress(finished, 0, seconds, stages.faces_in_view))

        for number, image, frame in pictures:
            waiting.append((number, image))
            write(stages.push(frame))
        write(stages.flush())
        if last is None:
            raise InputError(f"{source}: no picture could be decoded")
        run.notices.add(*stages.notices)
        statistics = stages.statistics
    return Summary(
        source=source,
        output=output,
        video=_describe(last, finished),
        plan=images.plan(output, kind, last),
        statistics=statistics,
        seconds=time.perf_counter() - begin,
        startup_seconds=started - begin,
        notices=run.notices.lines,
    )


def _pictures_of(
    source: Path, output: Path, config: Config
) -> Iterator[tuple[int, images.StillImage | None, Frame]]:
    """Yield the pictures of a sequence with their numbers, as frames of a video."""
    if source.absolute() == output.absolute():
        raise OutputError(f"{output}: is the source itself")
    if config.job.start > 0 or config.job.duration is not None or config.faces.tracks is not None:
        raise ConfigError(f"{source}: `start`, `duration` and `tracks` are for videos")
    files = sequences.files_of(source)
    step = 1 / (config.reading.rate or _USUAL_RATE)

    def read() -> Iterator[tuple[int, images.StillImage | None, Frame]]:
        size = None
        for index, (number, path) in enumerate(files.items()):
            image = images.read(path)
            frame = replace(image.frame, pts=index, time_base=step)
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                raise InputError(f"{path}: has another size than the first picture")
            yield number, image, frame

    return read()


@contextmanager
def _video_frames(
    source: Path, config: Config
) -> Iterator[Iterator[tuple[int, images.StillImage | None, Frame]]]:
    """Open a video, and yield an iterator over its frames, numbered from 1."""
    job = config.job
    with Reader(source, start=job.start, duration=job.duration, settings=config.reading) as reader:
        found = (item for item in reader if isinstance(item, Frame))
        yield ((number, None, frame) for number, frame in enumerate(found, 1))


@contextmanager
def _new_pictures(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a pattern in a hidden folder, whose pictures are moved to `output` on success."""
    if not output.parent.is_dir():
        raise OutputError(f"{output.parent}: no such folder")
    try:
        existing = sequences.files_of(output)
    except InputError:
        existing = {}
    if existing and not overwrite:
        first = next(iter(existing.values()))
        raise OutputError(f"{first}: exists already; `overwrite` replaces it")
    with writing(output):
        folder = Path(tempfile.mkdtemp(prefix=".crsr-", dir=output.parent))
        try:
            yield folder / output.name
            for path in sorted(folder.iterdir()):
                path.replace(output.parent / path.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _encoded(image: images.StillImage, frame: Frame, kind: str, scale: int) -> bytes:
    """Return the content of the file of a finished frame."""
    if kind == image.format and not frame.changed and scale == 1:
        return image.data
    return image_writing.encode(image, frame, kind)


def _describe(last: Frame, count: int) -> VideoInfo:
    return VideoInfo(
        width=last.width,
        height=last.height,
        pixel_format=last.layout.name,
        codec="image2",
        container="image2",
        rate=1 / last.time_base,
        time_base=last.time_base,
        frames=count,
        seconds=float(count * last.time_base),
    )
