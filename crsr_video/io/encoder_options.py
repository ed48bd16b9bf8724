"""Encoder options for quality, speed, low latency and HDR metadata, and checks of their values."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from av.codec import Codec

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import limits, pixel_formats

MPEG_FAMILY = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "wmv1", "wmv2", "flv", "h263")
_X26X = ("libx264", "libx264rgb", "libx265")

# Quality and speed ------------------------------------------------------------------------------

_QUANTISER = {"qmin": "2", "qmax": "2"}
"""PyAV cannot set the quality of a frame, so these limits allow the encoder one quantiser only."""
_DEFAULTS: dict[str, dict[str, str]] = {
    # Visually lossless: at least 0.986 SSIM on six clips, see docs/size-and-quality.md.
    "libx264": {"crf": "20", "preset": "medium"},
    "libx264rgb": {"crf": "20", "preset": "medium"},
    "libx265": {"crf": "21", "preset": "medium", "a53cc": "1"},
    "libvpx": {"crf": "8", "deadline": "good", "cpu-used": "4"},
    "libvpx-vp9": {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
    "libsvtav1": {"crf": "24", "preset": "7"},
    "libaom-av1": {"crf": "20", "b": "0", "cpu-used": "6", "row-mt": "1"},
    "ffv1": {"level": "3", "slicecrc": "1"},
    "h264_nvenc": {"preset": "p5", "rc": "vbr", "cq": "19", "b": "0"},
    "hevc_nvenc": {"preset": "p5", "rc": "vbr", "cq": "21", "b": "0"},
    "av1_nvenc": {"preset": "p5", "rc": "vbr", "cq": "26", "b": "0"},
    **dict.fromkeys(MPEG_FAMILY, _QUANTISER),
    "mjpeg": _QUANTISER | {"strict": "unofficial"},  # The default accepts full range only.
}
_NO_BITRATE_CEILING = frozenset((*_X26X, "libsvtav1", "dnxhd", "prores_ks"))
"""Encoders that do not treat a bit rate as an upper limit, and so get only a quality."""
_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"),
    *("veryslow", "placebo"),
)
_DNXHR = {"yuv422p": "dnxhr_hq", "yuv422p10le": "dnxhr_hqx"}
_PROFILES = {
    # Only profiles that the encoder does not derive from the pixel format.
    "libx264": (
        ("yuv420p", "yuvj420p", "nv12"),
        {"Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main"},
    ),
    "prores_ks": (
        ("yuv422p10le",),
        {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq"},
    ),
    "dnxhd": (
        ("yuv422p",),
        {"DNXHR LB": "dnxhr_lb", "DNXHR SQ": "dnxhr_sq", "DNXHR HQ": "dnxhr_hq"},
    ),
}
"""Pixel formats that allow the profiles, and the option for each profile, by encoder."""
_QUALITY_KEYS = ("crf", "cq", "qmin", "qmax", "rc")
_RATE_KEYS = frozenset(("b", "qp", "global_quality", "cqp", *_QUALITY_KEYS))


def encoder_options(
    encoder: Codec,
    settings: OutputSettings,
    pixel_format: str,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
    profile: str | None = None,
) -> dict[str, str]:
    """Return all options that an encoder needs for the wanted quality and speed.

    Args:
        encoder: The encoder.
        settings: The user's choices.
        pixel_format: FFmpeg's name of the format that is encoded.
        size: Width and height of the result.
        rate: Frames per second, if known.
        source_bit_rate: Bits per second of the source, 0 if unknown.
        profile: Profile of the source, if it has the same codec.

    Raises:
        EncoderError: The encoder has no constant-quality mode, or does not allow a preset or value.
    """
    name = encoder.name
    options = _profile(name, settings, pixel_format, profile)
    options |= _rate_control(encoder, settings, size, rate, source_bit_rate)
    if settings.preset is not None:
        # x264 and x265 would print an error about an unknown preset themselves.
        if name in _X26X and settings.preset not in _PRESETS:
            known = ", ".join(_PRESETS)
            raise EncoderError(f"{name} has no preset {settings.preset!r}, only {known}")
        options["preset"] = settings.preset
    options |= _bounded_lookahead(name, size[0] * size[1])
    own = {k: v for k, v in settings.options.items() if k != "pix_fmt"}
    if own.keys() & _RATE_KEYS:
        options = {k: v for k, v in options.items() if k not in ("b", *_QUALITY_KEYS)}
    options |= own
    fmt = pixel_formats.pixel_format(pixel_format)
    check_options(name, options, fmt.bits if fmt else 8)
    if name.startswith("libvpx") and fmt is not None and fmt.alpha:
        options.setdefault("auto-alt-ref", "0")  # Alternate reference frames cannot have alpha.
    if name == "libx265":  # By default, x265 prints its log to the terminal.
        return merge_parameters(options, {"x265-params": "log-level=none"})
    return options


def _rate_control(
    encoder: Codec,
    settings: OutputSettings,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
) -> dict[str, str]:
    """Return the options for quality or bit rate."""
    options = dict(_DEFAULTS.get(encoder.name, {}))
    # Some encoders need a maximum bit rate besides the quality. This one is far above actual rates.
    ample = max(2 * source_bit_rate, round(size[0] * size[1] * float(rate or 25) / 4), 1_000_000)
    if settings.bitrate is not None:
        options = {k: v for k, v in options.items() if k not in _QUALITY_KEYS}
        options["b"] = str(settings.bitrate)
    elif (not encoder.lossless or encoder.lossy) and encoder.name not in _NO_BITRATE_CEILING:
        options.setdefault("b", str(min(ample, 400_000_000)))
    if settings.crf is not None:
        options |= _constant_quality(encoder.name, options, settings.crf)
    return options


def _constant_quality(encoder: str, defaults: dict[str, str], crf: float) -> dict[str, str]:
    if "crf" in defaults:
        return {"crf": f"{crf:g}"}
    if "cq" in defaults:
        return {"cq": f"{crf:g}"}
    if "qmin" in defaults:
        _check_range(encoder, "crf", f"{crf:g}", *_QUANTISERS)
        quantiser = str(round(crf))
        return {"qmin": quantiser, "qmax": quantiser}
    raise EncoderError(f"{encoder} has no constant quality: use a bitrate")


def _profile(
    encoder: str, settings: OutputSettings, pixel_format: str, profile: str | None
) -> dict[str, str]:
    """Return the option for the source's profile, unless the settings need another profile."""
    if encoder == "prores_ks" and profile == "XQ" and "444" in pixel_format:
        return {"profile": "4444xq"}
    formats, names = _PROFILES.get(encoder, ((), {}))
    lossless = settings.crf == 0 or settings.options.keys() & {"qp", "x264-params"}
    if profile in names and pixel_format in formats and not lossless:
        return {"profile": names[profile]}
    if encoder == "dnxhd" and settings.bitrate is None:  # DNxHR allows any size, unlike DNxHD.
        return {"profile": _DNXHR.get(pixel_format, "dnxhr_444")}
    return {}


