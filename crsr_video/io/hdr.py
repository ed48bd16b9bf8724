"""Static HDR metadata, as encoders want to be told it: PyAV does not hand it to them by itself."""

import struct
from fractions import Fraction

_HDR = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def hdr_options(encoder: str, attached: dict[str, bytes]) -> tuple[dict[str, str], bool]:
    """Encoder parameters for static HDR metadata, and whether the encoder takes them.

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
