"""Streams that are copied beside the video: audio, subtitles, data, attachments and covers."""

import io
from abc import ABC, abstractmethod
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.rational import AVRational
from av.stream import AttachmentStream, Disposition, Stream

from crsr_video.io import subtitles
from crsr_video.io.containers import MATROSKA, MOV, PLAIN, holds_stream
from crsr_video.io.losses import count_streams, left_out
from crsr_video.io.pyav import Packet, Passthrough
from crsr_video.io.source import RecordedSource
from crsr_video.io.sources.opening import codec_name
from crsr_video.io.tags import copy_stream_tags

_MOST_UNDECIDED = 64
"""Maximum number of packets that wait for a decoding time. Codecs reorder at most 16 pictures."""
_PICTURES = {"png": "png", "mjpeg": "jpeg", "bmp": "bmp", "gif": "gif", "webp": "webp"}


class StreamCopier(ABC):
    """Adds streams to an output, and copies their packets.

    Args:
        output: The container that is written.
        container: FFmpeg's name of its muxer.
    """

    def __init__(self, output: OutputContainer, container: str) -> None:
        self._output, self._container = output, container
        self._streams: dict[int, Stream] = {}
        self._templates: dict[int, Stream] = {}
        self._last: dict[int, int] = {}

    def add(self, number: int, template: Stream) -> None:
        """Add a copy of a stream. Its packets are pushed with the given number."""
        added = self._output.add_stream_from_template(template, opaque=True)
        copy_stream_tags(template, added, mov=self._container == "mov")
        self._streams[number], self._templates[number] = added, template

    def holds(self, number: int) -> bool:
        """Return whether a stream with this number was added."""
        return number in self._streams

    def push(self, number: int, packet: Packet) -> None:
        """Copy a packet. Packets without any time are left out."""
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.pts is None or packet.time_base is None or self._is_gap(number, packet):
            return
        stream = self._streams[number]
        packet.stream = stream
        if stream.time_base is not None:
            packet.rescale_ts(AVRational(stream.time_base))
        if self._is_in_order(number, packet):
            self._output.mux(packet)

    def _is_gap(self, number: int, packet: Packet) -> bool:
        """Return whether a packet only fills a gap of a text track. MP4's muxer fills gaps too."""
        is_text = codec_name(self._templates[number]) == "mov_text"
        return self._container in MOV and is_text and packet.size == 2

    @abstractmethod
    def _is_in_order(self, number: int, packet: Packet) -> bool:
        """Return whether a packet may be written. Muxers refuse decoding times that decrease."""


