"""Decoding and encoding on a graphics card, where FFmpeg was built for it and one is there.

Nothing here is needed: whatever is missing, the software way is taken, with a word about it. What a
card decodes comes in its own layout (NV12, P010), and it does not tell what it has patched up.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

_LOG = logging.getLogger(__name__)

_DECODERS = ("cuda", "videotoolbox", "vaapi", "d3d11va")
"""Kinds of device, the most useful first."""

_ENCODERS: Mapping[str, tuple[str, ...]] = {
    "h264": ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf"),
    "hevc": ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "hevc_amf"),
    "av1": ("av1_nvenc", "av1_qsv", "av1_amf"),
}
"""Codec to encoders that take frames from main memory."""

_TRIAL = (256, 144)
"""Pixels of the picture that an encoder is tried with: above every card's minimum."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked for, or why it is not used."""

    name: str | None
    """Kind of device, or encoder; None: software."""
    notice: str = ""
    """One line for the user, if something was asked for and is not there."""


def decoders(known: Callable[[], Sequence[str]] = hwdevices_available) -> tuple[str, ...]:
    """Kinds of device that this FFmpeg could decode on, the most useful first.

    Args: known: lists what FFmpeg was built with.
    """
    built = set(known())
    return tuple(kind for kind in _DECODERS if kind in built)


def accelerator(kind: str, make: Callable[..., Any] = HWAccel) -> Any:
    """What ``av.open(..., hwaccel=...)`` wants: a device that hands frames back to main memory.

    Codecs that the device cannot do are decoded in software.
    """
    return make(device_type=kind, allow_software_fallback=True)


def open_source(
    path: str,
    wanted: str | None,
    *,
    open_file: Callable[..., Any] = av.open,
    known: Callable[[], Sequence[str]] = hwdevices_available,
    make: Callable[..., Any] = HWAccel,
    **options: Any,
) -> tuple[Any, Found]:
    """A container that decodes on a device if there is one.

    Args:    wanted: kind of device, "auto", or None for software.
             options: as of `av.open`.
    Returns: the container, and what is used.
    """
    kinds = decoders(known) if wanted == "auto" else tuple([wanted] if wanted else [])
    for kind in kinds:
        try:
            return open_file(path, hwaccel=accelerator(kind, make), **options), Found(kind)
        except (av.error.FFmpegError, NotImplementedError, RuntimeError, ValueError) as error:
            _LOG.info("no decoding on %s: %s", kind, error)
    asked = wanted not in (None, "auto")
    notice = f"no decoding on {wanted} here: software is used" if asked else ""
    return open_file(path, **options), Found(None, notice)


def encoder(codec: str, *, works: Callable[[str], bool] | None = None) -> Found:
    """An encoder on a graphics card for a codec ("h264", "hevc", "av1").

    Args: works: tries an encoder by name; the default encodes a picture with it.
    """
    for name in _ENCODERS.get(codec, ()):
        if (works or _encodes)(name):
            return Found(name)
    return Found(None, f"no encoder for {codec} on a graphics card here: software is used")


def _encodes(name: str) -> bool:
    """Whether an encoder is built in and opens here: it may be there without its card."""
    try:
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height = _TRIAL
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 25)
        frame = av.VideoFrame(*_TRIAL, "yuv420p")
        frame.pts = 0
        return bool([*context.encode(frame), *context.encode(None)])
    except (av.error.FFmpegError, ValueError) as error:
        _LOG.info("no encoding by %s: %s", name, error)
        return False
