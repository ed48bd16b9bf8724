"""Properties of media files and live streams, for a report."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from crsr_video.io.source import Source
from crsr_video.io.sources.opening import codec_name, main_video, open_container
from crsr_video.report.facts import UNSPECIFIED, MediaFacts, StreamFacts


def describe(path: Path, kept: Collection[int] | None = None) -> MediaFacts:
    """Describe a file without decoding it.

    Args:
        path: A media file.
        kept: Indices of the streams that were copied to the result. None means all.

    Raises:
        InputError: The file cannot be opened.
    """
    with open_container(path) as container:
        return _describe_container(container, path, kept)


def describe_live(address: str, source: Source, seconds: float) -> MediaFacts:
    """Describe a live stream, whose size in bytes is unknown."""
    info, first = source.info, source.first
    native = first.native
    colour = {"primaries": UNSPECIFIED, "transfer": UNSPECIFIED}
    if native is not None:
        colour["primaries"] = _name_of_code(ColorPrimaries, native.color_primaries)
        colour["transfer"] = _name_of_code(ColorTrc, native.color_trc)
    colour["matrix"] = first.layout.matrix
    colour["range"] = "full" if first.layout.full_range else "limited"
    return MediaFacts(
        path=address,
        bytes=0,
        container=info.container,
        seconds=round(seconds, 3),
        codec=info.codec,
        width=info.width,
        height=info.height,
        rate=float(info.rate) if info.rate else None,
        bit_rate=0,
        pixel_format=first.layout.name,
        colour=colour,
        streams=tuple(_stream_facts(stream, kept=True) for stream in source.others),
    )


def ffmpeg_version() -> str:
    """Return the version of FFmpeg's libraries."""
    return str(av.ffmpeg_version_info)


def _describe_container(
    container: InputContainer, path: Path, kept: Collection[int] | None
) -> MediaFacts:
    video = main_video(container, path)
    context = video.codec_context
    size = path.stat().st_size
    seconds = container.duration / 1e6 if container.duration else 0.0
    return MediaFacts(
        path=str(path),
        bytes=size,
        container=container.format.name,
        seconds=round(seconds, 3),
        codec=context.codec.canonical_name,
        width=context.width,
        height=context.height,
        rate=float(video.average_rate) if video.average_rate else None,
        bit_rate=round(8 * size / seconds) if seconds > 0 else 0,
        pixel_format=context.pix_fmt or UNSPECIFIED,
        colour={
            "primaries": _name_of_code(ColorPrimaries, context.color_primaries),
            "transfer": _name_of_code(ColorTrc, context.color_trc),
            "matrix": _name_of_code(Colorspace, context.colorspace),
            "range": _name_of_code(ColorRange, context.color_range),
        },
        streams=tuple(
            _stream_facts(
                stream,
                kept=kept is None or stream.index == video.index or stream.index in kept,
                main=stream.index == video.index,
            )
            for stream in container.streams
        ),
    )


def _stream_facts(stream: Any, *, kept: bool, main: bool = False) -> StreamFacts:
    return StreamFacts(
        index=stream.index,
        kind=stream.type or "unknown",
        codec=codec_name(stream) or "unknown",
        language=str(getattr(stream, "language", None) or ""),
        kept=kept,
        main=main,
    )


def _name_of_code(kind: Any, value: int) -> str:
    """Return the name of an H.273 code. Code 2 (0 for the range) means unspecified."""
    if value == (0 if kind is ColorRange else 2):
        return UNSPECIFIED
    try:
        return str(kind(value).name).lower().replace("_", "-")
    except ValueError:
        return str(value)
