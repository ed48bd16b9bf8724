"""Notices about what a container or an encoder cannot keep of a source."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from fractions import Fraction

from av.stream import Discard, Disposition, Stream

from crsr_video.io import picture_properties, pyav, subtitles
from crsr_video.io.container_facts import SPHERE, STEREO, ContainerFacts
from crsr_video.io.containers import (
    ASPECT,
    BY_SUFFIX,
    CHAPTERS,
    DISPOSITIONS,
    LANGUAGES,
    MATROSKA,
    MOV,
    PLAIN,
    TRACK_TITLES,
    UNTAGGED,
    Y4M,
    holds_stream,
)
from crsr_video.io.encoder_options import KEEP_USER_DATA, hdr_options
from crsr_video.io.encoders import RAW
from crsr_video.io.pixel_formats import has_alpha
from crsr_video.io.source import RecordedSource, first_packets
from crsr_video.io.sources.connection import has_separate_alpha
from crsr_video.io.sources.opening import codec_name
from crsr_video.io.tags import lost_tags, unusual_tags
from crsr_video.types import FieldOrder, Frame

INTERLACED = frozenset(("libx264", "mpeg2video", "mpeg4", "prores_ks", "dnxhd", "ffv1", RAW))
"""Encoders that can mark a picture as interlaced."""
_OWN_ASPECT = frozenset(
    (
        *("libx264", "libx264rgb", "libx265", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"),
        *("h264_nvenc", "hevc_nvenc"),
    )
)
"""Encoders that write the sample aspect ratio into their own stream."""
_LOSSLESS = frozenset((RAW, "ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv", "png", "qtrle"))
_OWN_TAGS = frozenset(
    (
        *("libx264", "libx264rgb", "libx265", "mpeg2video", "libsvtav1", "libaom-av1"),
        *("prores_ks", "png", "h264_nvenc", "hevc_nvenc", "av1_nvenc"),
    )
)
"""Encoders that write the colour tags into their own stream."""
_BT601_ONLY = frozenset(("libvpx", "mjpeg"))
"""Encoders of formats whose decoders interpret all codes as BT.601."""
_OWN_RANGE = frozenset(
    (
        *("libx264", "libx264rgb", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1", "mjpeg"),
        *("h264_nvenc", "hevc_nvenc", "av1_nvenc"),
    )
)
"""Encoders that write into their own stream whether codes use the full range."""
_JPEG_COLOURS = "bt601, full range"
"""The colour tags that every decoder of JPEG assumes."""
_LIMITED_ONLY = frozenset(("mpeg1video", "mpeg2video", "libvpx"))
"""Encoders of formats whose decoders interpret all codes as limited range."""
_MPEG_ASPECTS = (Fraction(4, 3), Fraction(16, 9), Fraction(221, 100))
"""Aspect ratios of whole pictures that MPEG has a code for."""
_WORDS = {Y4M: "Y4M", "rawvideo": "raw video"}


def carried_streams(
    source: RecordedSource, container: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the indices of the streams that are copied, and notices about the others."""
    kept, dropped, packets = list[int](), list[Stream](), first_packets(source)
    unknown = list[Stream]()
    converted = list[Stream]()
    for stream in source.container.streams:
        if stream.index == source.video.index or stream.discard == Discard.all:
            continue  # MP4 stores chapters as a track; they are written again as chapters.
        if container in MOV and stream.type == "data" and "timecode" in stream.metadata:
            continue  # The time code is written again from the metadata of the video.
        described = source.described(stream)
        rate = getattr(described.codec_context, "sample_rate", 0)
        if container not in PLAIN and stream.type == "audio" and not rate:
            unknown.append(stream)
        elif holds_stream(container, described, packets.get(stream.index)):
            kept.append(stream.index)
        elif subtitles.is_convertible(container, described):
            kept.append(stream.index)
            converted.append(stream)
        else:
            dropped.append(stream)
    notices = (*_converted(converted, container), *left_out(dropped, container))
    if unknown:
        words = count_streams(unknown)
        notices += (f"left out because its description comes too late in the file: {words}",)
    return tuple(kept), notices


def _converted(streams: Iterable[Stream], container: str) -> tuple[str, ...]:
    """Return one notice about all subtitles that are converted."""
    words = count_streams(streams)
    return (f"converted to text that {container} can hold: {words}",) if words else ()