class RecordedStreams(StreamCopier):
    """Copies the streams of a recorded source, including attachments and covers.

    Args:
        output: The container that is written.
        container: FFmpeg's name of its muxer.
        source: The source.
        carried: Indices of the streams that are copied.
    """

    def __init__(
        self,
        output: OutputContainer,
        container: str,
        source: RecordedSource,
        carried: tuple[int, ...],
    ) -> None:
        super().__init__(output, container)
        self._source, self._carried = source, carried
        self._undecided: dict[int, list[Packet]] = {}
        self._converters: dict[int, subtitles.SubtitleConverter] = {}
        self.repaired = 0
        """Number of packets whose times ran backwards and were corrected."""
        self._played: dict[int, Fraction] = {}
        self.early_seconds = Fraction(0)
        """Largest number of seconds by which AVI, which ignores the times of sound, plays sound too
        early. This happens where sound begins late or pauses."""

    def add_from_source(self, stream: Stream) -> None:
        """Add a stream of the source if it is one of those to copy."""
        if stream.index not in self._carried:
            return
        if isinstance(stream, AttachmentStream):
            self._attach(stream, stream.data)
        elif stream.disposition & Disposition.attached_pic and self._container == "matroska":
            packet = self._source.covers.get(stream.index)
            kind = _PICTURES.get(codec_name(stream) or "", "jpeg")
            self._attach(stream, bytes(packet) if packet is not None else b"", kind)
        elif encoder := subtitles.encoder_for(self._container, codec_name(stream)):
            self._add_converted(stream, encoder)
        else:
            self.add(stream.index, self._source.described(stream))
            if self._container == "mpegts":
                self._streams[stream.index].id = stream.id

    def _add_converted(self, stream: Stream, encoder: str) -> None:
        template = self._source.described(stream)
        converter = subtitles.SubtitleConverter(self._output, template, encoder)
        copy_stream_tags(template, converter.stream, mov=self._container == "mov")
        self._streams[stream.index] = converter.stream
        self._templates[stream.index], self._converters[stream.index] = template, converter

    def _attach(self, stream: Stream, data: bytes, picture: str | None = None) -> None:
        """Write an attachment. In Matroska, a cover is recognized by its name and type."""
        tags = stream.metadata
        if not data:
            return
        usual = f"cover.{picture}" if picture else f"attachment{stream.index}"
        usual_kind = f"image/{picture}" if picture else "application/octet-stream"
        name, kind = tags.get("filename", usual), tags.get("mimetype", usual_kind)
        # FFmpeg accepts these two in UTF-8 only. The metadata then restores the original values.
        name, kind = (text.encode(errors="replace").decode() for text in (name, kind))
        added = self._output.add_attachment(name, kind, data)
        added.metadata.update(tags)

    def add_covers(self) -> None:
        """Write each cover picture as a single packet. Call this before `push`."""
        for index, packet in self._source.covers.items():
            if self.holds(index):
                packet.pts = packet.dts = 0
                self.push(index, packet)

    def push(self, number: int, packet: Packet) -> None:
        """Copy a packet. The first pictures of a stream wait until a decoding time is known.

        Matroska stores presentation times only. If pictures are reordered, FFmpeg does not know the
        decoding times of the first ones.
        """
        converter = self._converters.get(number)
        if converter is not None:
            converted = converter.convert(packet)
            if converted is None:
                return
            packet = converted
        waiting = self._undecided.get(number, [])
        is_picture = self._templates[number].type == "video" and packet.pts is not None
        if is_picture and packet.dts is None and number not in self._last:
            self._undecided[number] = [*waiting, packet]
            if len(waiting) + 1 == _MOST_UNDECIDED:
                self._push_waiting(number, None)
            return
        if is_picture and packet.dts is None:
            stream, last = self._streams[number], self._last[number]
            step = (last + 1) * (stream.time_base or packet.time_base) / packet.time_base
            packet.dts = min(packet.pts or 0, ceil(step))
        if waiting:
            self._push_waiting(number, packet.dts)
        super().push(number, packet)

    def _push_waiting(self, number: int, known: int | None) -> None:
        """Copy the packets that have waited for a decoding time.

        Args:
            number: Number of their stream.
            known: Decoding time of the packet after them, if any has one.
        """
        waiting = self._undecided.pop(number)
        for packet, decoded in zip(waiting, _decoding_times(waiting, known), strict=True):
            packet.dts = decoded
            super().push(number, packet)

    def finish(self) -> None:
        """Copy the packets that still wait for a decoding time."""
        for number in tuple(self._undecided):
            self._push_waiting(number, None)

    def _is_in_order(self, number: int, packet: Packet) -> bool:
        """Correct a packet whose time ran backwards, and return True for every packet."""
        last, dts = self._last.get(number), packet.dts
        may_repeat = self._streams[number].type == "subtitle" or self._container in MATROSKA
        earliest = None if last is None else last + (not may_repeat)
        if earliest is not None and dts is not None and dts < earliest:
            packet.dts = dts = earliest
            packet.pts = max(packet.pts if packet.pts is not None else dts, dts)
            self.repaired += 1
        if dts is not None:
            self._last[number] = dts
            if self._container == "avi" and self._streams[number].type == "audio":
                self._compare_with_playing(number, packet)
        return True

    def _compare_with_playing(self, number: int, packet: Packet) -> None:
        """Find out how far the time of a packet is from the length of the sound before it."""
        played, base = self._played.get(number, Fraction(0)), packet.time_base or Fraction(0)
        early = (packet.dts or 0) * base - played
        self.early_seconds = max(self.early_seconds, early)
        if packet.duration:
            self._played[number] = played + packet.duration * base
        else:  # Its length is unknown, so that the next packet counts as expected.
            self._played[number] = played + max(early, Fraction(0))


def _decoding_times(packets: list[Packet], known: int | None) -> list[int]:
    """Return increasing decoding times, none later than display, for a stream's first packets.

    Args:
        packets: The packets, in order of decoding.
        known: Decoding time of the packet after them, if any has one.
    """
    shown = [packet.pts or 0 for packet in packets]
    ordered = sorted(shown)
    steps = [b - a for a, b in pairwise(ordered) if b > a]
    step = max(1, min(steps, default=packets[0].duration or 1))
    if known is not None:
        return [known - (len(packets) - place) * step for place in range(len(packets))]
    delay = max(place - ordered.index(pts) for place, pts in enumerate(shown))
    early = [ordered[0] - (delay - place) * step for place in range(delay)]
    return [*early, *ordered][: len(packets)]


class LiveStreams(StreamCopier):
    """Copies the streams of a live source, which `StreamTemplates` describes.

    Args:
        output: The container that is written.
        container: FFmpeg's name of its muxer.
        keeps_times: Whether to leave out packets before time zero, which would shift all times.
    """

    def __init__(self, output: OutputContainer, container: str, *, keeps_times: bool) -> None:
        super().__init__(output, container)
        self._keeps_times = keeps_times

    def push(self, number: int, packet: Packet) -> None:
        """Copy a packet, unless it has no time, or is before time zero and times are kept."""
        moment = packet.dts if packet.dts is not None else packet.pts
        if moment is not None and moment < 0 and self._keeps_times:
            return  # These are the priming samples of an audio encoder.
        super().push(number, without_adts(packet) if self._container in _BARE_AAC else packet)

    def _is_in_order(self, number: int, packet: Packet) -> bool:
        """Return False for packets without a time, or repeated by a source after reconnection."""
        last, dts = self._last.get(number), packet.dts
        if dts is None or (last is not None and dts <= last):
            return False
        self._last[number] = dts
        return True


