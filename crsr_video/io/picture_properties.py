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
"""Side data whose presence is detected without reading it. The values are the numbers of FFmpeg's
AVFrameSideDataType."""
_KINDS: Any = SideDataType  # PyAV's type hints do not declare it as an enumeration.
_NAMED = {kind.value for kind in _KINDS}
_UNREADABLE_SIDE_DATA = (15, *(number for number in range(48) if number not in _NAMED))
"""Numbers of the kinds of side data that PyAV must not touch, or has no name for."""


_ENCODER_NOTES = tuple(
    bytes.fromhex(text)
    for text in (
        "dc45e9bde6d948b7962cd820d923eeef",  # x264
        "2ca2de09b51747dbbb55a4fe7fc2fc4e",  # x265
        "47564adc5c4c433f94efc5113cd143a8",  # Apple's VideoToolbox
    )
)
"""Identifiers of the user data in which encoders describe themselves."""


class PictureFilter:
    """A chain of FFmpeg filters.

    The filter graph is kept as long as the pictures have the same size and format, because building
    it takes longer than copying a 1080p picture.

    Args:
        filters: Names of FFmpeg's filters, each with its arguments. Without any filter, the result
            is a second reference to the same samples, with the same side data.
    """

    def __init__(self, *filters: tuple[str, str]) -> None:
        self._filters = filters
        self._kind: tuple[object, ...] = ()
        self._source: Any = None
        self._sink: Any = None
        self._graph: Graph | None = None

    def __call__(self, picture: VideoFrame) -> VideoFrame | None:
        """Return the filtered picture, or None if the filters do not let it pass."""
        base = picture.time_base or Fraction(1, 1000)
        colour = int(picture.colorspace), int(picture.color_range)
        kind = picture.width, picture.height, picture.format.name, base, *colour
        if kind != self._kind:
            self._make_graph(picture, base)
            self._kind = kind
        self._source.push(picture)
        try:
            result = self._sink.pull()
        except (BlockingIOError, EOFError, FFmpegError):
            return None
        assert isinstance(result, VideoFrame)
        return result

    def _make_graph(self, picture: VideoFrame, base: Fraction) -> None:
        self._graph = Graph()
        self._source = last = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=base
        )
        for name, arguments in (*self._filters, ("buffersink", "")):
            added = self._graph.add(name, arguments or None)
            last.link_to(added)
            last = added
        self._graph.configure()
        self._sink = last


class SideDataReader:
    """Reads the side data of the pictures of one video.

    A filter first removes the side data that PyAV cannot read. PyAV frees the metadata of a colour
    profile twice, which crashes the interpreter, and a single kind that PyAV has no name for would
    hide all others. Colour profiles and EXIF data are therefore detected by a filter, and returned
    without their content.

    The property ``frame.side_data`` is avoided, because it creates a reference cycle: the frame
    keeps the returned object, which refers to the frame. The picture would then stay in memory
    until the garbage collector runs.
    """

    def __init__(self) -> None:
        self._readable = PictureFilter(
            *(("sidedata", f"mode=delete:type={kind}") for kind in _UNREADABLE_SIDE_DATA)
        )
        self._finders = {
            name: PictureFilter(("sidedata", f"mode=select:type={kind}"))
            for name, kind in _FOUND_BY_FILTER.items()
        }

    def read(self, picture: VideoFrame) -> dict[str, bytes]:
        """Return the side data of a picture that carry information, by FFmpeg's names."""
        readable = self._readable(picture)
        if readable is None:
            return {}
        container: Any = SideDataContainer  # PyAV's type hints omit the argument.
        items = container(readable)  # Unlike the dictionary of its type hint, it yields values.
        found = {
            item.type.name: bytes(item)
            for item in items
            if not _says_nothing(item.type.name, bytes(item), picture)
        }
        found.update(
            {name: b"" for name, finder in self._finders.items() if finder(picture) is not None}
        )
        return found


def _says_nothing(kind: str, data: bytes, picture: VideoFrame) -> bool:
    """Return whether side data only repeat what every decoder attaches to its pictures."""
    if kind == "SEI_UNREGISTERED":
        return data[:16] in _ENCODER_NOTES
    if kind == "PANSCAN":
        _, width, height, *places = struct.unpack("3i6h", data[:24])
        is_whole = (width, height) in ((0, 0), (16 * picture.width, 16 * picture.height))
        return is_whole and not any(places)
    return False


def side_data(picture: VideoFrame | None) -> dict[str, bytes]:
    """Return the side data of a single picture, by FFmpeg's names. None has no side data."""
    return {} if picture is None else SideDataReader().read(picture)


def display_matrix(attached: dict[str, bytes]) -> tuple[int, ...] | None:
    """Return the nine numbers of the display matrix in the side data of a frame, or None."""
    data = attached.get("DISPLAYMATRIX")
    return None if data is None else struct.unpack("9i", data[:36])


def mirrors(matrix: tuple[int, ...]) -> bool:
    """Return whether a display matrix mirrors the picture."""
    a, b, _, c, d = matrix[:5]
    return a * d - b * c < 0


def turn(matrix: tuple[int, ...]) -> int:
    """Return the counter-clockwise rotation in degrees, a multiple of 90, that a player applies.

    A player maps (x, y), with y downwards, to (a x + c y, b x + d y). If the matrix also mirrors
    the picture, the result is the rotation that remains after the shown picture is mirrored back
    horizontally. Faces are upright after that rotation.

    Args:
        matrix: The numbers a, b, u, c, d, v, x, y, w, in FFmpeg's order.
    """
    a, b = matrix[:2]
    if mirrors(matrix):
        a = -a  # This mirrors the x coordinate of the shown picture back.
    return round(-math.degrees(math.atan2(b, a)) / 90) * 90 % 360


def field_order(picture: VideoFrame) -> FieldOrder:
    """Return which field of a picture comes first.

    PyAV only reports whether a picture has fields. The order comes from a filter that passes only
    pictures whose top field is first.
    """
    if not picture.interlaced_frame:
        return "progressive"
    is_top_first = PictureFilter(("select", "expr=eq(interlace_type,TOPFIRST)"))(picture)
    return "bottom" if is_top_first is None else "top"
