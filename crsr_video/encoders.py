"""Which encoder follows a source, with which settings, and which pixel format it is given."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from crsr_video import pyav
from crsr_video.config import EncodeSettings
from crsr_video.errors import EncoderError

FALLBACK = "libx264"

FOR_CODEC: dict[str, tuple[str, ...]] = {
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
"""Encoders of a codec, the preferred one first; any other codec becomes `FALLBACK`."""

LISTED = (
    *dict.fromkeys(name for names in FOR_CODEC.values() for name in names),
    *("libx264rgb", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv"),
    *("h264_vaapi", "hevc_vaapi", "libopenh264"),
)

_HARDWARE = ("_nvenc", "_qsv", "_vaapi", "_amf", "_videotoolbox", "_mf")

_MPEG_FAMILY = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "wmv1", "wmv2", "flv", "h263")
_COUNTED = frozenset((*_MPEG_FAMILY, "libxvid", "libtheora"))
"""Encoders whose own clock only counts frames, or has too few bits for a container's ticks."""

_EVEN = frozenset(("libx264", "libx264rgb", "libx265", "libsvtav1", "prores_ks", "dnxhd"))
"""Encoders that refuse a picture its subsampled chroma does not divide."""

_QUANTISER = {"qmin": "2", "qmax": "2"}
"""PyAV cannot set a frame's quality, so a fixed quantiser is the one that is allowed."""

