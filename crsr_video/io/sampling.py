"""Sample pictures throughout a file, because properties may change after its first frame."""

from contextlib import suppress

from av.error import FFmpegError
from av.video.frame import VideoFrame

from crsr_video.config import ReadSettings
from crsr_video.errors import CrsrError
from crsr_video.io import picture_properties
from crsr_video.io.pyav import Packet
from crsr_video.io.source import Source
from crsr_video.io.sources.connection import SourceConnection
from crsr_video.io.sources.targets import recorded_target
from crsr_video.types import FieldOrder

_PLACES = 12
"""Number of places at which a picture is examined, evenly spread over the file."""
_MOST_PACKETS = 300
"""Maximum number of video packets that are read at each place to find a keyframe."""


def field_order(source: Source) -> FieldOrder:
    """Return the field order of the first frame, or of a later one if only that has fields.

    An encoder must know about fields before its first picture. A file may be joined from
    progressive and interlaced parts, so some pictures in its middle are examined. The file is
    opened again for that, which is impossible for standard input.
    """
    if source.first.interlaced != "progressive" or source.is_pipe:
        return source.first.interlaced
    target = recorded_target(source.path, ReadSettings())
    with suppress(CrsrError, FFmpegError), SourceConnection(target) as connection:
        micro = connection.container.duration or 0
        begin = connection.container.start_time or 0
        examined: set[int] = set()
        for place in range(1, _PLACES + 1):
            with suppress(FFmpegError):
                connection.container.seek(begin + micro * place // (_PLACES + 1))
                picture = _next_picture(connection, examined)
                if picture is not None and picture.interlaced_frame:
                    return picture_properties.field_order(picture)
    return "progressive"


def _next_picture(connection: SourceConnection, examined: set[int]) -> VideoFrame | None:
    """Return the picture of the next keyframe, or None if it was examined already."""
    context, count = connection.video.codec_context, 0
    context.flush_buffers()
    for packet in connection.packets(lambda _error: None, 1):
        if packet.stream_index != connection.video.index:
            continue
        count += 1
        if count > _MOST_PACKETS:
            return None
        if packet.is_keyframe:
            if packet.pos in examined:  # In a short file, several places have the same keyframe.
                return None
            if packet.pos is not None:
                examined.add(packet.pos)
            return _decoded(connection, packet)
    return None


def _decoded(connection: SourceConnection, packet: Packet) -> VideoFrame | None:
    context = connection.video.codec_context
    pictures = context.decode(packet) or context.decode(None)
    return pictures[0] if pictures else None
