"""Values that encoders bend to what they can do, without a word: here they are refused instead.

What FFmpeg itself checks is not listed; see `refusals`.
"""

from collections.abc import Mapping

from crsr_video.errors import EncoderError

_DEPTH_STEP = 6
"""Quantisers that x264 and x265 have more for every bit beyond eight."""
_QUANTISERS = (1, 31)
"""Of the MPEG family and of JPEG."""
_BITRATE = (1000, (1 << 31) - 1)
"""Bits a second; encoders count in thousands, and PyAV in 32 bits."""
_X264 = {"crf": (-1, 51), "crf_max": (-1, 51), "qp": (-1, 51), "bf": (-1, 16), "refs": (-1, 16)}
_X265 = {"crf": (-1, 51), "qp": (-1, 51)}
_RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "libx264": _X264,
    "libx264rgb": _X264,
    "libx265": _X265,
}
"""By encoder and option: least and most, at eight bits."""
_X264_WORDS = {
    "tune": (
        *("film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode"),
        "zerolatency",
    ),
    "profile": ("baseline", "main", "high", "high10", "high422", "high444"),
}
_WORDS = {"libx264": _X264_WORDS, "libx264rgb": _X264_WORDS}
"""By encoder and option: what x264 knows; it would say so on stderr."""
_SEPARATORS = str.maketrans(",./-+", "     ")
"""Between several tunes."""


def check_options(encoder: str, options: Mapping[str, str], bits: int) -> None:
    """Look at everything an encoder is told.

    Args:   bits: of a sample.
    Raises: EncoderError: a value is impossible.
    """
    for name, (least, most) in {**_RANGES.get(encoder, {}), "b": _BITRATE}.items():
        if name in options:
            deeper = _DEPTH_STEP * max(0, bits - 8) if name == "qp" else 0
            check_range(encoder, name, options[name], least, most + deeper)
    for name, known in _WORDS.get(encoder, {}).items():
        if unknown := set(options.get(name, "").translate(_SEPARATORS).split()) - set(known):
            told = f"no {name} {min(unknown)!r}, only {' '.join(known)}"
            raise EncoderError(f"{encoder} has {told}")


def check_quantiser(encoder: str, value: float) -> None:
    """Look at the quality of an encoder that only has a quantiser.

    Raises: EncoderError: there is no such one.
    """
    check_range(encoder, "crf", f"{value:g}", *_QUANTISERS)


def check_range(encoder: str, name: str, value: str, least: float, most: float) -> None:
    """Raises: EncoderError: a number is too small or too large; what is none is FFmpeg's matter."""
    try:
        number = float(value)
    except ValueError:
        return
    if name == "b" and number == 0:  # No limit.
        return
    if not least <= number <= most:
        shown = {"b": "bitrate"}.get(name, name)
        told = f"must lie between {max(least, 0):.10g} and {most:.10g}, but is {value}"
        raise EncoderError(f"{encoder}: {shown} {told}")
