"""Facts of a media file, for a report."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from crsr_video.io.feed import Feed
from crsr_video.io.source import codec_name, main_video, open_container
from crsr_video.report.facts import UNSPECIFIED, MediaFacts, StreamFacts


def describe(path: Path, kept: Collection[int] | None = None) -> MediaFacts:
    """What a file says of itself; no picture is decoded.

    Args:   kept: indices of the streams that are in the result, the video left out; None: all.
    Raises: InputError: it cannot be opened.
    """
    container = open_container(path)
    try:
        return _described(container, path, kept)
    finally:
        container.close()


def describe_feed(address: str, feed: Feed, seconds: float) -> MediaFacts:
    """What is known of a stream without an end; how many bytes it had is not.

    Args: seconds: that it was read, or written.
    """
    info, first = feed.info, feed.first
    native = first.native
    colour = {"primaries": UNSPECIFIED, "transfer": UNSPECIFIED}
    if native is not None:
        colour["primaries"] = _named(ColorPrimaries, native.color_primaries)
        colour["transfer"] = _named(ColorTrc, native.color_trc)
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
        streams=tuple(
            StreamFacts(
                index=stream.index,
                kind=stream.type or "unknown",
                codec=codec_name(stream) or "unknown",
                language=str(getattr(stream, "language", None) or ""),
                kept=True,
                main=False,
            )
            for stream in feed.others
        ),
    )


def _described(container: InputContainer, path: Path, kept: Collection[int] | None) -> MediaFacts:
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
            "primaries": _named(ColorPrimaries, context.color_primaries),
            "transfer": _named(ColorTrc, context.color_trc),
            "matrix": _named(Colorspace, context.colorspace),
            "range": _named(ColorRange, context.color_range),
        },
        streams=tuple(
            StreamFacts(
                index=stream.index,
                kind=stream.type or "unknown",
                codec=codec_name(stream) or "unknown",
                language=str(getattr(stream, "language", None) or ""),
                kept=kept is None or stream.index == video.index or stream.index in kept,
                main=stream.index == video.index,
            )
            for stream in container.streams
        ),
    )


def _named(kind: Any, value: int) -> str:
    """The name of a code of H.273, in which 2 means that nothing was said (of the range, 0)."""
    if value == (0 if kind is ColorRange else 2):
        return UNSPECIFIED
    try:
        return str(kind(value).name).lower().replace("_", "-")
    except ValueError:
        return str(value)


def ffmpeg() -> str:
    """Version of FFmpeg's libraries."""
    return str(av.ffmpeg_version_info)
