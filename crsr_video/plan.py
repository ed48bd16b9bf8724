"""Where a result goes: container, encoder, pixel format, and what has to stay behind.

The source's own are kept wherever they can be written; what cannot be kept is said.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Discard, Disposition, Stream

from crsr_video import encoders
from crsr_video.config import EncodeSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.source import HasSource, Source

FALLBACK = "matroska"

SUFFIXES = {
    "mp4": (".mp4", ".m4v"),
    "mov": (".mov", ".qt"),
    "3gp": (".3gp",),
    "3g2": (".3g2",),
    "matroska": (".mkv", ".mk3d"),
    "webm": (".webm",),
    "avi": (".avi",),
    "mpegts": (".ts", ".m2ts", ".mts"),
    "mpeg": (".mpg", ".mpeg"),
    "vob": (".vob",),
    "flv": (".flv",),
    "asf": (".wmv", ".asf"),
    "nut": (".nut",),
}
"""Containers that are written, and the suffixes of their files, the usual one first. Not Ogg:
PyAV's FFmpeg has no Theora encoder, and what else fits keeps no presentation times."""

BY_SUFFIX = {suffix: name for name, suffixes in SUFFIXES.items() for suffix in suffixes}

_KIN = {"mov": ("mp4", "mov", "3gp", "3g2"), "matroska": ("matroska", "webm"), "gif": ("mp4",)}
_KIN |= {"mpeg": ("mpeg", "vob")}
"""Containers that a demuxer reads, where they have another name; a GIF's 256 colours would undo
the work, so it is written as MP4."""

MOV = frozenset(("mp4", "mov", "3gp", "3g2"))
MATROSKA = frozenset(("matroska", "webm"))
_COVER = Disposition.attached_pic

