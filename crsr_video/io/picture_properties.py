"""Properties of a picture besides its samples: side data, rotation and interlacing."""

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
    """Return the side data of a frame, by FFmpeg's names.

    The property ``frame.side_data`` is avoided: the frame keeps its value, which holds the frame,
    and such a cycle keeps the picture in memory until the garbage collector runs.
    """
    container: Any = SideDataContainer  # Typed without its argument.
    try:
        items = container(frame)  # Typed as a dictionary, but iterates over its values.
        return {item.type.name: bytes(item) for item in items}
    except (ValueError, AttributeError):  # A kind that this PyAV has no name for.
        return {}


def display_matrix(attached: dict[str, bytes]) -> tuple[int, ...] | None:
    """Return the nine numbers of the display matrix in the side data of a frame, or None."""
    data = attached.get("DISPLAYMATRIX")
    return None if data is None else struct.unpack("9i", data[:36])


def mirrors(matrix: tuple[int, ...]) -> bool:
    """Return whether a display matrix shows a picture as in a mirror."""
    a, b, _, c, d = matrix[:5]
    return a * d - b * c < 0


def turn(matrix: tuple[int, ...]) -> int:
    """Return the counter-clockwise degrees, a multiple of 90, that set a picture upright.

    A player maps (x, y), with y downwards, to (a x + c y, b x + d y). Where this mirrors the
    picture too, the result is what remains once the shown picture is mirrored back sideways: faces
    are upright then.

    Args:
        matrix: a, b, u, c, d, v, x, y, w, as FFmpeg stores them.
    """
    a, b = matrix[:2]
    if mirrors(matrix):
        a = -a  # The x of the shown picture, mirrored back.
    return round(-math.degrees(math.atan2(b, a)) / 90) * 90 % 360


def field_order(picture: VideoFrame) -> FieldOrder:
    """Return which field of a picture comes first.

    PyAV only says whether a picture has fields, so a filter is asked that passes on a match.
    """
    if not picture.interlaced_frame:
        return "progressive"
    _graph, source, sink = filter_graph(picture, ("select", "expr=eq(interlace_type,TOPFIRST)"))
    source.push(picture)
    try:
        sink.pull()
    except (BlockingIOError, FFmpegError):
        return "bottom"
    return "top"


def filter_graph(picture: VideoFrame, *filters: tuple[str, str]) -> tuple[Graph, Any, Any]:
    """Return a graph of filters in a row, and its two ends, for pictures like the given one.

    Args:
        picture: A picture of the size and pixel format that go in.
        filters: Names of FFmpeg's filters, each with its arguments.
    """
    graph = Graph()
    source = last = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, 1000),
    )
    for name, arguments in (*filters, ("buffersink", "")):
        added = graph.add(name, arguments or None)
        last.link_to(added)
        last = added
    graph.configure()
    return graph, source, last
