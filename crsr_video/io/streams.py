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

from crsr_video.io.containers import MATROSKA, MOV
from crsr_video.io.losses import STALE, unusual_tags
from crsr_video.io.plan import OutputPlan as OutputPlan
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.source import Source, codec_name

if TYPE_CHECKING:
    from av.container.core import Chapter

_PICTURES = {"png": "png", "mjpeg": "jpeg", "bmp": "bmp", "gif": "gif", "webp": "webp"}
_CODES = (
    "deu:ger nld:dut ell:gre isl:ice zho:chi ron:rum ces:cze slk:slo fas:per sqi:alb msa:may "
    "hye:arm kat:geo eus:baq cym:wel mya:bur bod:tib mkd:mac"
)
_BIBLIOGRAPHIC = dict(pair.split(":") for pair in _CODES.split())
"""ISO 639-2's two codes of a language, where they differ: terminology to bibliography. French is
left out, which QuickTime's table has by its newer code."""
_STALE_VIDEO = ("bps", "number_of_bytes", "number_of_frames", "_statistics")


_COVER = Disposition.attached_pic


def container_options(source: Source, container: str, clock: Fraction) -> dict[str, str]:
    """Muxer options under which presentation times come out as they went in."""
    if container in MOV:
        options = {"video_track_timescale": str(clock.denominator)}
        options["movie_timescale"] = str(_movie_timescale(source, clock.denominator))
        # The muxer writes either that table or a cover.
        if unusual_tags(source) and not (container == "mp4" and source.covers):
            options["movflags"] = "+use_metadata_tags"
        return options
    if container == "mpegts":
        return {"mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
    if container == "nut":  # It has no times below zero.
        early = source.earliest < 0
        return {"avoid_negative_ts": "make_non_negative" if early else "disabled"}
    if container in ("mpeg", "vob"):
        return {"preload": "0", "avoid_negative_ts": "disabled"}
    return {}


def pipe_options(plan: OutputPlan) -> dict[str, str]:
    """Further muxer options for standard output: every packet leaves at once, few are held."""
    options = {"flush_packets": "1"}
    if plan.is_raw_pipe:
        # Microseconds by which streams may lie apart: packets come in order, and are large.
        options["max_interleave_delta"] = "200000"
    if plan.container == "yuv4mpegpipe":
        options["strict"] = "unofficial"  # For more than eight bits.
    return options


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
            kind = _PICTURES.get(codec_name(stream) or "", "jpeg")
            self._attach(stream, bytes(packet) if packet is not None else b"", kind)
        else:
            added = self._output.add_stream_from_template(stream, opaque=True)
            if self._plan.container == "mpegts":
                added.id = stream.id
            describe(stream, added, mov=self._plan.container == "mov")
            self._streams[stream.index] = added

    def _attach(self, stream: Stream, data: bytes, picture: str | None = None) -> None:
        """Write an attachment; Matroska's covers are known by their names and types."""
        tags = stream.metadata
        if not data:
            return
        usual = f"cover.{picture}" if picture else f"attachment{stream.index}"
        usual_kind = f"image/{picture}" if picture else "application/octet-stream"
        name, kind = tags.get("filename", usual), tags.get("mimetype", usual_kind)
        # FFmpeg takes these two as UTF-8 only; what follows puts back what they were.
        name, kind = (text.encode(errors="replace").decode() for text in (name, kind))
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
        name = codec_name(self._source.container.streams[item.stream])
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


def describe(source: Stream, target: Stream, *, mov: bool = False) -> None:
    """Copy language, title, disposition and the like.

    Args: mov: into QuickTime, whose muxer knows some languages by their older codes only.
    """
    tags = _fresh(source.metadata, source.type == "video")
    if "name" in tags and "title" not in tags:
        tags["title"] = tags.pop("name")  # MP4's title of a track, read and written by two names.
    if mov and (code := _BIBLIOGRAPHIC.get(tags.get("language", ""))):
        tags["language"] = code
    target.metadata.update(tags)
    target.disposition = source.disposition


def describe_all(source: Source, output: OutputContainer) -> None:
    """Copy the container's metadata and chapters."""
    output.metadata.update(_fresh(source.container.metadata, False))
    chapters = chapters_of(source)
    if chapters:
        output.set_chapters(chapters)


def _fresh(metadata: Mapping[str, str], video: bool) -> dict[str, str]:
    """Metadata without what the muxer writes itself, and what a new encoding makes untrue."""
    stale = STALE + _STALE_VIDEO if video else STALE
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
