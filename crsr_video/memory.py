"""Memory of a process, as far as the system reports it."""

import os
import sys
from pathlib import Path


def resident_mib(process: int | str = "self") -> float | None:
    """Return the resident memory of a process in MiB, or None if the system does not report it."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def peak_mib() -> float | None:
    """Return this process's largest resident memory in MiB, or None if it is not reported."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
