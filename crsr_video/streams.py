"""Everything of a source that is not its picture, and how it gets into the result.

Audio, subtitle and data streams are copied packet by packet; attachments, chapters, metadata,
languages and dispositions are written again.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import OutputContainer
from av.rational import AVRational
from av.stream import AttachmentStream, Disposition, Stream

from crsr_video.plan import MATROSKA, MOV
from crsr_video.plan import OutputPlan as OutputPlan
from crsr_video.pyav import Packet, Passthrough
from crsr_video.source import Source

if TYPE_CHECKING:
    from av.container.core import Chapter

_ILST = frozenset(
    (
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
        *("track", "disc", "copyright", "grouping", "lyrics", "description", "synopsis", "show"),
        *("episode_id", "network", "keywords", "compilation", "creation_time", "language"),
        *("hd_video", "media_type"),
    )
)
"""Metadata that MP4 has a place for; anything else needs Apple's general table."""

_STALE = ("encoder", "major_brand", "minor_version", "compatible_brands", "duration")
_STALE_VIDEO = ("bps", "number_of_bytes", "number_of_frames", "_statistics")


_COVER = Disposition.attached_pic


def container_options(source: Source, container: str, clock: Fraction) -> dict[str, str]:
    """Muxer options under which presentation times come out as they went in."""
    if container in MOV:
        options = {"video_track_timescale": str(clock.denominator)}
        options["movie_timescale"] = str(_movie_timescale(source, clock.denominator))
        if set(source.container.metadata) - _ILST - set(_STALE):
            options["movflags"] = "+use_metadata_tags"
        return options
    if container == "mpegts":
        return {"mpegts_copyts": "1"}
    if container == "nut":
        return {"avoid_negative_ts": "disabled"}
    if container in ("mpeg", "vob"):
        return {"preload": "0", "avoid_negative_ts": "disabled"}
    return {}


def _movie_timescale(source: Source, video: int) -> int:
    """Edit lists, which hold the start of every track, tick at this rate: exact for all of them.

    So do chapters, whose lengths have to fit into 32 bits.
    """
    chapters = source.container.chapters()
    lengths = [(c["end"] - c["start"]) * (c["time_base"] or 0) for c in chapters]
    longest = max(lengths, default=0)
    limit = min(100_000_000, int(2**31 / max(longest, 1)))
    bases = [s.time_base for s in source.container.streams if s.type == "audio" and s.time_base]
    common = math.lcm(video, *(base.denominator for base in bases))
    return common if common <= limit else min(video, limit)


class Carrier:
    """Adds a source's other streams to an output, and copies their packets."""

    def __init__(self, source: Source, output: OutputContainer, plan: OutputPlan) -> None:
        """Prepare; streams are added by `add`, in the source's order."""
        self._source, self._output, self._plan = source, output, plan
        self._streams: dict[int, Stream] = {}
        self._last: dict[int, int] = {}
        self.repaired = 0
        """Packets whose time ran backwards and was moved."""

    def add(self, stream: Stream) -> None:
        """Add one stream, if the plan carries it."""
        if stream.index not in self._plan.carried:
            return
        cover = bool(stream.disposition & _COVER)
        if isinstance(stream, AttachmentStream):
            self._attach(stream, stream.data)
        elif cover and self._plan.container == "matroska":
            packet = self._source.covers.get(stream.index)
            self._attach(stream, bytes(packet) if packet is not None else b"")
        else:
            added = self._output.add_stream_from_template(stream, opaque=True)
            if self._plan.container == "mpegts":
                added.id = stream.id
            describe(stream, added)
            self._streams[stream.index] = added

    def _attach(self, stream: Stream, data: bytes) -> None:
        tags = stream.metadata
        if not data:
            return
        name = tags.get("filename", f"attachment{stream.index}")
        kind = tags.get("mimetype", "application/octet-stream")
        added = self._output.add_attachment(name, kind, data)
        added.metadata.update(tags)

    def add_covers(self) -> None:
        """Write cover pictures, which come once and first."""
        for index, packet in self._source.covers.items():
            if index in self._streams:
                packet.pts = packet.dts = 0
                self._mux(index, packet)

    def push(self, item: Passthrough) -> None:
        """Copy a packet; those of streams that are left out are ignored."""
        if item.stream not in self._streams:
            return
        packet = item.packet
        if self._is_gap(item):
            return
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None:
            return
        self._mux(item.stream, packet)

    def _is_gap(self, item: Passthrough) -> bool:
        """Empty subtitles fill the gaps of MP4's text tracks; its muxer makes them itself."""
        name = self._source.container.streams[item.stream].name
        return self._plan.container in MOV and name == "mov_text" and item.packet.size == 2

    def _mux(self, index: int, packet: Packet) -> None:
        stream = self._streams[index]
        packet.stream = stream
        if stream.time_base is not None:
            packet.rescale_ts(AVRational(stream.time_base))
        self._keep_order(index, packet)
        self._output.mux(packet)

    def _keep_order(self, index: int, packet: Packet) -> None:
        """Muxers refuse a decoding time that does not grow."""
        last, dts = self._last.get(index), packet.dts
        strict = self._streams[index].type != "subtitle" and self._plan.container not in MATROSKA
        if last is not None and dts is not None and dts < last + strict:
            packet.dts = dts = last + strict
            packet.pts = max(packet.pts if packet.pts is not None else dts, dts)
            self.repaired += 1
        if dts is not None:
            self._last[index] = dts


def describe(source: Stream, target: Stream) -> None:
    """Copy language, title, disposition and the like."""
    target.metadata.update(_fresh(source.metadata, source.type == "video"))
    target.disposition = source.disposition


def describe_all(source: Source, output: OutputContainer) -> None:
    """Copy the container's metadata and chapters."""
    output.metadata.update(_fresh(source.container.metadata, False))
    chapters = chapters_of(source)
    if chapters:
        output.set_chapters(chapters)


def _fresh(metadata: Mapping[str, str], video: bool) -> dict[str, str]:
    """Metadata without what the muxer writes itself, and what a new encoding makes untrue."""
    stale = _STALE + _STALE_VIDEO if video else _STALE
    return {k: v for k, v in metadata.items() if not k.lower().startswith(stale)}


def chapters_of(source: Source) -> "list[Chapter]":
    """Chapters on the window's clock, cut to it."""
    result: list[Chapter] = []
    for chapter in source.container.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = chapter["start"] * base, chapter["end"] * base
        if source.end is not None:
            end = min(end, source.end)
        start, end = max(start - source.shift, Fraction(0)), end - source.shift
        if end > start or (source.shift == 0 and source.end is None):
            result.append({**chapter, "start": round(start / base), "end": round(end / base)})
    return result
