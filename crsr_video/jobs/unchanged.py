"""Replace the result of a run that changed nothing by a copy of the source, without encoding it."""

import shutil
from pathlib import Path

from crsr_video.config import Config, OutputSettings, ReadSettings
from crsr_video.errors import OutputError
from crsr_video.files import replacing
from crsr_video.io import pyav
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_plan import OutputPlan
from crsr_video.types import RunStatistics


def replace_by_source(
    source: str | Path, plan: OutputPlan, config: Config, statistics: RunStatistics
) -> bool:
    """Replace a finished result by a copy of its source, if no frame was changed.

    This happens only if the result has the container and the length of its source, and if the
    settings for reading and for the encoder are the defaults.

    Args:
        source: The source, which was read to its end without damage.
        plan: Plan by which the result was written.
        config: Settings of the run.
        statistics: Counts of the run.

    Returns:
        Whether the result was replaced by a copy.

    Raises:
        OutputError: The copy cannot be written.
    """
    kept = OutputSettings(strict=config.output.strict)
    path, suffix = Path(source), plan.path.suffix.lower()
    is_changed = statistics.enhanced > 0 and config.faces.strength > 0
    is_alike = BY_SUFFIX.get(path.suffix.lower()) == BY_SUFFIX.get(suffix, "")
    is_whole = config.job.start == 0 and config.job.duration is None
    if is_changed or config.scale > 1 or not (is_alike and is_whole and path.is_file()):
        return False
    if plan.is_pipe or config.output != kept or config.reading != ReadSettings():
        return False
    try:
        with replacing(plan.path) as temporary:
            shutil.copyfile(path, temporary)
    except OSError as error:
        raise OutputError(f"{plan.path}: cannot be written: {pyav.reason(error)}") from error
    return True
