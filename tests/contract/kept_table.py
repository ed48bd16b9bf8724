"""Measures what containers and encoders keep: the tables in docs/what-is-kept.md.

``python -m tests.contract.kept_table`` prints them.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from crsr_video.config import OutputSettings
from crsr_video.io import picture_properties, pixel_formats
from crsr_video.io.containers import BY_SUFFIX, holds_stream
from crsr_video.io.subtitles import encoder_for
from crsr_video.types import Frame
from tests.contract.harness import FAST, MILLI, enhance, frames_of, times
from tests.support.picture_messages import CAPTIONS, HDR10_PLUS, USER_DATA, with_message
from tests.support.rich_clips import Extra, bitmap_subtitles, make_rich_clip, text_subtitles
from tests.support.video import make_video

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".ts", ".avi")
TITLES = {".mp4": "MP4", ".mov": "MOV", ".mkv": "MKV", ".webm": "WebM", ".ts": "TS", ".avi": "AVI"}
YES, NO, CONVERTED = "yes", "no", "converted"

SETTINGS = {
    ".webm": OutputSettings(codec="libvpx", options={"deadline": "realtime"}),
    ".avi": OutputSettings(codec="mpeg4"),
}

STREAMS = {
    # Row of the table: suffix of the source, and names of its streams.
    "text: SubRip, ASS": (".mkv", ("srt", "ssa")),
    "text: WebVTT": (".webm", ("webvtt",)),
    "text: MOV": (".mp4", ("mov_text",)),
    "bitmap: PGS": (".mkv", ("pgssub",)),
    "bitmap: DVD": (".mkv", ("dvdsub",)),
    "bitmap: DVB": (".mkv", ("dvbsub",)),
    "attachments (fonts)": (".mkv", ("font.ttf",)),
    "cover picture": (".mp4", ("png",)),
    "timed data (ID3, KLV)": (".ts", ("timed_id3", "klv")),
}


def table_of_containers() -> str:
    """Return what each container keeps, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        return _markdown("kept", [TITLES[s] for s in SUFFIXES], _rows(Path(folder)))


def table_of_encoders() -> str:
    """Return what each encoder keeps of the pictures, in Markdown.

    What is not kept must be named, so that --strict refuses it.
    """
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            (label, [_kept_by(encoder, label, Path(folder)) for encoder in ENCODERS.values()])
            for label in PICTURES
        ]
    return _markdown("kept of pictures", list(ENCODERS), rows)


def _markdown(corner: str, titles: list[str], rows: Iterable[tuple[str, list[str]]]) -> str:
    head = f"| {corner} | {' | '.join(titles)} |"
    rule = "|---|" + "---|" * len(titles)
    lines = [f"| {label} | {' | '.join(cells)} |" for label, cells in rows]
    return "\n".join([head, rule, *lines])


@dataclass(frozen=True)
class Encoder:
    """An encoder, and the container of its results."""

    name: str
    suffix: str
    options: dict[str, str] = field(default_factory=dict)


ENCODERS = {
    "H.264": Encoder("libx264", ".mp4"),
    "HEVC": Encoder("libx265", ".mp4"),
    "MPEG-2": Encoder("mpeg2video", ".ts"),
    "VP9": Encoder("libvpx-vp9", ".webm", {"deadline": "realtime"}),
    "AV1": Encoder("libsvtav1", ".mp4"),
    "ProRes": Encoder("prores_ks", ".mov"),
    "FFV1": Encoder("ffv1", ".mkv"),
}

QUIET = {"x265-params": "log-level=none"}
HDR10 = {
    "x265-params": "log-level=none:max-cll=1000,400:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
}


def _clip(folder: Path, **options: Any) -> Path:
    return make_video(folder / "a.mp4", frames=3, **options)


def _with_message(folder: Path, message: bytes, codec: str = "libx264") -> Path:
    options = QUIET if codec == "libx265" else {}
    return with_message(_clip(folder, codec=codec, options=options), folder / "b.mp4", message)


def _side_data(kind: str) -> Callable[[Frame], object]:
    return lambda frame: picture_properties.side_data(frame.native).get(kind)


def _colours(frame: Frame) -> object:
    native = frame.native
    return native.color_primaries, native.color_trc, native.colorspace