_X264_FEW = {"rc-lookahead": "1", "bf": "0", "refs": "1", "mbtree": "0", "weightp": "none"}
_LIBVPX_FEW = {"lag-in-frames": "0"}
_FEW_FRAMES: dict[str, dict[str, str]] = {
    "libx264": _X264_FEW,
    "libx264rgb": _X264_FEW,
    "libx265": {"x265-params": "rc-lookahead=1:bframes=0:ref=1:frame-threads=1"},
    "libvpx": _LIBVPX_FEW,
    "libvpx-vp9": _LIBVPX_FEW,
    "libaom-av1": _LIBVPX_FEW,
    "libsvtav1": {"svtav1-params": "lookahead=0:pred-struct=1:lp=1"},
}
"""Options for giant frames, so that encoders buffer few of them. By default, x264 buffers 50."""
_LOOKAHEADS = {
    "libx264": ("rc-lookahead", 40),
    "libx264rgb": ("rc-lookahead", 40),
    "libx265": ("x265-params", 20),
    "libvpx": ("lag-in-frames", 25),
    "libvpx-vp9": ("lag-in-frames", 25),
}
"""Option for the lookahead of each encoder, and its usual number of frames."""
_LEAST_LOOKAHEAD = 5
"""x265 needs a lookahead that is longer than a run of B-frames."""


