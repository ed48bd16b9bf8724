"""Bench: how fast the whole path is, measured beside what it cannot be faster than.

Each case runs in a process of its own, in which plain transcoding and enhancing take turns.
"""

from crsr_video.bench.case import Case, CaseFigures, Figures, Startup
from crsr_video.bench.suite import run
from crsr_video.bench.table import as_text

__all__ = ["Case", "CaseFigures", "Figures", "Startup", "as_text", "run"]
