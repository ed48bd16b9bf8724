"""Enhance one video file in segments, so that a stopped run can be resumed."""

import time
from pathlib import Path

from crsr_video.jobs import segments
from crsr_video.jobs.file_run import FileRun, Summary
from crsr_video.jobs.reports import RunReports
from crsr_video.jobs.unchanged import replace_by_source
from crsr_video.runtime import loading


def enhance_in_segments(run: FileRun) -> Summary:
    """Enhance a video in segments, as `JobSettings.resume` requests."""
    begin = time.perf_counter()
    source, output, config = Path(run.source), run.output, run.config
    reports = None
    if config.job.report:
        reports = RunReports(config, source, Path(output or source), run.command)
    done = segments.enhance_resumably(
        source,
        output,
        config,
        on_progress=run.on_progress,
        on_notice=run.notices.add,
        executor=run.executor,
    )
    joined = done.joined
    is_damaged = joined.report.truncated or done.concealed > 0 or done.damaged > 0
    is_copy = not is_damaged and replace_by_source(source, joined.plan, config, done.statistics)
    summary = Summary(
        source=source,
        output=joined.plan.path,
        video=joined.video,
        plan=joined.plan,
        statistics=done.statistics,
        seconds=time.perf_counter() - begin,
        startup_seconds=done.startup_seconds,
        truncated=joined.report.truncated,
        concealed=done.concealed,
        damaged=done.damaged,
        resumed=done.resumed,
        notices=done.notices,
        is_copy=is_copy,
    )
    if reports is None:
        return summary
    return reports.write(summary, done.observed, loading.resolve_placement(done.config))
