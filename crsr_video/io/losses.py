"""What of a source a container or an encoder cannot keep, in words for the user."""

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.stream import Discard, Disposition, Stream

from crsr_video.io import pyav
from crsr_video.io.containers import (
    BARE,
    BY_SUFFIX,
    CHAPTERS,
    DISPOSITIONS,
    LANGUAGES,
    MATROSKA,
    MOV,
    TRACK_TITLES,
    holds,
)
from crsr_video.io.hdr import hdr_options
from crsr_video.io.source import Source, codec_name, first_packets

ILST = frozenset(
    (
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
        *("track", "disc", "copyright", "grouping", "lyrics", "description", "synopsis", "show"),
        *("episode_id", "network", "keywords", "compilation", "creation_time", "language"),
        *("hd_video", "media_type"),
    )
)
"""Metadata that MP4 has a place for; anything else needs Apple's general table."""
STALE = ("encoder", "major_brand", "minor_version", "compatible_brands", "duration")
"""Metadata that the muxer writes itself."""
ASPECT = MOV | {"asf"}
"""Containers that are told the shape of pixels; PyAV cannot tell the others."""
OWN_ASPECT = frozenset(
    (
        *("libx264", "libx264rgb", "libx265", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"),
        *("h264_nvenc", "hevc_nvenc"),
    )
)
"""Encoders that write it into their own stream."""
INTERLACED = frozenset(("libx264", "mpeg2video", "mpeg4", "prores_ks", "dnxhd", "ffv1", "rawvideo"))
"""Encoders that can say that a picture is made of two fields."""


UNTAGGED = frozenset(("nut", "yuv4mpegpipe", "rawvideo", "ffv1", "ffvhuff", "huffyuv", "utvideo"))
"""Containers, and encoders, that do not say what their colours mean."""
_WORDS = {"yuv4mpegpipe": "Y4M", "rawvideo": "raw video"}


def _colour(source: Source, container: str) -> str:
    """Colour tags of the source, in words; Y4M has a place for the range."""
    native = source.first.native
    found = [
        pyav.colour_name(kind, getattr(native, name))
        for kind, name in (
            ("primaries", "color_primaries"),
            ("transfer", "color_trc"),
            ("matrix", "colorspace"),
        )
    ]
    if source.first.layout.full_range and source.first.layout.family == "yuv":
        found.append("" if container == "yuv4mpegpipe" else "full range")
    return ", ".join(dict.fromkeys(filter(None, found)))


def carried(source: Source, container: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Indices of the streams that come along, and what is to be said of the others."""
    kept, dropped, packets = [], [], first_packets(source)
    for stream in source.container.streams:
        if stream.index == source.video.index or stream.discard == Discard.all:
            continue  # Chapters that MP4 keeps as a track are written again as chapters.
        if container in MOV and stream.type == "data" and "timecode" in stream.metadata:
            continue  # Likewise the time code, from the video's metadata.
        if holds(container, stream, packets.get(stream.index)):
            kept.append(stream.index)
        else:
            dropped.append(stream)
    return tuple(kept), _left_out(dropped, container)


def _left_out(dropped: Iterable[Stream], container: str) -> tuple[str, ...]:
    """One line for all streams that stay behind, those alike counted together."""
    kinds = Counter((_kind(stream), codec_name(stream) or "unknown") for stream in dropped)
    words = [f"{count} {kind}{'s' * (count > 1)} ({name})" for (kind, name), count in kinds.items()]
    return (f"left out, as {container} cannot hold it: {', '.join(words)}",) if words else ()


def _kind(stream: Stream) -> str:
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        return "cover picture"
    return stream.type if stream.type == "attachment" else f"{stream.type} stream"


def tag_notices(source: Source, container: str) -> tuple[str, ...]:
    """Chapters and tags that stay behind."""
    told = []
    if BY_SUFFIX.get(source.path.suffix.lower()) != container:  # Its like holds what it held.
        told += [f"{container} does not hold {what}" for what in _lost_tags(source, container)]
    if container not in CHAPTERS and source.container.chapters():
        told.append(f"{container} does not hold chapters")
    if container == "mp4" and source.covers and (tags := unusual_tags(source)):
        told.append(f"mp4 holds unusual tags or a cover, not both: left out {', '.join(tags)}")
    return tuple(told)


def _lost_tags(source: Source, container: str) -> Iterator[str]:
    """What is said of single tracks, and not by this container."""
    tracks = [s for s in source.container.streams if s.type in ("audio", "subtitle")]
    if container not in LANGUAGES and any((s.language or "und") != "und" for s in tracks):
        yield "languages"
    if container not in TRACK_TITLES and any(s.metadata.keys() & {"title", "name"} for s in tracks):
        yield "titles of tracks"
    usual = Disposition.default
    if container not in DISPOSITIONS and any(s.disposition & ~usual for s in tracks):
        yield "dispositions"


def unusual_tags(source: Source) -> tuple[str, ...]:
    """Names of metadata for which MP4 has no place but Apple's general table."""
    names = source.container.metadata
    return tuple(k for k in names if k not in ILST and not k.lower().startswith(STALE))


def picture_notices(source: Source, container: str, encoder: str) -> tuple[str, ...]:
    """What hangs on the picture and cannot be written down."""
    attached, told = pyav.side_data(source.first.native), []
    matrix = pyav.display_matrix(attached)
    if matrix is not None and container not in MOV | MATROSKA:
        told.append(f"{container} does not hold the rotation")
    if not hdr_options(encoder, attached)[1]:
        told.append(f"{encoder} does not hold HDR metadata")
    own = container in ASPECT or encoder in OWN_ASPECT
    if container in UNTAGGED and encoder in UNTAGGED and (tags := _colour(source, container)):
        told.append(f"{container} with {encoder} does not hold the colour tags ({tags})")
    if source.first.sample_aspect != 1 and not own:
        told.append(f"{container} with {encoder} does not get the sample aspect: square pixels")
    if source.first.interlaced != "progressive" and encoder not in INTERLACED:
        told.append(f"{encoder} has no fields: the picture stays interlaced, but is not marked so")
    return tuple(told)


def time_notice(source: Source, container: str) -> tuple[str, ...]:
    """Where times cannot stay exact."""
    base = source.info.time_base
    if container in BARE:
        rate = float(source.info.rate or 25)
        return (f"{_WORDS[container]} holds no times: frames follow each other at {rate:g} fps",)
    if container == "nut" and source.earliest < 0:
        return (f"NUT begins at zero: all times are {-float(source.earliest):.3f} s later",)
    if container in MATROSKA and (base / Fraction(1, 1000)).denominator != 1:
        return ("times are rounded to milliseconds, as Matroska keeps them",)
    if container == "avi" and base != avi_clock(source):
        return ("AVI has one frame rate only: times are rounded to it",)
    return ()


def avi_clock(source: Source) -> Fraction:
    """The tick of an AVI file, which is a frame: the source's own, if it is that long."""
    base = source.info.time_base
    return base if base >= Fraction(1, 250) else 1 / (source.info.rate or Fraction(25))
