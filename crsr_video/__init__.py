"""Enhances the faces in a video and leaves the rest of the picture unchanged.

    import crsr_video
    crsr_video.enhance("interview.mp4", "better.mp4")

Public names are imported when they are first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING, Any

from crsr_video._version import __version__

if TYPE_CHECKING:
    from crsr_video.api import Enhancer, Summary, enhance, enhance_image
    from crsr_video.config import (
        Config,
        EnhancerConfig,
        FaceSettings,
        JobSettings,
        NetworkSettings,
        OutputSettings,
        PersonSettings,
        ReadSettings,
    )
    from crsr_video.errors import CrsrError
    from crsr_video.inspection.analysis import analyse
    from crsr_video.runner import Progress

_HOMES = {
    "Config": "config",
    "CrsrError": "errors",
    "Enhancer": "api",
    "EnhancerConfig": "config",
    "FaceSettings": "config",
    "JobSettings": "config",
    "NetworkSettings": "config",
    "OutputSettings": "config",
    "PersonSettings": "config",
    "Progress": "runner",
    "ReadSettings": "config",
    "Summary": "jobs.file",
    "analyse": "inspection.analysis",
    "enhance": "jobs.file",
    "enhance_image": "api",
}
"""The module that defines each public name."""

__all__ = [
    "Config",
    "CrsrError",
    "Enhancer",
    "EnhancerConfig",
    "FaceSettings",
    "JobSettings",
    "NetworkSettings",
    "OutputSettings",
    "PersonSettings",
    "Progress",
    "ReadSettings",
    "Summary",
    "__version__",
    "analyse",
    "enhance",
    "enhance_image",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'crsr_video' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"crsr_video.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
