"""Frames as pictures for an encoder, with everything that hangs on them."""

from fractions import Fraction
from typing import Any

import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from crsr_video.imaging.colour import MATRIX_CODES, matrix_name
from crsr_video.imaging.upscaling import enlarge_plane
from crsr_video.io import pyav
from crsr_video.types import FieldOrder, Frame

_FIELD_ORDER = {"top": 2, "bottom": 3}
"""AV_FIELD_TT and AV_FIELD_BB."""


def picture_of(frame: Frame, first: Frame, pixel_format: str) -> VideoFrame:
    """The picture to encode: the decoder's own, unless it was edited or has another format.

    Args: first: the source's first frame, whose colour tags serve frames made from arrays.
    """
    picture = own_picture(frame, first)
    if picture.format.name != pixel_format:
        picture = pyav.convert(picture, pixel_format)
    picture.pict_type = int(PictureType.NONE)  # The encoder's choice, not the source's.
    return picture


def own_picture(frame: Frame, first: Frame | None = None) -> VideoFrame:
    """The picture in the frame's own pixel format, with all that its native one carries."""
    native = frame.native
    if native is None:
        picture = pyav.blank(frame.width, frame.height, frame.layout.name)
        if first is not None:
            pyav.copy_colour(first.native, picture)
    elif (native.width, native.height) == (frame.width, frame.height):
        if not frame.edited:
            assert isinstance(native, VideoFrame)
            return native
        picture = pyav.copy(native)
    else:
        picture = _enlarged(native, frame)
    pyav.write(picture, frame.components)
    return picture


def _enlarged(native: VideoFrame, frame: Frame) -> VideoFrame:
    """A picture of the frame's size with the native one's transparency and side data."""
    try:
        picture = _scaled(native, frame.width, frame.height)
    except (FFmpegError, ValueError):  # A pixel format that swscale does not write.
        picture = pyav.blank(frame.width, frame.height, native.format.name)
    pyav.copy_colour(native, picture)
    picture.pts, picture.time_base = native.pts, native.time_base
    picture.duration = native.duration
    fmt = pyav.pixel_format(native.format.name)
    if fmt is not None and fmt.alpha:
        small: Any = np.ascontiguousarray(pyav.views(native, alpha=True)[-1])
        large = enlarge_plane(small, frame.width // native.width)
        pyav.views(picture, alpha=True)[-1][...] = np.minimum(large, (1 << fmt.bits) - 1)
    return picture


def _scaled(native: VideoFrame, width: int, height: int) -> VideoFrame:
    """FFmpeg's own enlargement: only for what it carries over, its samples are replaced."""
    graph = Graph()
    source = graph.add_buffer(
        width=native.width,
        height=native.height,
        format=native.format,
        time_base=native.time_base or Fraction(1, 1000),
    )
    scale = graph.add("scale", f"{width}:{height}:flags=neighbor")
    sink = graph.add("buffersink")
    source.link_to(scale)
    scale.link_to(sink)
    graph.configure()
    source.push(native)
    picture = sink.pull()
    assert isinstance(picture, VideoFrame)
    if picture.format.name != native.format.name:
        raise ValueError(f"{native.format.name} became {picture.format.name}")
    picture.make_writable()
    return picture


def describe_picture(
    context: VideoCodecContext, first: Frame, pixel_format: str, scale: int, interlaced: bool
) -> None:
    """Tell an encoder size, pixel format and colour of the pictures to come.

    Args: interlaced: the encoder may mark fields, if the source has them.
    """
    native = first.native
    context.width, context.height = native.width * scale, native.height * scale
    context.pix_fmt = pixel_format
    sample = pyav.convert(native, pixel_format) if native.format.name != pixel_format else native
    context.color_range = sample.color_range
    context.colorspace = _matrix_code(first, sample, (context.width, context.height))
    context.color_primaries = sample.color_primaries
    context.color_trc = sample.color_trc
    context.sample_aspect_ratio = first.sample_aspect
    describe_fields(context, first.interlaced, inside=interlaced)


def describe_fields(context: VideoCodecContext, order: FieldOrder, *, inside: bool) -> None:
    """Tell an encoder of the fields that pictures are made of, if they are.

    Args: inside: it may mark them in its own stream too.
    """
    if order == "progressive":
        return
    context.field_order = _FIELD_ORDER[order]
    if inside:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me


def _matrix_code(first: Frame, sample: VideoFrame, size: tuple[int, int]) -> int:
    """The matrix tag; an untagged picture gets one if its new size would be read otherwise."""
    tag, matrix = int(sample.colorspace), first.layout.matrix
    if first.layout.family != "yuv" or matrix_name(tag, *size) == matrix:
        return tag
    return MATRIX_CODES[matrix]
