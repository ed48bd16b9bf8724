"""Conversion of text subtitles that a container cannot hold as they are."""

from fractions import Fraction
from typing import Any

from av.codec.context import CodecContext
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from crsr_video.io.containers import MOV
from crsr_video.io.pyav import Packet
from crsr_video.io.sources.opening import codec_name

_TEXT = frozenset(("srt", "subrip", "ssa", "ass", "webvtt", "mov_text", "text"))
"""FFmpeg's names of decoders and formats of text subtitles."""
_ENCODERS = {**dict.fromkeys(MOV, "mov_text"), "matroska": "srt", "webm": "webvtt"}
"""Encoder of text subtitles by container."""
_HELD = {
    **dict.fromkeys(MOV, ("mov_text",)),
    "matroska": ("srt", "subrip", "ssa", "ass", "webvtt"),
    "webm": ("webvtt",),
}
"""Text subtitles that containers hold as they are."""


def encoder_for(container: str, codec: str | None) -> str | None:
    """Return the encoder for text subtitles that a container cannot hold as they are, or None.

    Args:
        container: FFmpeg's name of the muxer.
        codec: FFmpeg's name of the decoder of the subtitles.
    """
    if codec not in _TEXT or codec in _HELD.get(container, ()):
        return None
    return _ENCODERS.get(container)


def is_convertible(container: str, template: Stream) -> bool:
    """Return whether a stream holds text subtitles that must and can be converted."""
    encoder = encoder_for(container, codec_name(template))
    if encoder is None:
        return False
    try:
        _configure(CodecContext.create(encoder, "w"), _decoder_of(template), Fraction(1, 1000))
    except (FFmpegError, ValueError):
        return False
    return True


def _decoder_of(template: Stream) -> SubtitleCodecContext:
    decoder = CodecContext.create(codec_name(template) or "", "r")
    assert isinstance(decoder, SubtitleCodecContext)
    extradata = template.codec_context.extradata
    if extradata:
        decoder.extradata = extradata
    decoder.open()
    return decoder


def _configure(encoder: Any, decoder: SubtitleCodecContext, tick: Fraction) -> None:
    """Open an encoder for the subtitles that a decoder returns."""
    header = decoder.subtitle_header
    if not header:  # Some ASS streams lack a header; SubRip's has the usual values.
        plain = CodecContext.create("srt", "r")
        assert isinstance(plain, SubtitleCodecContext)
        plain.open()
        header = plain.subtitle_header
    encoder.subtitle_header, encoder.time_base = header, tick
    encoder.open()


class SubtitleConverter:
    """Adds a stream of text subtitles to an output, and converts the packets of another one.

    The words and simple styles such as italics are kept; positions and fonts are not.

    Args:
        output: The container that is written.
        template: The stream that is converted, see `is_convertible`.
        encoder: FFmpeg's name of the encoder.
    """

    def __init__(self, output: OutputContainer, template: Stream, encoder: str) -> None:
        self._decoder = _decoder_of(template)
        self.stream: Stream = output.add_stream(encoder)
        self._encoder: Any = self.stream.codec_context
        self.stream.time_base = template.time_base or Fraction(1, 1000)
        _configure(self._encoder, self._decoder, self.stream.time_base)

    def convert(self, packet: Packet) -> Packet | None:
        """Return a packet with the same times, or None if it is damaged or shows nothing."""
        try:
            shown = self._decoder.decode2(packet)
            if shown is None or not len(shown):
                return None
            converted: Packet = self._encoder.encode_subtitle(shown)
        except FFmpegError:
            return None
        converted.pts, converted.dts = packet.pts, packet.dts
        converted.duration, converted.time_base = packet.duration, packet.time_base
        return converted
