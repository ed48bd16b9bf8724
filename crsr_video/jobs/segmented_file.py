"""Enhance one video file in segments, so that a stopped run can be resumed."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from crsr_video.config import Config
from crsr_video.jobs import segments
from crsr_video.jobs.reports import RunReports
from crsr_video.jobs.summary import Summary
from crsr_video.jobs.unchanged import replace_by_source
from crsr_video.runner import Notices, Progress
from crsr_video.runtime import loading


def enhance_in_segments(
    source: Path,
    output: str | Path | None,
    config: Config,
    on_progress: Callable[[Progress], None] | None,
    notices: Notices,
    command: Sequence[str],
    executor: segments.SegmentExecutor | None,
) -> Summary:
    """Enhance a video in segments, as `JobSettings.resume` requests."""
    begin = time.perf_counter()
    reports = None
    if config.job.report:
        reports = RunReports(config, source, Path(output or source), command)
    done = segments.enhance_resumably(
        source,
        output,
        config,
        on_progress=on_progress or (lambda _: None),
        on_notice=notices.add,
        executor=executor,
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