_ONLY = {
    "webm": ("vp8", "vp9", "av1"),
    "mpeg": ("mpeg1video", "mpeg2video"),
    "vob": ("mpeg1video", "mpeg2video"),
    "mpegts": ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"),
}
"""Video codecs of containers into which FFmpeg would also write what nothing plays."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """What will be written, and what it costs."""

    path: Path
    container: str
    """FFmpeg's name of the muxer."""
    choice: encoders.Choice
    """The encoder and its settings."""
    carried: tuple[int, ...]
    """Indices of the source's streams that come along."""
    notices: tuple[str, ...]

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return self.choice.encoder

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the pixel format that is encoded."""
        return self.choice.pixel_format


def plan_output(
    decoder: HasSource,
    output: Path | str | None = None,
    settings: EncodeSettings | None = None,
    *,
    scale: int = 1,
) -> OutputPlan:
    """Decide on container, encoder and pixel format; nothing is written.

    The source's own are kept wherever they can be written.
    Args: output: where to; None: beside the source as NAME.enhanced.EXT.
    Raises: EncoderError: the encoder does not exist, or does not fit the container or the picture.
            OutputError: the suffix belongs to no container that is written.
    """
    source, settings = decoder.source, settings or EncodeSettings()
    first = source.first
    codec = source.video.codec_context.codec.canonical_name
    encoder, notices = encoders.encoder_name(codec, settings.codec, first.layout.family == "rgb")
    container, suffix, told = _container(source, Path(output) if output else None)
    if not takes(container, encoder):
        container, suffix, encoder, more = _reconcile(
            container, suffix, encoder, output is not None, settings.codec is not None
        )
        told += more
    path = Path(output) if output else source.path.with_suffix(f".enhanced{suffix}")
    choice = encoders.choose(
        encoder,
        settings,
        "yuv420p" if _is_gif(source) else first.layout.name,
        (first.width * scale, first.height * scale),
        source.info.rate,
        source.info.bit_rate,
    )
    carried, dropped = _carried(source, container)
    told += _time_notice(source, container)
    if _is_gif(source):
        told += (f"a GIF is written as {choice.pixel_format} video, which plays everywhere",)
    return OutputPlan(
        path, container, choice, carried, (*notices, *told, *choice.notices, *dropped)
    )


def _is_gif(source: Source) -> bool:
    """A GIF is converted: its palette would undo the work, and few players take RGB video."""
    return source.info.container == "gif"


def _container(source: Source, output: Path | None) -> tuple[str, str, tuple[str, ...]]:
    """Container, suffix and notices: by the output's suffix, else as the source's."""
    if output is not None:
        suffix = output.suffix.lower()
        if suffix not in BY_SUFFIX:
            known = " ".join(BY_SUFFIX)
            raise OutputError(f"{output}: no container is written for {suffix!r}, only {known}")
        return BY_SUFFIX[suffix], suffix, ()
    demuxer, own = source.info.container.split(",")[0], source.path.suffix
    kin = _KIN.get(demuxer, (demuxer,))
    if BY_SUFFIX.get(own.lower()) in kin:
        return BY_SUFFIX[own.lower()], own, ()
    if kin[0] in SUFFIXES:
        told = ("GIF is written as MP4",) if demuxer == "gif" else ()
        return kin[0], SUFFIXES[kin[0]][0], told
    told = (f"container {demuxer} is not written, Matroska is used instead",)
    return FALLBACK, SUFFIXES[FALLBACK][0], told


def _reconcile(
    container: str, suffix: str, encoder: str, fixed_container: bool, fixed_encoder: bool
) -> tuple[str, str, str, tuple[str, ...]]:
    """Change the encoder or the container, whichever the user did not ask for."""
    if not fixed_container and takes(FALLBACK, encoder):
        told = f"{container} cannot hold {encoder}'s video, Matroska is used instead"
        return FALLBACK, SUFFIXES[FALLBACK][0], encoder, (told,)
    other = _usual_encoder(container)
    if fixed_encoder or other is None:
        raise EncoderError(f"{encoder} does not fit into a {suffix} file")
    return container, suffix, other, (f"{suffix} cannot hold the source's codec, {other} is used",)


def _usual_encoder(container: str) -> str | None:
    preferred = ["libx264", "libvpx-vp9", "mpeg2video", "mpeg4", "libtheora", "libvpx"]
    return next((e for e in preferred if encoders.find(e) and takes(container, e)), None)


def takes(container: str, encoder: str) -> bool:
    """Whether a container can hold an encoder's video."""
    codec = encoders.find(encoder)
    if codec is None or codec.canonical_name not in _ONLY.get(container, (codec.canonical_name,)):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream(encoder)
    except (FFmpegError, ValueError):
        return False
    return True


def holds(container: str, stream: Stream) -> bool:
    """Whether a container can hold a stream as it is: found out by writing a header in memory."""
    if stream.type == "attachment":
        return container == "matroska"
    if stream.type == "video" and stream.disposition & _COVER:
        return container in ("matroska", "mp4", "mov")
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (FFmpegError, ValueError, LookupError):
        return False
    return True


def _carried(source: Source, container: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    kept, dropped = [], []
    for stream in source.container.streams:
        if stream.index == source.video.index or stream.discard == Discard.all:
            continue  # Chapters that MP4 keeps as a track are written again as chapters.
        if container in MOV and stream.type == "data" and "timecode" in stream.metadata:
            continue  # Likewise the time code, from the video's metadata.
        if holds(container, stream):
            kept.append(stream.index)
        else:
            name = stream.name or "unknown"
            dropped.append(
                f"{stream.type} stream {stream.index} ({name}) does not fit into {container}"
                " and is left out"
            )
    return tuple(kept), tuple(dropped)


def _time_notice(source: Source, container: str) -> tuple[str, ...]:
    base = source.info.time_base
    if container in MATROSKA and (base / Fraction(1, 1000)).denominator != 1:
        return ("times are rounded to milliseconds, as Matroska keeps them",)
    if container == "avi" and base != avi_clock(source):
        return ("AVI has one frame rate only: times are rounded to it",)
    return ()


def avi_clock(source: Source) -> Fraction:
    """The tick of an AVI file, which is a frame: the source's own, if it is that long."""
    base = source.info.time_base
    return base if base >= Fraction(1, 250) else 1 / (source.info.rate or Fraction(25))