NOTICES = {
    "full range": "full range|converted",
    "fields": "interlaced",
    "transparency": "transparency|converted",
    "10 bits": "converted",
    "HDR10 metadata": "HDR metadata",
}
"""Parts of the notices about a loss, where they are not the name of the property."""

PICTURES: dict[str, tuple[Callable[[Path], Path], Callable[[Frame], object]]] = {
    # Makes a source; returns what must be equal in the result.
    "colour tags": (lambda f: _clip(f, colour=(9, 16, 9, 1)), _colours),
    "full range": (
        lambda f: _clip(f, colour=(1, 1, 1, 2)),
        lambda frame: frame.layout.full_range,
    ),
    "limited range beside colour tags": (
        lambda f: _clip(f, colour=(1, 1, 1, 1)),
        lambda frame: int(frame.native.color_range),
    ),
    "limited range alone": (
        lambda f: _clip(f, codec="libx265", colour=(2, 2, 2, 1), options=QUIET),
        lambda frame: int(frame.native.color_range),
    ),
    "sample aspect": (
        lambda f: _clip(f, sample_aspect=Fraction(16, 11)),
        lambda frame: frame.sample_aspect,
    ),
    "fields": (
        lambda f: _clip(f, codec="mpeg2video", options={"flags": "+ildct+ilme"}),
        lambda frame: frame.interlaced,
    ),
    "transparency": (
        lambda f: make_video(f / "a.mkv", frames=3, codec="ffv1", pix_fmt="yuva420p"),
        lambda frame: pixel_formats.pixel_format(frame.native.format.name).alpha,
    ),
    "10 bits": (
        lambda f: _clip(f, codec="libx265", pix_fmt="yuv420p10le", options=QUIET),
        lambda frame: frame.layout.bits,
    ),
    "HDR10 metadata": (
        lambda f: _clip(f, codec="libx265", pix_fmt="yuv420p10le", options=HDR10),
        _side_data("CONTENT_LIGHT_LEVEL"),
    ),
    "HDR10+ metadata": (
        lambda f: _with_message(f, HDR10_PLUS, "libx265"),
        _side_data("DYNAMIC_HDR_PLUS"),
    ),
    "closed captions": (lambda f: _with_message(f, CAPTIONS), _side_data("A53_CC")),
    "user data": (lambda f: _with_message(f, USER_DATA), _side_data("SEI_UNREGISTERED")),
}


def _kept_by(encoder: Encoder, label: str, folder: Path) -> str:
    """Return whether an encoder keeps a property, or else says that it does not."""
    make, read = PICTURES[label]
    source, target = make(folder), folder / f"out{encoder.suffix}"
    settings = OutputSettings(codec=encoder.name, options=encoder.options)
    run = enhance(source, target, settings, faces=())
    assert read(run.before[0]), f"the source has no {label}"
    target.unlink()
    if read(run.after[0]) == read(run.before[0]):
        return YES
    expected = NOTICES.get(label, re.escape(label))
    return NO if any(re.search(expected, line) for line in run.notices) else "lost silently"


def _rows(folder: Path) -> Iterator[tuple[str, list[str]]]:
    yield "presentation times", [_times(folder, s) for s in SUFFIXES]
    yield "rotation, mirroring", [_rotation(folder, s) for s in SUFFIXES]
    yield "sample aspect", [_aspect(folder, s) for s in SUFFIXES]
    sources = _sources(folder)
    tags = [_tags(folder, s, sources) for s in SUFFIXES]
    yield "audio tracks, byte for byte", [YES if t["audio"] else NO for t in tags]
    for label in ("languages", "track titles", "dispositions", "chapters", "file's title"):
        yield label, [YES if t[label] else NO for t in tags]
    for label, (suffix, names) in STREAMS.items():
        with _streams(sources[suffix]) as streams:
            cells = []
            for target in SUFFIXES:
                found = [
                    holds_stream(BY_SUFFIX[target], stream, packet)
                    for stream, packet in streams
                    if stream.name in names
                ]
                container = BY_SUFFIX[target]
                is_text = all(encoder_for(container, name) for name in names)
                cells.append(YES if found and all(found) else CONVERTED if is_text else NO)
        yield label, cells


