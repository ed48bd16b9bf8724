"""Which container a result goes into, and what that can hold."""

import io
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.format import names as pixel_format_names  # type: ignore[attr-defined]
from av.video.stream import VideoStream

from crsr_video.config import PIPE_OUTPUTS
from crsr_video.errors import ConfigError, EncoderError, OutputError
from crsr_video.io import encoders, pipes, pyav
from crsr_video.io.source import Source, codec_name

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
_PIPE_MUXERS = {"y4m": "yuv4mpegpipe"}
RAW = frozenset(("nut", "yuv4mpegpipe", "rawvideo"))
"""Containers that carry raw pictures through a pipe, unless another codec is asked for."""
BARE = frozenset(("yuv4mpegpipe", "rawvideo"))
"""Containers that hold nothing but pictures at an even rate."""
_MPEG_AUDIO = ("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float")
"""Layers that containers do not tell apart; the packets do."""
_COVER = Disposition.attached_pic
_TRIAL = {"strict": "unofficial"}

_ONLY = {
    "webm": ("vp8", "vp9", "av1"),
    "mpeg": ("mpeg1video", "mpeg2video"),
    "vob": ("mpeg1video", "mpeg2video"),
    "mpegts": ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"),
    **dict.fromkeys(("yuv4mpegpipe", "rawvideo"), ("rawvideo",)),
}
"""Video codecs of containers into which FFmpeg would also write what nothing plays."""

_NEVER = {"mov": ("vp8", "vp9", "av1")}
"""Video codecs that FFmpeg only refuses when a header is written."""


def container_for(
    source: Source, output: Path | None, piped: str | None
) -> tuple[str, str, tuple[str, ...]]:
    """Container, suffix and notices: by the output's suffix, else as the source's.

    Args:   piped: our name of the container on standard output; None: NUT.
    Raises: OutputError: the suffix belongs to no container that is written.
            ConfigError: a container is named for a file, or no name follows from the source.
    """
    if pipes.is_standard(output):
        name = piped or PIPE_OUTPUTS[0]
        if name not in PIPE_OUTPUTS:
            known = ", ".join(PIPE_OUTPUTS)
            raise ConfigError(f"format must be one of {known}, not {name}")
        return _PIPE_MUXERS.get(name, name), name, ()
    if piped is not None:
        raise ConfigError("format is for standard output (-o -): a file's ending chooses its own")
    if output is None and source.is_pipe:
        raise ConfigError("standard input has no name to follow: say where the result goes with -o")
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
        kind = f"a {suffix} file" if suffix.startswith(".") else suffix
        raise EncoderError(f"{encoder} does not fit into {kind}")
    return container, suffix, other, (f"{suffix} cannot hold the source's codec, {other} is used",)


def raw_format(container: str, name: str) -> str:
    """The pixel format closest to one that a container holds raw, found out by trying.

    Raises: EncoderError: there is none.
    """
    if container == "rawvideo" or _survives(container, name):
        return name
    tried = sorted(
        n for n in pixel_format_names if pyav.pixel_format(n) and not n.startswith("yuvj")
    )
    return encoders.nearest_of([n for n in tried if _survives(container, n)], name)


@lru_cache(maxsize=512)
def _survives(container: str, name: str) -> bool:
    """Whether a raw picture in a container is read again as what it was, tags left aside."""
    trial = io.BytesIO()
    try:
        with av.open(trial, "w", format=container, container_options=_TRIAL) as output:
            stream = output.add_stream("rawvideo", 25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 32, 16, name
            picture = pyav.blank(32, 16, name)
            for plane in picture.planes:
                plane.update(bytes(plane.buffer_size))  # What memory holds may look like anything.
            picture.pts = 0
            output.mux(stream.encode(picture))
        trial.seek(0)
        with av.open(trial, "r", format=container) as again:
            found = next(again.decode(video=0)).format.name
    except (FFmpegError, ValueError, LookupError, StopIteration):
        return False
    return found == name or found == name.replace("yuvj", "yuv")


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
    if container in BARE:
        return False
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
