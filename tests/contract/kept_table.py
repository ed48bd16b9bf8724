"""Measures what each container keeps: the table in docs/what-is-kept.md.

``python -m tests.contract.kept_table`` prints it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av

from crsr_video.config import OutputSettings
from crsr_video.io import picture_properties
from crsr_video.io.containers import BY_SUFFIX, holds_stream
from tests.contract.harness import FAST, MILLI, enhance, frames_of, times
from tests.support.rich_clips import Extra, bitmap_subtitles, make_rich_clip, text_subtitles
from tests.support.video import make_video

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".ts", ".avi")
TITLES = {".mp4": "MP4", ".mov": "MOV", ".mkv": "MKV", ".webm": "WebM", ".ts": "TS", ".avi": "AVI"}
YES, NO = "yes", "no"

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


def kept_table() -> str:
    """Return the table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(Path(folder)))
    head = "| kept | " + " | ".join(TITLES[s] for s in SUFFIXES) + " |"
    rule = "|---|" + "---|" * len(SUFFIXES)
    lines = [f"| {label} | {' | '.join(cells)} |" for label, cells in rows]
    return "\n".join([head, rule, *lines])


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
                cells.append(YES if found and all(found) else NO)
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
    print(kept_table())
