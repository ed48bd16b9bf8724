"""Enhance one still picture."""

import time
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, OutputError
from crsr_video.io import image_writing, images
from crsr_video.io.output_file import OutputFile
from crsr_video.jobs.file_run import FileRun, Summary
from crsr_video.jobs.reports import RunReports
from crsr_video.runner import Progress


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
        try:
            file.temporary.write_bytes(
                image.data if is_same else image_writing.encode(image, done, kind)
            )
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
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
