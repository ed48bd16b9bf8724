"""Versions of the libraries, properties of the machine, and memory of a process."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crsr_video._version import __version__

_LIBRARIES = {
    "torch": ("torch",),
    "av": ("av",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-contrib-python", "opencv-python"),
    "ai-edge-litert": ("ai-edge-litert",),
}
"""For each library, the packages that may provide it."""


def library_versions() -> dict[str, str]:
    """Return the version of each library by its name, or "missing"."""
    return {name: version_of(*packages) for name, packages in _LIBRARIES.items()}


def version_of(*packages: str) -> str:
    """Return the version of the first of these packages that is installed, or "missing"."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "missing"


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
