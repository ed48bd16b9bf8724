"""How good, how fast: what an encoder is told beyond the picture itself."""

from fractions import Fraction

from av.codec import Codec

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import pyav
from crsr_video.io.ranges import check_options, check_quantiser

MPEG_FAMILY = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "wmv1", "wmv2", "flv", "h263")
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
    **dict.fromkeys(MPEG_FAMILY, _QUANTISER),
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
_PROFILES = {
    # Only what does not follow from the pixel format anyway, and the formats it is for.
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
"""By encoder: pixel formats, and the encoder's names of FFmpeg's profiles."""
_QUALITY_KEYS = ("crf", "cq", "qmin", "qmax", "rc")


def options_for(
    encoder: Codec,
    settings: OutputSettings,
    target: str,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
    profile: str | None = None,
) -> dict[str, str]:
    """Everything that an encoder is told about quality and speed.

    Args:   target: pixel format that is encoded. size: (width, height) of the result.
            source_bit_rate: bits a second, 0: unknown.
            profile: of the source, if it has the same codec.
    Raises: EncoderError: the encoder has no constant quality, or no such preset or value.
    """
    name = encoder.name
    options = _profile(name, settings, target, profile) | _rate(
        encoder, settings, size, rate, source_bit_rate
    )
    if settings.preset is not None:
        if name in _X26X and settings.preset not in _PRESETS:  # They would say so on stderr.
            known = " ".join(_PRESETS)
            raise EncoderError(f"{name} has no preset {settings.preset!r}, only {known}")
        options["preset"] = settings.preset
    own = {k: v for k, v in settings.options.items() if k != "pix_fmt"}
    if own.keys() & {"b", "qp", "global_quality", "cqp", *_QUALITY_KEYS}:
        options = {k: v for k, v in options.items() if k not in ("b", *_QUALITY_KEYS)}
    options |= own
    fmt = pyav.pixel_format(target)
    check_options(name, options, fmt.bits if fmt else 8)
    if name == "libx265":  # Or it writes to the terminal itself.
        return merge_parameters(options, {"x265-params": "log-level=none"})
    return options


def _rate(
    encoder: Codec,
    settings: OutputSettings,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
) -> dict[str, str]:
    """Quality, or bits a second."""
    options = dict(_DEFAULTS.get(encoder.name, {}))
    # A ceiling for encoders that want one besides the quality: far above what they will need.
    ample = max(2 * source_bit_rate, round(size[0] * size[1] * float(rate or 25) / 4), 1_000_000)
    if settings.bitrate is not None:
        options = {k: v for k, v in options.items() if k not in _QUALITY_KEYS}
        options["b"] = str(settings.bitrate)
    elif (not encoder.lossless or encoder.lossy) and encoder.name not in _OWN_RATE:
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
        check_quantiser(encoder, crf)
        quantiser = str(round(crf))
        return {"qmin": quantiser, "qmax": quantiser}
    raise EncoderError(f"{encoder} has no constant quality, give it a bitrate instead")


def merge_parameters(options: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """Add "key=value:key=value" parameters to those already there."""
    joined = {k: ":".join(filter(None, (v, options.get(k)))) for k, v in more.items()}
    return options | joined


def _profile(
    encoder: str, settings: OutputSettings, target: str, profile: str | None
) -> dict[str, str]:
    """The source's profile, unless what was asked for needs another."""
    if encoder == "prores_ks" and profile == "XQ" and "444" in target:
        return {"profile": "4444xq"}
    formats, names = _PROFILES.get(encoder, ((), {}))
    lossless = settings.crf == 0 or settings.options.keys() & {"qp", "x264-params"}
    if profile in names and target in formats and not lossless:
        return {"profile": names[profile]}
    if encoder == "dnxhd" and settings.bitrate is None:  # Any size, unlike DNxHD proper.
        return {"profile": _DNXHR.get(target, "dnxhr_444")}
    return {}