_DEFAULTS: dict[str, dict[str, str]] = {
    # Close to what the eye can tell apart, since the source has been compressed once already.
    "libx264": {"crf": "16", "preset": "medium"},
    "libx264rgb": {"crf": "16", "preset": "medium"},
    "libx265": {"crf": "18", "preset": "medium"},
    "libvpx": {"crf": "8", "deadline": "good", "cpu-used": "4"},
    "libvpx-vp9": {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
    "libsvtav1": {"crf": "24", "preset": "7"},
    "libaom-av1": {"crf": "20", "b": "0", "cpu-used": "6", "row-mt": "1"},
    "ffv1": {"level": "3", "slicecrc": "1"},
    "h264_nvenc": {"preset": "p5", "rc": "vbr", "cq": "19", "b": "0"},
    "hevc_nvenc": {"preset": "p5", "rc": "vbr", "cq": "21", "b": "0"},
    "av1_nvenc": {"preset": "p5", "rc": "vbr", "cq": "26", "b": "0"},
    **dict.fromkeys(_MPEG_FAMILY, _QUANTISER),
    "mjpeg": _QUANTISER | {"strict": "unofficial"},  # Or it only takes full range.
}
_OWN_RATE = frozenset(("libx264", "libx264rgb", "libx265", "libsvtav1", "dnxhd", "prores_ks"))
"""Encoders to which a bit rate besides their quality would mean something else."""

_X26X = ("libx264", "libx264rgb", "libx265")
_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"),
    *("veryslow", "placebo"),
)
_DNXHR = {"yuv422p": "dnxhr_hq", "yuv422p10le": "dnxhr_hqx"}
_QUALITY_KEYS = ("crf", "cq", "qmin", "qmax", "rc")


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder and what it is given."""

    encoder: str
    pixel_format: str
    options: dict[str, str]
    counted: bool
    """Its clock counts frames; presentation times are restored on its packets."""
    notices: tuple[str, ...] = field(default=())


def available_encoders() -> tuple[str, ...]:
    """The known video encoders that this FFmpeg has, and that work on this machine."""
    return tuple(name for name in LISTED if find(name) is not None and _works(name))


def _works(name: str) -> bool:
    """Whether an encoder that needs hardware finds it."""
    if not name.endswith(_HARDWARE):
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
    """A video encoder by its name; None: not in this build."""
    try:
        codec = Codec(name, "w")
    except (UnknownCodecError, ValueError):
        return None
    return codec if codec.type == "video" and codec.name == name else None


def encoder_name(codec: str, asked: str | None, rgb: bool) -> tuple[str, tuple[str, ...]]:
    """Name of the encoder to use, and what to tell the user about it.

    Args: codec: FFmpeg's name of the source's codec. asked: an encoder or codec by name.
          rgb: the source carries RGB.
    Raises: EncoderError: the encoder asked for does not exist.
    """
    if asked is not None:
        names = (asked, *FOR_CODEC.get(asked, ()))
        found = next((name for name in names if find(name)), None)
        if found is None:
            raise EncoderError(f"there is no video encoder {asked!r} in this FFmpeg")
        return found, ()
    if codec == "h264" and rgb and find("libx264rgb"):
        return "libx264rgb", ()
    for name in FOR_CODEC.get(codec, ()):
        if find(name):
            return name, ()
    if not find(FALLBACK):
        raise EncoderError(f"there is no encoder for {codec} in this FFmpeg, nor {FALLBACK}")
    return FALLBACK, (f"{codec} cannot be encoded here, {FALLBACK} is used instead",)


def choose(
    encoder: str,
    settings: EncodeSettings,
    source_format: str,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
) -> Choice:
    """Pixel format and options for an encoder.

    Args: size: (width, height) of the result. source_bit_rate: bits a second, 0: unknown.
    Raises: EncoderError: no pixel format will do, or the settings do not exist there.
    """
    asked = settings.options.get("pix_fmt")
    target = asked or nearest_format(encoder, source_format, *size)
    codec = find(encoder)
    formats = [f.name for f in (codec.video_formats if codec else None) or ()]
    if formats and target not in formats:
        raise EncoderError(f"{encoder} does not take pixel format {target}")
    notices = []
    old, new = pyav.pixel_format(source_format), pyav.pixel_format(target)
    if old is None or new is None or not old.same_codes(new):
        notices.append(f"{encoder} does not take {source_format} here, {target} is used instead")
    elif old.alpha and not new.alpha:
        notices.append(f"{encoder} holds no transparency, which is left out")
    options = _rate_options(encoder, settings, size, rate, source_bit_rate)
    if encoder == "dnxhd" and settings.bitrate is None:  # Any size, unlike DNxHD proper.
        options.setdefault("profile", _DNXHR.get(target, "dnxhr_444"))
    return Choice(encoder, target, options, encoder in _COUNTED, tuple(notices))


def nearest_format(encoder: str, name: str, width: int, height: int) -> str:
    """The encoder's pixel format that is closest to a source's.

    Raises: EncoderError: it takes none at this size.
    """
    codec = find(encoder)
    offered = [f.name for f in (codec.video_formats if codec else None) or ()]
    if not offered:
        return name
    fits = [f for f in offered if pyav.pixel_format(f) and _fits(encoder, f, width, height)]
    if name in fits:
        return name
    source = pyav.pixel_format(name)
    exact = [f for f in fits if (p := pyav.pixel_format(f)) and source and source.same_codes(p)]
    if exact:
        return max(exact, key=lambda f: _alpha(f) == _alpha(name))
    # yuvj formats mean full range, which only a full-range source has.
    plain = [f for f in fits if not f.startswith("yuvj") or name.startswith("yuvj")]
    best = find_best_pix_fmt_of_list(plain, name, _alpha(name))[0] if plain else None
    if best is None:
        raise EncoderError(f"{encoder} takes no picture of {width}x{height} pixels")
    return best.name


def _alpha(name: str) -> bool:
    fmt = pyav.pixel_format(name)
    return fmt is not None and fmt.alpha


def _fits(encoder: str, name: str, width: int, height: int) -> bool:
    fmt = pyav.pixel_format(name)
    if fmt is None or encoder not in _EVEN:
        return True
    return width % (1 << fmt.x_shift) == 0 and height % (1 << fmt.y_shift) == 0


def _rate_options(
    encoder: str,
    settings: EncodeSettings,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
) -> dict[str, str]:
    options = dict(_DEFAULTS.get(encoder, {}))
    # A ceiling for encoders that want one besides the quality: far above what they will need.
    ample = max(2 * source_bit_rate, round(size[0] * size[1] * float(rate or 25) / 4), 1_000_000)
    if settings.bitrate is not None:
        options = {k: v for k, v in options.items() if k not in _QUALITY_KEYS}
        options["b"] = str(settings.bitrate)
    elif not _lossless(encoder) and encoder not in _OWN_RATE:
        options.setdefault("b", str(min(ample, 400_000_000)))
    if settings.crf is not None:
        options |= _constant_quality(encoder, options, settings.crf)
    if settings.preset is not None:
        if encoder in _X26X and settings.preset not in _PRESETS:  # They would say so on stderr.
            known = " ".join(_PRESETS)
            raise EncoderError(f"{encoder} has no preset {settings.preset!r}, only {known}")
        options["preset"] = settings.preset
    own = {k: v for k, v in settings.options.items() if k != "pix_fmt"}
    if own.keys() & {"b", "qp", "global_quality", "cqp", *_QUALITY_KEYS}:
        options = {k: v for k, v in options.items() if k not in ("b", *_QUALITY_KEYS)}
    options |= own
    if encoder == "libx265":  # Or it writes to the terminal itself.
        return merge_parameters(options, {"x265-params": "log-level=none"})
    return options


def _lossless(encoder: str) -> bool:
    codec = find(encoder)
    return codec is not None and codec.lossless and not codec.lossy


def _constant_quality(encoder: str, defaults: dict[str, str], crf: float) -> dict[str, str]:
    if "crf" in defaults:
        return {"crf": f"{crf:g}"}
    if "cq" in defaults:
        return {"cq": f"{crf:g}"}
    if "qmin" in defaults:
        quantiser = str(min(31, max(1, round(crf))))
        return {"qmin": quantiser, "qmax": quantiser}
    raise EncoderError(f"{encoder} has no constant quality, give it a bitrate instead")


_HDR = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def hdr_options(encoder: str, attached: dict[str, bytes]) -> tuple[dict[str, str], bool]:
    """Encoder parameters for static HDR metadata, and whether the encoder takes them.

    PyAV does not hand it to encoders by itself.
    Args: attached: side data of a frame by name, as FFmpeg lays it out in memory.
    """
    mastering, light = (
        attached.get("MASTERING_DISPLAY_METADATA"),
        attached.get("CONTENT_LIGHT_LEVEL"),
    )
    if mastering is None and light is None:
        return {}, True
    if encoder not in _HDR:
        return {}, False
    key, display_name, light_name = _HDR[encoder]
    words = []
    if mastering is not None and (display := _mastering(mastering, encoder == "libsvtav1")):
        words.append(f"{display_name}={display}")
    if light is not None:
        words.append(f"{light_name}={','.join(map(str, struct.unpack('2I', light[:8])))}")
    return {key: ":".join(words)} if words else {}, True


def _mastering(data: bytes, decimal: bool) -> str | None:
    """A mastering display (AVMasteringDisplayMetadata) as encoders write it: G()B()R()WP()L()."""
    *numbers, has_primaries, has_luminance = struct.unpack("22i", data[:88])
    if not (has_primaries and has_luminance) or 0 in numbers[1::2]:
        return None
    values = [Fraction(n, d) for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
    chroma = [_scaled(v, 50_000, decimal) for v in values[:8]]
    dark, bright = (_scaled(v, 10_000, decimal) for v in values[8:])
    names = {"G": 2, "B": 4, "R": 0, "WP": 6}
    points = "".join(f"{name}({chroma[i]},{chroma[i + 1]})" for name, i in names.items())
    return f"{points}L({bright},{dark})"


def _scaled(value: Fraction, unit: int, decimal: bool) -> str:
    return f"{float(value):.5f}" if decimal else str(round(value * unit))


def merge_parameters(options: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """Add "key=value:key=value" parameters to those already there."""
    joined = {k: ":".join(filter(None, (v, options.get(k)))) for k, v in more.items()}
    return options | joined


def leftover(options: Iterable[str], encoder: str) -> None:
    """Raises: EncoderError: options that the encoder did not take."""
    names = ", ".join(sorted(options))
    if names:
        raise EncoderError(f"{encoder} has no option {names}")
