"""Measure one case, in the process that is here."""

import sys
from pathlib import Path
from statistics import median

from crsr_video.bench import passes
from crsr_video.bench.arithmetic import arithmetic
from crsr_video.bench.case import Case, CaseFigures, Speed
from crsr_video.pipeline import load_networks


def measure(case: Case, clip: Path) -> CaseFigures:
    """All figures of one case; plain and enhanced runs take turns.

    Raises: CrsrError: the clip cannot be enhanced.
    """
    networks = load_networks(passes.config(case))
    plain, enhanced, apart = [], [], []
    for _ in range(case.runs):
        plain.append(passes.plain(case, clip))
        enhanced.append(passes.enhanced(case, clip, networks))
    held = _held()
    for _ in range(case.runs):
        apart.append(passes.apart(case, clip, networks))
    stages = {part: median(one.stages[part] for one in apart) for part in apart[0].stages}
    return CaseFigures(
        case=case,
        plain=_median(plain),
        enhanced=_median(enhanced),
        stages=stages,
        enhanced_faces=apart[0].crops.total() / apart[0].frames,
        arithmetic=arithmetic(case.model, networks, apart[0]),
        peak_bytes=held,
    )


def _median(speeds: list[Speed]) -> Speed:
    return Speed(median(s.wall_ms for s in speeds), median(s.cpu_ms for s in speeds))


def _held() -> int:
    """Most bytes that this process has held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
