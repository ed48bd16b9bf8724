"""What hangs on a picture besides its samples: side data, its way up, its fields."""

import math
import struct
from fractions import Fraction
from typing import Any

from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame

from crsr_video.types import FieldOrder


def side_data(frame: VideoFrame) -> dict[str, bytes]:
    """What hangs on a frame, by FFmpeg's name.

    A frame that is asked for its ``side_data`` keeps the answer, which holds the frame: a cycle on
    which the picture stays until the garbage collector comes round. So the frame is not asked.
    """
    container: Any = SideDataContainer  # Typed without its argument.
    try:
        items = container(frame)  # Typed as a dictionary, but iterates over its values.
        return {item.type.name: bytes(item) for item in items}
    except (ValueError, AttributeError):  # A kind that this PyAV has no name for.
        return {}


def display_matrix(attached: dict[str, bytes]) -> tuple[int, ...] | None:
    """The nine numbers of a display matrix, from the side data of a frame."""
    data = attached.get("DISPLAYMATRIX")
    return None if data is None else struct.unpack("9i", data[:36])


def mirrors(matrix: tuple[int, ...]) -> bool:
    """Whether a display matrix shows a picture as in a mirror."""
    a, b, _, c, d = matrix[:5]
    return a * d - b * c < 0


def turn(matrix: tuple[int, ...]) -> int:
    """Counter-clockwise degrees, a multiple of 90, that set a picture upright.

    A player maps (x, y), y downwards, to (a x + c y, b x + d y). Where that mirrors the picture
    too, this is what is left if the result is mirrored back sideways: faces are then upright.
    Args: matrix: a, b, u, c, d, v, x, y, w, as FFmpeg lays it out.
    """
    a, b = matrix[:2]
    if mirrors(matrix):
        a = -a  # The result's x, mirrored back.
    return round(-math.degrees(math.atan2(b, a)) / 90) * 90 % 360


def field_order(picture: VideoFrame) -> FieldOrder:
    """Which field of a picture comes first; PyAV only tells whether it has any.

    A filter that lets through what matches is asked.
    """
    if not picture.interlaced_frame:
        return "progressive"
    return "top" if _passes(picture, "eq(interlace_type,TOPFIRST)") else "bottom"


def _passes(picture: VideoFrame, condition: str) -> bool:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, 1000),
    )
    select, sink = graph.add("select", expr=condition), graph.add("buffersink")
    source.link_to(select)
    select.link_to(sink)
    graph.configure()
    source.push(picture)
    try:
        sink.pull()
    except (BlockingIOError, FFmpegError):
        return False
    return True
