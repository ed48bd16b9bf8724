"""Choice of the video encoder for a source, and of its pixel format and options."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction

from av import logging
from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import pyav
from crsr_video.io.encoder_options import MPEG_FAMILY, encoder_options
from crsr_video.io.pixel_formats import has_alpha, pixel_format

FALLBACK = "libx264"
RAW = "rawvideo"

_FOR_CODEC: dict[str, tuple[str, ...]] = {
    "h264": ("libx264", "h264_videotoolbox", "h264_mf"),
    "hevc": ("libx265", "hevc_videotoolbox", "hevc_mf"),
    "vp8": ("libvpx",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1", "librav1e"),
    "mpeg4": ("mpeg4",),
    "mpeg2video": ("mpeg2video",),
    "mpeg1video": ("mpeg1video",),
    "mjpeg": ("mjpeg",),
    "prores": ("prores_ks",),
    "dnxhd": ("dnxhd",),
    "ffv1": ("ffv1",),
    "theora": ("libtheora",),
    "flv1": ("flv",),
    "msmpeg4v3": ("msmpeg4",),
    "wmv1": ("wmv1",),
    "wmv2": ("wmv2",),
    "huffyuv": ("huffyuv",),
    "ffvhuff": ("ffvhuff",),
    "utvideo": ("utvideo",),
    "magicyuv": ("magicyuv",),
    "rawvideo": ("rawvideo",),
    "png": ("png",),
    "qtrle": ("qtrle",),
}
"""Encoders of each codec, in order of preference. Other codecs are replaced by `FALLBACK`."""

_ALIASES = {
    **dict.fromkeys(("h.264", "x264", "avc"), "h264"),
    **dict.fromkeys(("h265", "h.265", "x265"), "hevc"),
}
"""Other usual names of codecs."""

_LISTED = (
    *dict.fromkeys(name for names in _FOR_CODEC.values() for name in names),
    *("libx264rgb", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv"),
    *("h264_vaapi", "hevc_vaapi", "libopenh264"),
)

_HARDWARE = ("_nvenc", "_qsv", "_vaapi", "_amf", "_videotoolbox", "_mf")
_COUNTING = frozenset((*MPEG_FAMILY, "libxvid", "libtheora"))
"""Encoders that only count frames, or whose clock has too few bits for a container's ticks."""
_EVEN = frozenset(("libx264", "libx264rgb", "libx265", "libsvtav1", "prores_ks", "dnxhd"))
"""Encoders that refuse a width or height that is not a multiple of the chroma subsampling."""


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """An encoder with its pixel format and options."""

    encoder: str
    """FFmpeg's name."""
    pixel_format: str
    """FFmpeg's name."""
    options: dict[str, str]
    counts_frames: bool = False
    """Whether its clock counts frames; presentation times are then restored on its packets."""
    notices: tuple[str, ...] = ()


def available_encoders() -> tuple[str, ...]:
    """Return the known video encoders that this FFmpeg has and this machine can run."""
    return tuple(name for name in _LISTED if find(name) is not None and _works(name))


def has_own_rate(name: str) -> bool:
    """Return whether an encoder's profile, or losslessness, determines its bit rate."""
    codec = find(name)
    fixed = name in ("prores_ks", "dnxhd")
    return fixed or (codec is not None and codec.lossless and not codec.lossy)


def is_hardware(name: str) -> bool:
    """Return whether an encoder runs on a hardware device."""
    return name.endswith(_HARDWARE)


def _works(name: str) -> bool:
    if not is_hardware(name):
        return True
    try:
        context = CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.time_base = 256, 256, Fraction(1, 25)
        context.pix_fmt = "nv12"
        context.open()
    except (FFmpegError, ValueError, OSError):
        return False
    return True


def find(name: str) -> Codec | None:
    """Return a video encoder by its name, or None if this FFmpeg does not have it."""
    try:
        codec = Codec(name, "w")
    except (UnknownCodecError, ValueError):
        return None
    return codec if codec.type == "video" and codec.name == name else None


