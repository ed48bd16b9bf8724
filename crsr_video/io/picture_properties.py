"""Properties of a picture besides its samples: side data, rotation and interlacing."""

import math
import struct
from fractions import Fraction
from typing import Any

from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from crsr_video.types import FieldOrder

_FOUND_BY_FILTER = {"ICC_PROFILE": 15, "EXIF": 31}
"""Side data that is found without reading it, by the numbers of FFmpeg's AVFrameSideDataType."""
_KINDS: Any = SideDataType  # Typed as no enumeration.
_NAMED = {kind.value for kind in _KINDS}
_UNREADABLE_SIDE_DATA = (15, *(number for number in range(48) if number not in _NAMED))
"""Numbers of the side data that PyAV must not touch, and of those that it has no name for."""


def side_data(frame: VideoFrame) -> dict[str, bytes]:
    """Return the side data of a frame, by FFmpeg's names.

    A filter first removes what PyAV cannot read: it frees the metadata of a colour profile twice,
    which crashes the interpreter, and one kind without a name in PyAV would hide all others.
    Colour profiles and EXIF data are therefore found by a filter, and returned without content.

    The property ``frame.side_data`` is avoided: the frame keeps its value, which holds the frame,
    and such a cycle keeps the picture in memory until the garbage collector runs.
    """
    removals = (("sidedata", f"mode=delete:type={kind}") for kind in _UNREADABLE_SIDE_DATA)
    readable = _filtered(frame, *removals)
    if readable is None:
        return {}
    container: Any = SideDataContainer  # Typed without its argument.
    items = container(readable)  # Typed as a dictionary, but iterates over its values.
    found = {item.type.name: bytes(item) for item in items}
    for name, kind in _FOUND_BY_FILTER.items():
        if _filtered(frame, ("sidedata", f"mode=select:type={kind}")) is not None:
            found[name] = b""
    return found


def _filtered(frame: VideoFrame, *filters: tuple[str, str]) -> VideoFrame | None:
    """Return a frame that went through some filters, or None if they do not let it pass."""
    _graph, source, sink = filter_graph(frame, *filters)
    source.push(frame)
    try:
        result = sink.pull()
    except (BlockingIOError, EOFError, FFmpegError):
        return None
    assert isinstance(result, VideoFrame)
    return result


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
