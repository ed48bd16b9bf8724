"""Description of the machine and the software versions of a measurement."""

import os
import platform
from pathlib import Path

from crsr_video._version import __version__
from crsr_video.versions import library_versions


def machine() -> dict[str, str]:
    """Return the system, the processor, the number of cores and the versions, by name."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count() or "?"),
        "python": platform.python_version(),
        "crsr-video": __version__,
        **library_versions(),
    }


def machine_line(facts: dict[str, str]) -> str:
    """Return facts about a machine on one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