class StreamTemplates:
    """Descriptions of the streams that a live result copies.

    The streams of a source are closed with it, but another result may have to be started later.
    Their descriptions are therefore kept in a container that is never written.

    Args:
        streams: The streams of the source besides its video.
        container: FFmpeg's name of the result's muxer, or empty for a virtual camera.
    """

    def __init__(self, streams: tuple[Stream, ...], container: str) -> None:
        self._container = _HOLDERS.get(container, container)
        self._known = _ONLY.get(container)
        self.kept: dict[int, Stream] = {}
        """Templates of the copied streams. Their numbers stay the same when the source changes."""
        self._numbers: dict[int, int] = {}
        if container and container not in PLAIN:
            self._holder = av.open(io.BytesIO(), "w", format=self._container)
            dropped = [stream for stream in streams if not self._keep(stream)]
        else:
            dropped = list(streams)
        self.notices = left_out(dropped, container or "a virtual camera")
        """Notices about streams that are left out."""

    def number(self, item: Passthrough) -> int | None:
        """Return the number of the stream that a packet belongs to, or None if it is not copied."""
        return self._numbers.get(item.stream)

    def change_source(self, streams: tuple[Stream, ...]) -> tuple[str, ...]:
        """Find the same streams in another source, and return notices about the others."""
        free, lost = dict(self.kept), []
        self._numbers = {}
        for stream in streams:
            found = next((n for n, kept in free.items() if _key(kept) == _key(stream)), None)
            if found is None:
                lost.append(stream)
            else:
                self._numbers[stream.index] = found
                del free[found]
        if lost and self.kept:
            return (f"left out from now on, because it changed: {count_streams(lost)}",)
        return ()

    def _keep(self, stream: Stream) -> bool:
        name = codec_name(stream)
        is_known = self._known is None or name in self._known
        if not is_known or not holds_stream(self._container, stream):
            return False
        try:
            kept = self._holder.add_stream_from_template(stream, opaque=True)
        except (FFmpegError, ValueError):
            return False
        copy_stream_tags(stream, kept)
        if name == "aac" and self._container in _BARE_AAC:
            _describe_aac(kept, stream)
        number = len(self.kept)
        self.kept[number], self._numbers[stream.index] = kept, number
        return True


_HOLDERS = {"hls": "mpegts", "rtsp": "nut", "whip": "nut"}
"""Substitutes for containers that cannot be opened without writing."""
_ONLY = {
    "flv": ("aac", "mp3", "mp3float", "speex"),
    "rtsp": ("aac", "mp2", "mp3", "mp2float", "mp3float", "ac3", "opus", "pcm_alaw", "pcm_mulaw"),
    "whip": ("opus",),
}
"""Audio codecs that players of a container support. FFmpeg itself would write more."""


def _key(stream: Stream) -> tuple[Any, ...]:
    """Return a key that is equal for streams whose packets may continue each other."""
    context = stream.codec_context
    data = bytes(context.extradata or b"") if context is not None else b""
    rate = getattr(context, "sample_rate", None)
    return stream.type, codec_name(stream), rate, getattr(context, "channels", None), data


# AAC --------------------------------------------------------------------------------------------
# Source: ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig) and 1.A.2 (ADTS).

_BARE_AAC = frozenset({"mp4", "mov", "flv"})
"""Containers that describe AAC once, before the first frame, and store frames without headers."""
_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050),
    *(16_000, 12_000, 11_025, 8_000, 7_350),
)
_LOW_COMPLEXITY = 2


def _describe_aac(kept: Stream, stream: Stream) -> None:
    """Add an AAC description, which a transport stream has only in the header of each frame."""
    context = stream.codec_context
    if context is None or context.extradata:
        return
    rate, channels = getattr(context, "sample_rate", 0), getattr(context, "channels", 0)
    config = aac_config(rate, channels)
    if config is not None:
        kept.codec_context.extradata = config


def aac_config(rate: int, channels: int) -> bytes | None:
    """Return AAC's AudioSpecificConfig of two bytes, or None for other rates or channels.

    Args:
        rate: Samples per second.
        channels: Number of channels.
    """
    if rate not in _RATES or not 1 <= channels <= 6:
        return None
    bits = _LOW_COMPLEXITY << 11 | _RATES.index(rate) << 7 | channels << 3
    return bits.to_bytes(2, "big")


def without_adts(packet: Packet) -> Packet:
    """Return an AAC packet without its ADTS header, if it has one."""
    data = bytes(packet)
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return packet
    stripped: Packet = av.Packet(data[7 if data[1] & 1 else 9 :])
    stripped.pts, stripped.dts, stripped.time_base = packet.pts, packet.dts, packet.time_base
    stripped.duration = packet.duration
    return stripped
