"""The header of a YUV4MPEG2 stream (Y4M), which is all that it has beside pictures.

Source: mjpegtools' yuv4mpeg(5), and FFmpeg's extensions for more bits, gray and alpha.
"""

from fractions import Fraction

from crsr_video.io.outgoing.fitting import Shape

FRAME = b"FRAME\n"
"""Before every picture."""

FORMATS: dict[str, str] = {
    "gray": "mono",
    "yuv411p": "411",
    "yuv420p": "420",
    "yuv422p": "422",
    "yuv444p": "444",
    "yuva444p": "444alpha",
    **{f"gray{b}le": f"mono{b}" for b in (9, 10, 12, 16)},
    **{
        f"yuv{s}p{b}le": f"{s}p{b} XYSCSS={s}P{b}"
        for s in ("420", "422", "444")
        for b in (9, 10, 12, 14, 16)
    },
}
"""Pixel formats that it has, and the words for them."""


def header(shape: Shape, rate: Fraction) -> bytes:
    """The first line.

    Args: shape: one of `FORMATS`. rate: frames a second.
    """
    aspect, colour = shape.sample_aspect, FORMATS[shape.pixel_format]
    if colour == "420":
        colour = "420mpeg2 XYSCSS=420MPEG2" if shape.x_cosited else "420jpeg XYSCSS=420JPEG"
    fields = {"progressive": "p", "top": "t", "bottom": "b"}[shape.interlaced]
    words = (
        f"YUV4MPEG2 W{shape.width} H{shape.height} F{rate.numerator}:{rate.denominator} I{fields}",
        f"A{aspect.numerator}:{aspect.denominator} C{colour}",
        f"XCOLORRANGE={'FULL' if shape.full_range else 'LIMITED'}",
    )
    return (" ".join(words) + "\n").encode("ascii")