def encoder_name(codec: str, asked: str | None, is_rgb: bool) -> tuple[str, tuple[str, ...]]:
    """Return the name of the encoder to use, and notices for the user.

    Args:
        codec: FFmpeg's name of the source's codec.
        asked: Name of the encoder or codec that the user chose.
        is_rgb: Whether the source is RGB.

    Raises:
        EncoderError: The encoder that the user chose does not exist.
    """
    if asked is not None:
        wanted = _ALIASES.get(asked.lower(), asked.lower())
        names = (asked, *_FOR_CODEC.get(wanted, ()))
        found = next((name for name in names if find(name)), None)
        if found is None:
            known = "h264, h265, av1, vp9, prores or ffv1"
            text = f"there is no video encoder {asked!r} in this FFmpeg: use {known}"
            raise EncoderError(f"{text}, or a name from 'crsr-video doctor'")
        return found, ()
    if codec == "h264" and is_rgb and find("libx264rgb"):
        return "libx264rgb", ()
    for name in _FOR_CODEC.get(codec, ()):
        if find(name):
            return name, ()
    if not find(FALLBACK):
        raise EncoderError(f"this FFmpeg has no encoder for {codec}, and not {FALLBACK} either")
    return FALLBACK, (f"this FFmpeg cannot encode {codec}: {FALLBACK} is used instead",)


def choose(
    encoder: str,
    settings: OutputSettings,
    source_format: str,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
    profile: str | None = None,
) -> EncoderChoice:
    """Choose pixel format and options for an encoder.

    Args:
        encoder: FFmpeg's name of the encoder.
        settings: The user's choices.
        source_format: FFmpeg's name of the source's pixel format.
        size: Width and height of the result.
        rate: Frames per second, if known.
        source_bit_rate: Bits per second of the source, 0 if unknown.
        profile: Profile of the source, if it has the encoder's codec.

    Raises:
        EncoderError: The encoder does not exist or takes no such pixel format, or the settings do
            not fit it.
    """
    codec = find(encoder)
    if codec is None:
        raise EncoderError(f"there is no video encoder {encoder!r} in this FFmpeg")
    asked = settings.options.get("pix_fmt")
    target = asked or nearest_format(encoder, source_format, *size)
    offered = pixel_formats(encoder)
    if offered and target not in offered:
        raise EncoderError(f"{encoder} does not take pixel format {target}")
    if not _fits(encoder, target, *size):
        raise EncoderError(f"{encoder} takes no pictures of {size[0]}x{size[1]} in {target}")
    options = encoder_options(codec, settings, target, size, rate, source_bit_rate, profile)
    notices = conversion_notices(encoder, source_format, target)
    return EncoderChoice(encoder, target, options, encoder in _COUNTING, notices)


def conversion_notices(what: str, source_format: str, target: str) -> tuple[str, ...]:
    """Return notices about what a conversion of the pixel format loses.

    Args:
        what: Encoder or container for which pictures are converted.
        source_format: FFmpeg's name of the source's pixel format.
        target: FFmpeg's name of the format that is written.
    """
    old, new = pixel_format(source_format), pixel_format(target)
    if old is None or new is None or not old.same_codes(new):
        return (f"pictures are converted from {source_format} to {target} for {what}",)
    if old.alpha and not new.alpha:
        return (f"{what} does not hold transparency",)
    return ()


def pixel_formats(encoder: str) -> list[str]:
    """Return the pixel formats that an encoder takes; an empty list means any."""
    codec = find(encoder)
    return [f.name for f in (codec.video_formats if codec else None) or ()]


def nearest_format(encoder: str, name: str, width: int, height: int) -> str:
    """Return the encoder's pixel format that is closest to a source's.

    Raises:
        EncoderError: The encoder takes no pixel format at this size.
    """
    offered = pixel_formats(encoder)
    if not offered:
        return name
    fits = [f for f in offered if pixel_format(f) and _fits(encoder, f, width, height)]
    try:
        return nearest_of(fits, name)
    except EncoderError as error:
        raise EncoderError(f"{encoder} takes no pictures of {width}x{height} pixels") from error


def nearest_of(formats: list[str], name: str) -> str:
    """Return the pixel format of a list that is closest to another.

    Raises:
        EncoderError: The list is empty.
    """
    if name in formats:
        return name
    source = pixel_format(name)
    exact = [f for f in formats if (p := pixel_format(f)) and source and source.same_codes(p)]
    if exact:
        return max(exact, key=lambda f: has_alpha(f) == has_alpha(name))
    # yuvj formats mean full range, which only a full-range source has.
    plain = [f for f in formats if not f.startswith("yuvj") or name.startswith("yuvj")]
    best = find_best_pix_fmt_of_list(plain, name, has_alpha(name))[0] if plain else None
    if best is None:
        raise EncoderError(f"there is no pixel format similar to {name}")
    return best.name


