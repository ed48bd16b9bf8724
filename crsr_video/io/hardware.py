"""Decoding on a graphics card, if FFmpeg was built for it and a device works.

No device is required: whatever a device cannot decode is decoded in software. A device returns
pictures in its own layout (NV12, P010), and does not report damage that it concealed.
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
        built: Lists the kinds of device that FFmpeg was built with.
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
    """Open a container that is decoded on a device if one works, and in software otherwise.

    Args:
        source: The file to open, as for `av.open`.
        wanted: Kind of device, "auto" for the first one that works, or "none".
        open_source: Opens the container.
        built: Lists the kinds of device that FFmpeg was built with.
        make_device: Creates a device that copies its pictures back to main memory.
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
