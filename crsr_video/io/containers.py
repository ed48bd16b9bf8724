"""Container formats: their suffixes, and what each of them can hold."""

import io
from fractions import Fraction
from functools import lru_cache

import av
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.format import names as pixel_format_names  # type: ignore[attr-defined] # no stub
from av.video.stream import VideoStream

from crsr_video.errors import EncoderError
from crsr_video.io import encoders, pixel_formats, pyav
from crsr_video.io.sources.opening import codec_name

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
"""Containers that can be written, and the suffixes of their files, the usual one first. Ogg is
missing: PyAV's FFmpeg has no Theora encoder, and other codecs lose their timestamps in Ogg."""
BY_SUFFIX = {suffix: name for name, suffixes in SUFFIXES.items() for suffix in suffixes}

MOV = frozenset(("mp4", "mov", "3gp", "3g2"))
MATROSKA = frozenset(("matroska", "webm"))
Y4M = "yuv4mpegpipe"
PLAIN = (Y4M, "rawvideo")
"""Containers that hold only pictures at a constant frame rate: no sound and no timestamps."""
RAW = frozenset(("nut", *PLAIN))
"""Containers that carry raw pictures through a pipe unless another codec is chosen."""
CHAPTERS = MOV | MATROSKA | {"asf", "nut"}
"""Containers that hold chapters."""
LANGUAGES = MOV | MATROSKA | {"mpegts", "asf", "nut"}
TRACK_TITLES = MOV | MATROSKA | {"avi", "nut"}
_IMPAIRED = Disposition.hearing_impaired | Disposition.visual_impaired
_DESCRIBED = _IMPAIRED | Disposition.captions | Disposition.descriptions
_VERSIONS = Disposition.dub | Disposition.comment
DISPOSITIONS: dict[str, Disposition] = {
    "matroska": _DESCRIBED | _VERSIONS | Disposition.original | Disposition.forced,
    "mp4": _DESCRIBED | _VERSIONS | Disposition.forced,
    "nut": _VERSIONS | Disposition.original | Disposition.lyrics | Disposition.karaoke,
    "webm": Disposition.forced,
    "mpegts": _IMPAIRED,
}
"""Dispositions of tracks that containers hold, beside the default one. Matroska marks a track with
captions or descriptions as one for people who do not hear or see well."""
ASPECT = MOV | {"asf", "nut", "yuv4mpegpipe"}
"""Containers that hold the sample aspect ratio; PyAV cannot set it for the others."""
UNTAGGED = frozenset(("nut", *PLAIN))
"""Containers that hold no colour tags."""
Y4M_FORMATS: dict[str, str] = {
    "gray": "mono",
    "yuv411p": "411",
    "yuv420p": "420",
    "yuv422p": "422",
    "yuv444p": "444",
    "yuva444p": "444alpha",
    **{f"gray{b}le": f"mono{b}" for b in (9, 10, 12, 16)},
    **{
        f"yuv{s}p{b}le": f"{s}p{b} XYSCSS={s}P{b}"
        for s in ("420", "422", "444")
        for b in (9, 10, 12, 14, 16)
    },
}
"""Pixel formats of YUV4MPEG2 (Y4M), and their names in its header."""

_DEMUXERS = {"webm": "matroska", "3gp": "mp4", "3g2": "mp4", "vob": "mpeg"}
_MPEG_AUDIO = ("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float")
"""MPEG audio codecs, by decoder. Containers do not distinguish them, but packets do."""
_ONLY = {
    "webm": ("vp8", "vp9", "av1"),
    "mpeg": ("mpeg1video", "mpeg2video"),
    "vob": ("mpeg1video", "mpeg2video"),
    "mpegts": ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"),
    **dict.fromkeys(PLAIN, ("rawvideo",)),
}
"""Video codecs that players read, for containers into which FFmpeg also writes other codecs."""
_NEVER = {"mov": ("vp8", "vp9", "av1")}
"""Video codecs that FFmpeg refuses for a container only when it writes the header."""


def holds_video(container: str, encoder: str) -> bool:
    """Return whether a container can hold the video of an encoder."""
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


def usual_encoder(container: str) -> str | None:
    """Return the encoder that is normally used in a container."""
    preferred = ["libx264", "libvpx-vp9", "mpeg2video", "mpeg4", "libtheora", "libvpx"]
    return next((e for e in preferred if encoders.find(e) and holds_video(container, e)), None)


def raw_format(container: str, name: str) -> str:
    """Return the pixel format closest to `name` among those that a container can hold raw.

    Raises:
        EncoderError: There is no such pixel format, or no pixel format has this name.
    """
    if not pixel_formats.is_pixel_format(name) or pixel_formats.pixel_format(name) is None:
        raise EncoderError(f"there is no pixel format {name!r} that can be written raw")
    if container == Y4M:
        return encoders.nearest_of(list(Y4M_FORMATS), name)
    if container == "rawvideo" or _survives(container, name):
        return name
    tried = sorted(
        n for n in pixel_format_names if pixel_formats.pixel_format(n) and not n.startswith("yuvj")
    )
    return encoders.nearest_of([n for n in tried if _survives(container, n)], name)


@lru_cache(maxsize=512)
def _survives(container: str, name: str) -> bool:
    """Return whether a container gives back the pixel format of a raw picture written to it."""
    trial = io.BytesIO()
    try:
        with av.open(trial, "w", format=container) as output:
            stream = output.add_stream("rawvideo", 25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 32, 16, name
            picture = pyav.blank(32, 16, name)
            for plane in picture.planes:
                plane.update(bytes(plane.buffer_size))  # Uninitialized memory can look like a tag.
            picture.pts = 0
            output.mux(stream.encode(picture))
        trial.seek(0)
        with av.open(trial, "r", format=container) as again:
            found = next(again.decode(video=0)).format.name
    except (FFmpegError, ValueError, LookupError, StopIteration):
        return False
    return found == name or found == name.replace("yuvj", "yuv")


def holds_stream(container: str, stream: Stream, packet: bytes | None = None) -> bool:
    """Return whether a container can hold a copy of a stream, from which it can be read again.

    This is found out by a trial: some muxers write a stream under a name that no player reads, or
    the stream breaks the whole file.

    Args:
        container: FFmpeg's name of the muxer.
        stream: The stream.
        packet: A packet of the stream. With it, the trial file is also read again.
    """
    if container in PLAIN:
        return False
    if stream.type == "attachment":
        return container == "matroska"
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        return container in ("matroska", "mp4")  # The MOV muxer drops covers silently.
    trial = io.BytesIO()
    try:
        _write_trial(trial, container, stream, packet)
    except (FFmpegError, ValueError, LookupError, AttributeError, NotImplementedError):
        return False
    if packet is None:
        return stream.type != "data"
    found = _read_trial(trial, container)
    # One packet may not suffice to recognize audio or video, so only another codec name counts.
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
    """Return the name of the codec that is found in a trial file, if any."""
    trial.seek(0)
    try:
        with av.open(trial, format=_DEMUXERS.get(container, container)) as again:
            return getattr(again.streams[0], "name", None) if len(again.streams) else None
    except (FFmpegError, ValueError):
        return None
