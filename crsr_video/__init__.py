"""Video face enhancement that leaves the rest of the picture alone.

    import crsr_video
    crsr_video.enhance("interview.mp4", "better.mp4")

Everything heavy is imported when it is first used, so that importing this package is free.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crsr_video.api import Enhancer, Summary, enhance
    from crsr_video.config import Config, FaceSettings, OutputSettings
    from crsr_video.errors import CrsrError
    from crsr_video.inspection.analysis import analyse
    from crsr_video.progress import Progress

__version__ = "0.1.0"

__all__ = [
    "Config",
    "CrsrError",
    "Enhancer",
    "FaceSettings",
    "OutputSettings",
    "Progress",
    "Summary",
    "analyse",
    "enhance",
]

_HOMES = {
    "Config": "config",
    "CrsrError": "errors",
    "OutputSettings": "config",
    "Enhancer": "api",
    "FaceSettings": "config",
    "Progress": "progress",
    "Summary": "api",
    "analyse": "inspection.analysis",
    "enhance": "api",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'crsr_video' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"crsr_video.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