def _sources(folder: Path) -> dict[str, Path]:
    """Make a clip with many streams in every container."""
    extras = {
        ".mkv": [
            text_subtitles("subrip"),
            text_subtitles("ass"),
            *map(bitmap_subtitles, ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle")),
        ],
        ".mp4": [text_subtitles("mov_text")],
        ".webm": [text_subtitles("webvtt")],
        ".ts": [
            Extra("timed_id3", [b"ID3\x04\0\0\0\0\0\0"]),
            Extra("klv", [b"position of a drone"]),
        ],
    }
    codecs = {".webm": "libvpx", ".avi": "mpeg4"}
    return {
        suffix: make_rich_clip(
            folder / f"a{suffix}",
            extras.get(suffix, ()),
            codec=codecs.get(suffix, "libx264"),
            chapters=suffix not in (".ts", ".avi"),
            attachment=suffix == ".mkv",
            cover=suffix == ".mp4",
            metadata={"title": "A title"},
        )
        for suffix in SUFFIXES
    }


@contextmanager
def _streams(path: Path) -> Iterator[list[tuple[av.stream.Stream, bytes | None]]]:
    with av.open(str(path)) as container:
        first: dict[int, bytes] = {}
        for packet in container.demux():
            if packet.size:
                first.setdefault(packet.stream_index, bytes(packet))
        yield [(stream, first.get(stream.index)) for stream in container.streams]


def _converted(source: Path, target: Path) -> Path:
    """Convert a clip without any faces."""
    enhance(source, target, SETTINGS.get(target.suffix, FAST), faces=())
    return target


def _times(folder: Path, suffix: str) -> str:
    """Return how exactly the times of a variable rate, in ticks of 1/90000 s, are kept."""
    jumps = [0, 3601, 3700, 9000, 20001, 90000]
    source = make_video(folder / "t.mp4", pts=jumps, time_base=Fraction(1, 90000))
    target = _converted(source, folder / f"times{suffix}")
    before, after = times(source), times(target)
    worst = max(abs(a - b) for a, b in zip(before, after, strict=True))
    if worst == 0:
        return "exact"
    return "to 1 ms" if worst <= MILLI / 2 else "one rate"


def _rotation(folder: Path, suffix: str) -> str:
    found = []
    for number, matrix in enumerate([(0, 1, -1, 0), (-1, 0, 0, 1)]):
        a, b, c, d = (v << 16 for v in matrix)
        source = make_video(
            folder / f"r{number}.mp4", frames=1, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30)
        )
        target = _converted(source, folder / f"rotated{number}{suffix}")
        attached = picture_properties.side_data(frames_of(target)[0].native)
        kept = picture_properties.display_matrix(attached)
        found.append(kept is not None and kept[:5] == (a, b, 0, c, d))
    return YES if all(found) else NO


def _aspect(folder: Path, suffix: str) -> str:
    source = make_video(folder / "s.mp4", frames=1, sample_aspect=Fraction(16, 11))
    target = _converted(source, folder / f"wide{suffix}")
    return YES if frames_of(target)[0].sample_aspect == Fraction(16, 11) else NO


def _tags(folder: Path, suffix: str, sources: dict[str, Path]) -> dict[str, bool]:
    """Return which tags of a clip are kept, whose sound the container can hold."""
    source = sources[suffix if suffix in (".webm", ".avi") else ".mp4"]
    target = _converted(source, folder / f"tagged{suffix}")
    with av.open(str(source)) as a, av.open(str(target)) as b:
        pairs = list(zip(a.streams.audio, b.streams.audio, strict=True))
        titles = [t.metadata.get("title", t.metadata.get("name")) for _, t in pairs]
        sound = [
            [bytes(p) for p in c.demux(audio=1) if p.size] for c in (a, b) if suffix != ".ts"
        ] or [[b""]] * 2
        return {
            "audio": sound[0] == sound[-1],
            "languages": [t.metadata.get("language") for _, t in pairs]
            in (["eng", "deu"], ["eng", "ger"]),  # QuickTime has the older code.
            "track titles": titles == ["Track 0", "Track 1"],
            "dispositions": [int(t.disposition) for _, t in pairs] == [1, 8],
            "chapters": len(b.chapters()) == 2,
            "file's title": {k.lower(): v for k, v in b.metadata.items()}.get("title") == "A title",
        }


if __name__ == "__main__":
    print(table_of_containers(), table_of_encoders(), sep="\n\n")
