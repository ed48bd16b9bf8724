"""Which container a result goes into, and what that can hold."""

import io
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Disposition, Stream

from crsr_video.errors import EncoderError, OutputError
from crsr_video.media import encoders, pyav
from crsr_video.media.source import Source, codec_name

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
CHAPTERS = MOV | MATROSKA | {"asf", "nut"}
"""Containers that have a place for chapters."""
LANGUAGES = MOV | MATROSKA | {"mpegts", "asf", "nut"}
TRACK_TITLES = MOV | MATROSKA | {"avi", "nut"}
DISPOSITIONS = frozenset(("matroska", "mp4", "nut"))
"""Containers that say of a track what language it is in, what it is called, what it is for."""
_DEMUXERS = {"webm": "matroska", "3gp": "mp4", "3g2": "mp4", "vob": "mpeg"}
_MPEG_AUDIO = ("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float")
"""Layers that containers do not tell apart; the packets do."""
_COVER = Disposition.attached_pic

_ONLY = {
    "webm": ("vp8", "vp9", "av1"),
    "mpeg": ("mpeg1video", "mpeg2video"),
    "vob": ("mpeg1video", "mpeg2video"),
    "mpegts": ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"),
}
"""Video codecs of containers into which FFmpeg would also write what nothing plays."""

_NEVER = {"mov": ("vp8", "vp9", "av1")}
"""Video codecs that FFmpeg only refuses when a header is written."""


def container_for(source: Source, output: Path | None) -> tuple[str, str, tuple[str, ...]]:
    """Container, suffix and notices: by the output's suffix, else as the source's.

    Raises: OutputError: the suffix belongs to no container that is written.
    """
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


def reconcile(
    container: str, suffix: str, encoder: str, fixed_container: bool, fixed_encoder: bool
) -> tuple[str, str, str, tuple[str, ...]]:
    """Change the encoder or the container, whichever the user did not ask for.

    Raises: EncoderError: both were asked for, or nothing fits.
    """
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
    if codec is None or codec.canonical_name in _NEVER.get(container, ()):
        return False
    if codec.canonical_name not in _ONLY.get(container, (codec.canonical_name,)):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream(encoder)
    except (FFmpegError, ValueError):
        return False
    return True


def holds(container: str, stream: Stream, packet: bytes | None = None) -> bool:
    """Whether a container can hold a stream as it is, and gives it back: found out by trying.

    Muxers write some streams under a name that nobody can read, or break the whole file by them.
    Args: packet: a packet of the stream, so that the trial can be read again.
    """
    if stream.type == "attachment":
        return container == "matroska"
    if stream.type == "video" and stream.disposition & _COVER:
        return container in ("matroska", "mp4")  # MOV's muxer drops them without a word.
    trial = io.BytesIO()
    try:
        _write_trial(trial, container, stream, packet)
    except (FFmpegError, ValueError, LookupError, AttributeError, NotImplementedError):
        return False
    if packet is None:
        return stream.type != "data"
    found = _read_trial(trial, container)
    # A single packet may be too little to tell sound by, so there only another name counts.
    if found is None:
        return stream.type in ("audio", "video")
    name = codec_name(stream)
    return found == name or (found in _MPEG_AUDIO and name in _MPEG_AUDIO)


def _write_trial(trial: io.BytesIO, container: str, stream: Stream, data: bytes | None) -> None:
    with av.open(trial, "w", format=container) as output:
        added = output.add_stream_from_template(stream, opaque=True)
        output.start_encoding()
        if data is None:
            return
        packet: pyav.Packet = av.Packet(data)
        packet.stream, packet.time_base = added, Fraction(1, 1000)
        packet.pts, packet.dts, packet.duration = 0, 0, 100
        try:
            output.mux(packet)
        except (FFmpegError, ValueError):
            if stream.type not in ("audio", "video"):
                raise


def _read_trial(trial: io.BytesIO, container: str) -> str | None:
    """Name of the codec that is found in a trial; None: nothing is."""
    trial.seek(0)
    try:
        with av.open(trial, format=_DEMUXERS.get(container, container)) as again:
            return getattr(again.streams[0], "name", None) if len(again.streams) else None
    except (FFmpegError, ValueError):
        return None