def _fits(encoder: str, name: str, width: int, height: int) -> bool:
    fmt = pixel_format(name)
    if fmt is None:
        return True
    if encoder == "libx265" and (fmt.alpha or (32 < width <= 48 and height < 32)):
        # FFmpeg lists alpha formats, but PyAV's x265 was built without alpha. At the sizes above,
        # x265 writes past its buffers: a scan of sizes up to 130 with four presets showed this.
        return False
    if encoder not in _EVEN:
        return True
    return width % (1 << fmt.x_shift) == 0 and height % (1 << fmt.y_shift) == 0


def refuse_unknown(options: Iterable[str], encoder: str) -> None:
    """Refuse options that the encoder did not recognize.

    Raises:
        EncoderError: There is such an option.
    """
    names = ", ".join(sorted(options))
    if names:
        raise EncoderError(f"{encoder} has no option {names}: leave it out")


# Why an encoder refuses its settings ------------------------------------------------------------

_RANGE = re.compile(r"Value (\S+) for parameter '(\S+)' out of range \[(\S+) - (\S+)\]")
_VALUE = re.compile(r"Unable to parse \"(\S+)\" option value \"(.*)\"")


@contextmanager
def explained_refusals(context: VideoCodecContext) -> Iterator[None]:
    """Turn the failure to open an encoder into one line that says which setting is wrong.

    FFmpeg names the setting only in its log, which is off by default.

    Raises:
        EncoderError: The encoder could not be opened.
    """
    name = context.name
    options = dict(context.options)
    _refuse_unknown_parameters(context, options)
    try:
        yield
    except (FFmpegError, OSError, ValueError, OverflowError) as error:
        if reason := _reason(context, options):
            raise EncoderError(f"{name}: {reason}") from error
        raise EncoderError(f"{refusal_of(name)}: {pyav.reason(error)}") from error


def refusal_of(name: str) -> str:
    """Return the most likely reason why an encoder could not be set up."""
    return f"{name} {'finds no device here' if is_hardware(name) else 'refuses its settings'}"


_PARAMETER = re.compile(r"Error parsing option '([^ =]*)|Unknown option: ([^ .]*)")
"""How the encoders x264 and x265 report an unknown parameter before they ignore it."""


def _refuse_unknown_parameters(context: VideoCodecContext, options: dict[str, str]) -> None:
    """Refuse parameters within "x264-params" and the like that the encoder would ignore."""
    for key, value in options.items():
        if key.endswith("-params") and value not in ("", "log-level=none"):
            for line in _log_of(context, options, logging.WARNING):
                if found := _PARAMETER.search(line):
                    wrong = found[1] or found[2]
                    raise EncoderError(f"{context.name}: {key} has no parameter '{wrong}'")


def _reason(context: VideoCodecContext, options: dict[str, str]) -> str | None:
    """Open a copy of an encoder, and return what it reports."""
    lines = _log_of(context, options, logging.ERROR)
    return next(filter(None, map(_reworded, lines)), None)


def _log_of(context: VideoCodecContext, options: dict[str, str], level: int) -> list[str]:
    """Open a copy of an encoder with the log on, and return the lines of the log."""
    twin = CodecContext.create(context.name, "w")
    assert isinstance(twin, VideoCodecContext)
    twin.width, twin.height, twin.pix_fmt = context.width, context.height, context.pix_fmt
    twin.time_base, twin.options = context.time_base, options
    refusals = suppress(FFmpegError, OSError, ValueError, OverflowError)
    with pyav.captured_log(level) as messages, refusals:
        twin.open()
    return [line for _, _, line in messages]


def _reworded(line: str) -> str | None:
    """Return one of FFmpeg's log lines in our words, or None if it does not help a user."""
    if found := _RANGE.search(line):
        value, name, least, most = found.groups()
        least = "0" if name == "crf" else least  # Values below mean "none" to FFmpeg.
        number = f"{float(value):.10g}"
        return f"{name} must lie between {least} and {most}, but is {number}"
    if found := _VALUE.search(line):
        name, value = found.groups()
        return f"{name} cannot be {value!r}"
    return None