def left_out(dropped: Iterable[Stream], where: str) -> tuple[str, ...]:
    """Return one notice about all streams that are left out.

    Args:
        dropped: The streams.
        where: The container or device that cannot hold them.
    """
    words = count_streams(dropped)
    return (f"left out because {where} cannot hold it: {words}",) if words else ()


def count_streams(streams: Iterable[Stream]) -> str:
    """Return a list of streams in words, such as "2 audio streams (aac)"."""
    kinds = Counter((_kind(stream), codec_name(stream) or "unknown") for stream in streams)
    return ", ".join(
        f"{count} {kind}{'s' * (count > 1)} ({name})" for (kind, name), count in kinds.items()
    )


def _kind(stream: Stream) -> str:
    if stream.type == "video" and stream.disposition & Disposition.attached_pic:
        return "cover picture"
    return stream.type if stream.type == "attachment" else f"{stream.type} stream"


def tag_notices(source: RecordedSource, container: str) -> tuple[str, ...]:
    """Return notices about chapters and metadata that are lost."""
    notices = []
    if BY_SUFFIX.get(source.path.suffix.lower()) != container:  # Else nothing can be lost.
        notices += [f"{container} does not hold {what}" for what in _lost_tags(source, container)]
    if lost := lost_tags(source, container):
        notices.append(f"{container} does not hold metadata: left out {', '.join(lost)}")
    if container not in CHAPTERS and source.container.chapters():
        notices.append(f"{container} does not hold chapters")
    if container == "mp4" and source.covers and (tags := unusual_tags(source)):
        notices.append(f"mp4 holds unusual tags or a cover, not both: left out {', '.join(tags)}")
    return tuple(notices)


def _lost_tags(source: RecordedSource, container: str) -> Iterator[str]:
    tracks = [s for s in source.container.streams if s.type in ("audio", "subtitle")]
    if container not in LANGUAGES and any((s.language or "und") != "und" for s in tracks):
        yield "languages"
    if container not in TRACK_TITLES and any(s.metadata.keys() & {"title", "name"} for s in tracks):
        yield "titles of tracks"
    held = Disposition.default | DISPOSITIONS.get(container, Disposition(0))
    if lost := {flag.name or "" for s in tracks for flag in s.disposition & ~held}:
        yield f"dispositions ({', '.join(sorted(lost)).replace('_', ' ')})"


