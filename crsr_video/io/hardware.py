"""Decoding on a graphics card, where FFmpeg was built for it and a device works.

Nothing here is required: software decodes whatever a device cannot. A device returns pictures in
its own layout (NV12, P010), and does not report what it has concealed.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

_LOG = logging.getLogger(__name__)
_KINDS = ("cuda", "videotoolbox", "vaapi", "d3d11va")
"""Kinds of device, the most useful first."""


def usable_kinds(built: Callable[[], Sequence[str]] = hwdevices_available) -> tuple[str, ...]:
    """Return the kinds of device that this FFmpeg could decode on, the most useful first.

    Args:
        built: Lists what FFmpeg was built with.
    """
    known = set(built())
    return tuple(kind for kind in _KINDS if kind in known)


def open_accelerated(
    source: Any,
    wanted: str,
    *,
    open_source: Callable[..., Any] = av.open,
    built: Callable[[], Sequence[str]] = hwdevices_available,
    make_device: Callable[..., Any] = HWAccel,
    **options: Any,
) -> Any:
    """Open a container that decodes on a device if one works, and by software otherwise.

    Args:
        source: What to open, as for `av.open`.
        wanted: Kind of device, "auto" for the first one that works, or "none".
        open_source: Opens the container.
        built: Lists the kinds of device that FFmpeg was built with.
        make_device: Makes a device that hands pictures back to main memory.
        options: Further options of `av.open`.
    """
    kinds = usable_kinds(built) if wanted == "auto" else () if wanted == "none" else (wanted,)
    for kind in kinds:
        try:
            device = make_device(device_type=kind, allow_software_fallback=True)
            return open_source(source, hwaccel=device, **options)
        except (av.error.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
            _LOG.info("cannot decode on %s: %s", kind, error)
    return open_source(source, **options)
