"""Functions that copy metadata and chapters from a source to a result."""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import OutputContainer
from av.stream import Stream

from crsr_video.io.containers import PLAIN
from crsr_video.io.source import RecordedSource

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
"""Metadata that the muxer writes itself."""
_PACKED_STEREO = frozenset(
    f"{first}_{second}"
    for pair in (("left", "right"), ("top", "bottom"))
    for first, second in (pair, pair[::-1])
) | {f"{way}_interleaved_{order}" for way in ("row", "col") for order in ("lr", "rl")}
"""Stereo modes for which FFmpeg's Matroska muxer would narrow the picture."""
_STALE_VIDEO = ("bps", "number_of_bytes", "number_of_frames", "_statistics", "alpha_mode")
"""Metadata that becomes wrong when the video is encoded again."""
_CODES = (
    "deu:ger nld:dut ell:gre isl:ice zho:chi ron:rum ces:cze slk:slo fas:per sqi:alb msa:may "
    "hye:arm kat:geo eus:baq cym:wel mya:bur bod:tib mkd:mac"
)
_BIBLIOGRAPHIC = dict(pair.split(":") for pair in _CODES.split())
"""Bibliographic code (ISO 639-2/B) of each language by its terminological code (ISO 639-2/T), where
the two differ. French is missing, because QuickTime's table has its terminological code."""


_IN_RIFF = frozenset(
    (
        *("title", "artist", "album", "comment", "copyright", "date", "genre", "language"),
        *("encoded_by", "performer", "track"),
    )
)
"""Metadata that FFmpeg writes into AVI files."""


def unusual_tags(source: RecordedSource) -> tuple[str, ...]:
    """Return the names of the metadata that MP4 can store only in Apple's general table."""
    return tuple(name for name in _fresh(source.container.metadata) if name not in _ILST)


def lost_tags(source: RecordedSource, container: str) -> tuple[str, ...]:
    """Return the names of the metadata of a file that a container does not hold."""
    names = _fresh(source.container.metadata)
    if names.get("software", "").startswith("Lavf"):
        del names["software"]  # AVI files store FFmpeg's own name here.
    if container == "avi":
        return tuple(name for name in names if name.lower() not in _IN_RIFF)
    return tuple(names) if container in ("mpegts", "mpeg", "vob", *PLAIN) else ()


def copy_stream_tags(source: Stream, target: Stream, *, mov: bool = False) -> None:
    """Copy language, title, disposition and other metadata of a stream.

    Args:
        source: The stream that is read.
        target: The stream that is written.
        mov: Whether the target is in QuickTime, whose muxer knows only the bibliographic
            codes of some languages.
    """
    tags = _fresh(source.metadata, is_video=source.type == "video")
    if "name" in tags and "title" not in tags:
        tags["title"] = tags.pop("name")  # MP4 reads the title of a track under another name.
    if mov and (code := _BIBLIOGRAPHIC.get(tags.get("language", ""))):
        tags["language"] = code
    if tags.get("stereo_mode") in _PACKED_STEREO:
        del tags["stereo_mode"]
    target.metadata.update(tags)
    target.disposition = source.disposition


def copy_container_tags(source: RecordedSource, output: OutputContainer) -> None:
    """Copy the metadata and the chapters of a source."""
    output.metadata.update(_fresh(source.container.metadata))
    if source.facts.service is not None and output.format.name == "mpegts":
        provider, name = source.facts.service
        output.metadata.update({"service_provider": provider, "service_name": name})
    chapters = _chapters(source)
    if chapters:
        output.set_chapters(chapters)


def _fresh(metadata: Mapping[str, str], *, is_video: bool = False) -> dict[str, str]:
    """Return metadata without keys that the muxer writes, or that become wrong by encoding."""
    stale = _STALE + _STALE_VIDEO if is_video else _STALE
    return {k: v for k, v in metadata.items() if not k.lower().startswith(stale)}


def _chapters(source: RecordedSource) -> "list[Chapter]":
    """Return the chapters of the part that is read, with times shifted as those of its frames."""
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