def _bounded_lookahead(encoder: str, pixels: int) -> dict[str, str]:
    """Return options that bound the memory for frames that an encoder holds back.

    Args:
        encoder: FFmpeg's name of the encoder.
        pixels: Number of pixels of a frame.
    """
    if pixels > limits.GIANT_PIXELS:
        return _FEW_FRAMES.get(encoder, {})
    key, usual = _LOOKAHEADS.get(encoder, ("", 0))
    frames = max(_LEAST_LOOKAHEAD, limits.LOOKAHEAD_BYTES // (3 * pixels))
    if frames >= usual:
        return {}
    return {key: f"rc-lookahead={frames}" if key == "x265-params" else str(frames)}


def merge_parameters(options: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """Return options with more "key=value:key=value" parameters, placed before existing ones."""
    joined = {k: ":".join(filter(None, (v, options.get(k)))) for k, v in more.items()}
    return options | joined


# Low latency ------------------------------------------------------------------------------------

_LIVE_PRESETS = {"libx264": "veryfast", "libx265": "ultrafast", "libsvtav1": "10"}
_LIVE_PRESETS |= {"h264_nvenc": "p3"}
_LIVE_CRF = 20.0
"""Quality of x264 for a live output without a bit rate."""
_ZERO_LATENCY = {"tune": "zerolatency", "forced-idr": "1"}
_REALTIME = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
_ULTRA_LOW_LATENCY = {"tune": "ull", "delay": "0", "zerolatency": "1", "forced-idr": "1"}
_NO_DELAY: dict[str, dict[str, str]] = {
    "libx264": _ZERO_LATENCY,
    "libx264rgb": _ZERO_LATENCY,
    "libx265": _ZERO_LATENCY,
    "libvpx": _REALTIME,
    "libvpx-vp9": _REALTIME,
    "h264_nvenc": _ULTRA_LOW_LATENCY,
    "hevc_nvenc": _ULTRA_LOW_LATENCY,
}
"""Options that make an encoder return every picture without delay."""


def live_settings(encoder: str, settings: OutputSettings) -> OutputSettings:
    """Return settings for low latency, which keep everything that the user chose."""
    options = _NO_DELAY.get(encoder, {}) | dict(settings.options)
    if settings.bitrate is not None and encoder.startswith("libx26"):  # Limit bit-rate peaks.
        options = {"maxrate": str(settings.bitrate), "bufsize": str(settings.bitrate)} | options
    crf = settings.crf
    has_rate = settings.bitrate is not None or options.keys() & {"crf", "qp", "b"}
    if crf is None and not has_rate and encoder.startswith("libx264"):
        crf = _LIVE_CRF
    preset = settings.preset or _LIVE_PRESETS.get(encoder)
    return replace(settings, crf=crf, preset=preset, options=options)


# Values that encoders would change silently -----------------------------------------------------

_QP_PER_BIT = 6
"""Number by which the highest quantiser of x264 and x265 grows with each bit beyond eight."""
_QUANTISERS = (1, 31)
"""Lowest and highest quantiser of the MPEG family and of JPEG."""
_BITRATE = (1000, (1 << 31) - 1)
"""Lowest and highest bit rate, in bits per second.

Encoders count in thousands of bits per second, and PyAV stores the rate in 32 bits."""
_X264 = {"crf": (-1, 51), "crf_max": (-1, 51), "qp": (-1, 51), "bf": (-1, 16), "refs": (-1, 16)}
_X265 = {"crf": (-1, 51), "qp": (-1, 51)}
_RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "libx264": _X264,
    "libx264rgb": _X264,
    "libx265": _X265,
}
"""Lowest and highest value at eight bits per sample, by encoder and option."""
_X264_WORDS = {
    "tune": (
        *("film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode"),
        "zerolatency",
    ),
    "profile": ("baseline", "main", "high", "high10", "high422", "high444"),
}
_WORDS = {"libx264": _X264_WORDS, "libx264rgb": _X264_WORDS}
"""Allowed words by encoder and option. x264 would print an error about other words itself."""
_SEPARATORS = str.maketrans(",./-+", "     ")
"""Replaces the characters that may separate several values of "tune" by spaces."""


def check_options(encoder: str, options: Mapping[str, str], bits: int) -> None:
    """Reject values that an encoder would silently change.

    Args:
        encoder: FFmpeg's name of the encoder.
        options: All options of the encoder.
        bits: Bits per sample.

    Raises:
        EncoderError: A value is not allowed.
    """
    for name, (least, most) in {**_RANGES.get(encoder, {}), "b": _BITRATE}.items():
        if name in options:
            deeper = _QP_PER_BIT * max(0, bits - 8) if name == "qp" else 0
            _check_range(encoder, name, options[name], least, most + deeper)
    for name, known in _WORDS.get(encoder, {}).items():
        if unknown := set(options.get(name, "").translate(_SEPARATORS).split()) - set(known):
            raise EncoderError(f"{encoder} has no {name} {min(unknown)!r}, only {', '.join(known)}")


def _check_range(encoder: str, name: str, value: str, least: float, most: float) -> None:
    try:
        number = float(value)
    except ValueError:  # FFmpeg rejects it later.
        return
    if name == "b" and number == 0:  # Zero means no limit.
        return
    if not least <= number <= most:
        shown = {"b": "bitrate"}.get(name, name)
        allowed = f"between {max(least, 0):.10g} and {most:.10g}"
        raise EncoderError(f"{encoder}: {shown} must lie {allowed}, but is {value}")


# Side data of pictures --------------------------------------------------------------------------

_UNSPECIFIED = 2
"""Code of H.273 for colours that are not specified."""


def limited_range_options(encoder: str, tags: tuple[int, int, int]) -> dict[str, str]:
    """Return encoder options that state the limited range of pictures without other colour tags.

    x264 leaves out the whole table of colours if nothing else in it is specified, so its entry for
    the kind of signal is specified too.

    Args:
        encoder: FFmpeg's name of the encoder.
        tags: Codes of H.273 for primaries, transfer and matrix.
    """
    if encoder not in ("libx264", "libx264rgb") or set(tags) != {_UNSPECIFIED}:
        return {}
    return {"x264-params": "videoformat=component"}


KEEP_USER_DATA = ("libx264", "libx264rgb")
"""Encoders that write the user data of pictures into their own stream on request."""
_HDR = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def hdr_options(encoder: str, attached: dict[str, bytes]) -> tuple[dict[str, str], bool]:
    """Return encoder options for static HDR metadata, and whether they keep all of it.

    PyAV does not pass the side data of frames to encoders, so options have to carry it.

    Args:
        encoder: FFmpeg's name of the encoder.
        attached: Side data of a frame by name, in FFmpeg's memory layout.
    """
    mastering = attached.get("MASTERING_DISPLAY_METADATA")
    light = attached.get("CONTENT_LIGHT_LEVEL")
    if mastering is None and light is None:
        return {}, True
    if encoder not in _HDR:
        return {}, False
    key, display_name, light_name = _HDR[encoder]
    words = []
    display = _mastering(mastering, encoder == "libsvtav1") if mastering else None
    if display is not None:
        words.append(f"{display_name}={display}")
    if light is not None:
        words.append(f"{light_name}={','.join(map(str, struct.unpack('2I', light[:8])))}")
    return {key: ":".join(words)} if words else {}, mastering is None or display is not None


def _mastering(data: bytes, decimal: bool) -> str | None:
    """Format AVMasteringDisplayMetadata as G()B()R()WP()L(), or return None if it is incomplete."""
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