_SIDE_DATA: dict[str, tuple[str, tuple[str, ...]]] = {
    "A53_CC": (
        "closed captions",
        ("libx264", "libx264rgb", "libx265", "mpeg2video", "h264_nvenc", "hevc_nvenc"),
    ),
    "STEREO3D": (STEREO, ("libx264", "libx264rgb")),
    "SEI_UNREGISTERED": ("user data of the pictures", KEEP_USER_DATA),
    "DYNAMIC_HDR_PLUS": ("HDR10+ metadata", ()),
    "DYNAMIC_HDR_VIVID": ("HDR Vivid metadata", ()),
    "DOVI_METADATA": ("Dolby Vision", ()),
    "DOVI_RPU_BUFFER": ("Dolby Vision", ()),
    "FILM_GRAIN_PARAMS": ("parameters of film grain", ()),
    "AMBIENT_VIEWING_ENVIRONMENT": ("ambient viewing environment", ()),
    "AFD": ("active format description", ()),
    "PANSCAN": ("pan and scan", ()),
    "GOP_TIMECODE": ("time codes of the pictures", ()),
    "S12M_TIMECODE": ("time codes of the pictures", ()),
    "SPHERICAL": (SPHERE, ()),
    "ICC_PROFILE": ("colour profile", ()),
    "EXIF": ("EXIF data", ()),
}
"""Names of side data for messages, and the encoders that write it into their own stream."""
_STATIC_HDR = frozenset(("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))


def stereo_multiplier(source: RecordedSource) -> Fraction:
    """Return the factor by which FFmpeg widens pixels in stereoscopic pictures."""
    mode = source.video.metadata.get("stereo_mode", "")
    if mode in ("left_right", "right_left", "col_interleaved_lr", "col_interleaved_rl"):
        return Fraction(2)
    if mode in ("top_bottom", "bottom_top", "row_interleaved_lr", "row_interleaved_rl"):
        return Fraction(1, 2)
    return Fraction(1)


def unkept_properties(source: RecordedSource, container: str, encoder: str) -> tuple[str, ...]:
    """Return notices about picture properties, and about a service name, that are not kept.

    Args:
        source: The source.
        container: FFmpeg's name of the container of the result.
        encoder: FFmpeg's name of the encoder.
    """
    attached = picture_properties.side_data(source.first.native)
    found = dict.fromkeys(source.facts.losses)
    if has_separate_alpha(source.video) and not _has_alpha(source.first):
        found["transparency"] = None
    else:
        found.pop("transparency", None)
    if stereo_multiplier(source) != 1 and container in MATROSKA:
        found[STEREO] = None
    if source.video.metadata.get("stereo_mode", "mono") != "mono" and container not in MATROSKA:
        found[STEREO] = None
    if not _has_clock_time(source, attached):
        attached.pop("GOP_TIMECODE", None)
    found |= dict.fromkeys(unkept_side_data(attached, encoder))
    if keeps_mapping(source.facts, container):
        found.pop(SPHERE, None)
        found.pop(STEREO, None)
    notices = [f"not kept: {', '.join(found)}"] if found else []
    if source.facts.service is not None and any(source.facts.service) and container != "mpegts":
        notices.append(f"{container} does not hold the name of the service")
    return tuple(notices)


def keeps_mapping(facts: ContainerFacts, container: str) -> bool:
    """Return whether a result keeps the metadata for spherical or stereoscopic display."""
    return container in MOV and bool(facts.entry_boxes or facts.track_boxes)


def unkept_side_data(kinds: Iterable[str], encoder: str) -> tuple[str, ...]:
    """Return side data that an encoder does not keep, in words.

    Args:
        kinds: FFmpeg's names of the side data.
        encoder: FFmpeg's name of the encoder.
    """
    known = (_SIDE_DATA[kind] for kind in kinds if kind in _SIDE_DATA)
    return tuple(dict.fromkeys(word for word, keepers in known if encoder not in keepers))


def late_side_data(kinds: Set[str], encoder: str) -> tuple[str, ...]:
    """Return notices about side data that begins midway and is not kept.

    Args:
        kinds: FFmpeg's names of side data that the first picture does not have.
        encoder: FFmpeg's name of the encoder, which was set up for the first picture's side data.
    """
    words = unkept_side_data(kinds - {"GOP_TIMECODE"}, encoder)  # Every group of pictures has one.
    words += ("HDR metadata",) if kinds & _STATIC_HDR else ()
    words += ("user data of the pictures",) if kinds & {"SEI_UNREGISTERED"} else ()
    return tuple(f"not kept: {word}, found midway" for word in dict.fromkeys(words))


def _has_clock_time(source: RecordedSource, attached: Mapping[str, bytes]) -> bool:
    """Return whether the first MPEG time code differs from the time since the start of the file.

    From high to low, a time code has a flag, 5 bits for hours, 6 for minutes, a marker bit, 6 bits
    for seconds and 6 for frames.
    """
    code = int.from_bytes(attached.get("GOP_TIMECODE", b"")[:8], sys.byteorder)
    stated = 3600 * (code >> 19 & 31) + 60 * (code >> 13 & 63) + (code >> 6 & 63)
    first, origin = source.first, Fraction(source.container.start_time or 0, 1_000_000)
    return abs(stated - (first.pts * first.time_base + source.shift - origin)) > 1


def _has_alpha(frame: Frame) -> bool:
    return frame.native is not None and has_alpha(frame.native.format.name)


def picture_notices(first: Frame, container: str, encoder: str) -> tuple[str, ...]:
    """Return notices about lost properties of the pictures, except interlacing."""
    attached = picture_properties.side_data(first.native)
    notices = []
    is_turned = first.rotation or picture_properties.display_matrix(attached) is not None
    if is_turned and container not in MOV | MATROSKA:
        notices.append(f"{container} does not hold the rotation")
    # VP8 and VP9 encode transparency as a second video, for which only Matroska has a place.
    if _has_alpha(first) and encoder.startswith("libvpx") and container not in MATROSKA:
        notices.append(f"{container} does not hold the transparency of {encoder}")
    if not hdr_options(encoder, attached)[1]:
        notices.append(f"{encoder} does not hold HDR metadata")
    is_default = encoder == "mjpeg" and _colour_tags(first, container) == _JPEG_COLOURS
    if encoder not in _OWN_TAGS and container not in MOV | MATROSKA and not is_default:
        tags = _colour_tags(first, container)
        if tags:
            notices.append(f"{container} with {encoder} does not hold the colour tags ({tags})")
    aspect = first.sample_aspect * Fraction(first.width, first.height)
    is_rounded = encoder in ("mpeg1video", "mpeg2video") and aspect not in _MPEG_ASPECTS
    if first.sample_aspect != 1 and is_rounded:
        notices.append(f"{encoder} does not hold the sample aspect ratio: the nearest one is used")
    elif first.sample_aspect != 1 and container not in ASPECT and encoder not in _OWN_ASPECT:
        notices.append(
            f"{container} with {encoder} does not hold the sample aspect ratio: "
            "players show square pixels"
        )
    return tuple(notices)


def encoded_colours(
    first: Frame, container: str, encoder: str
) -> tuple[str, bool, tuple[str, ...]]:
    """Return the colour matrix and the range of the encoded video, and notices.

    Colours are converted where every player would misinterpret the codes of the source. Lossless
    encoders keep the codes.

    Returns:
        The name of the matrix, whether codes use the full range, and notices about conversions.
    """
    layout = first.layout
    matrix, full, notices = layout.matrix, layout.full_range, tuple[str, ...]()
    if layout.family != "yuv" or encoder in _LOSSLESS:
        return matrix, full, notices
    if encoder in _BT601_ONLY and matrix != "bt601":
        notices += (
            f"{encoder} holds BT.601 colours only: the colours are converted from {matrix}",
        )
        matrix = "bt601"
    is_tagged = container in MATROSKA or (container == "mp4" and _colour_tags(first, Y4M))
    keeps_range = encoder in _OWN_RANGE or (is_tagged and encoder not in _LIMITED_ONLY)
    if full and not keeps_range:
        notices += (f"{encoder} in {container} does not hold the full range: it is converted",)
        full = False
    return matrix, full, notices


def _colour_tags(first: Frame, container: str) -> str:
    """Return the colour tags of a frame in words. Omit the range for Y4M, which can hold it."""
    if first.native is None:
        return ""
    found = [
        pyav.colour_name(kind, getattr(first.native, name))
        for kind, name in (
            ("primaries", "color_primaries"),
            ("transfer", "color_trc"),
            ("matrix", "colorspace"),
        )
    ]
    if first.layout.full_range and first.layout.family == "yuv":
        found.append("" if container == Y4M else "full range")
    return ", ".join(dict.fromkeys(filter(None, found)))


def keeps_fields(container: str, encoder: str, *, is_converted: bool) -> bool:
    """Return whether a result can mark its pictures as interlaced.

    Encoders read the mark of each picture, and a conversion loses this mark.
    """
    if encoder == RAW and container in UNTAGGED:
        return container == Y4M
    return encoder in INTERLACED and not is_converted


def field_notices(order: FieldOrder, encoder: str, *, are_kept: bool) -> tuple[str, ...]:
    """Return a notice if interlaced pictures cannot be marked as such."""
    if order == "progressive" or are_kept:
        return ()
    return (f"{encoder} cannot mark pictures as interlaced: players may show stripes",)


def time_notices(source: RecordedSource, container: str, tick: Fraction) -> tuple[str, ...]:
    """Return notices about times that cannot stay exact.

    Args:
        source: The source.
        container: The container of the result.
        tick: Unit of the timestamps of the result, in seconds.
    """
    base = source.info.time_base
    if container in PLAIN:
        rate = float(source.info.rate or 25)
        return (
            f"{_WORDS[container]} holds no timestamps: players show all frames at {rate:g} fps",
        )
    if container == "nut" and source.earliest < 0:
        return (f"NUT begins at zero: all times are {-float(source.earliest):.3f} s later",)
    if container in MATROSKA and (base / Fraction(1, 1000)).denominator != 1:
        return ("times are rounded to milliseconds, as Matroska keeps them",)
    if container == "avi" and base != tick:
        rate = float(1 / tick)
        return (f"AVI has one frame rate only: times are rounded to {rate:.6g} per second",)
    return ()
