"""Where something was measured."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("crsr-video", "torch", "av", "opencv-contrib-python")


def machine() -> dict[str, str]:
    """System, processor and versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(os.cpu_count() or "?"),
        "python": platform.python_version(),
        **{name: version_of(name) for name in _PACKAGES},
    }


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def version_of(name: str) -> str:
    """The version of a package; "unknown" if it is not installed."""
    if name == "crsr-video":
        from crsr_video import __version__

        return __version__
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
