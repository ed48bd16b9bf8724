"""All other streams are copied, losses are named in notices, and --strict refuses them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from tests.contract.harness import FAST, enhance, packets
from tests.support.rich_clips import Extra, bitmap_subtitles, make_rich_clip, text_subtitles
from tests.support.video import COVER

STRICT = OutputSettings(preset="ultrafast", strict=True)

CONTENTS: dict[str, Mapping[str, Any]] = {
    ".mp4": {
        "audio": 3,
        "extras": [
            text_subtitles("mov_text", language="fra"),
            text_subtitles("mov_text", language="deu", disposition=Disposition.forced),
        ],
        "chapters": True,
        "cover": True,
        "metadata": {"title": "A title", "artist": "Someone", "date": "1999"},
    },
    ".mov": {
        "extras": [text_subtitles("mov_text", language="fra")],
        "chapters": True,
        "metadata": {"title": "A title", "com.apple.quicktime.make": "A camera"},
    },
    ".mkv": {
        "extras": [
            text_subtitles("subrip", language="fra", title="Full", disposition=Disposition.forced),
            text_subtitles("ass", language="deu"),
            bitmap_subtitles(
                "hdmv_pgs_subtitle", language="spa", disposition=Disposition.hearing_impaired
            ),
            bitmap_subtitles("dvd_subtitle", language="nld"),
            bitmap_subtitles("dvb_subtitle"),
        ],
        "chapters": True,
        "attachment": True,
        "cover": True,
        "metadata": {"TITLE": "A title", "X-TAKE": "7"},
    },
    ".webm": {
        "codec": "libvpx",
        "extras": [text_subtitles("webvtt", language="fra")],
        "chapters": True,
        "metadata": {"TITLE": "A title"},
    },
    ".ts": {
        "extras": [
            bitmap_subtitles("dvb_subtitle", language="fra"),
            Extra("timed_id3", [b"ID3\x04\0\0\0\0\0\0", b"ID3\x04\0\0\0\0\0\0"]),
            Extra("klv", [b"metadata of a drone"]),
        ],
    },
    ".avi": {"codec": "mpeg4", "metadata": {"title": "A title"}},
}


def described(path: Path) -> tuple[list[tuple[object, ...]], list[object], dict[str, str]]:
    """Return everything besides the packets: streams, chapters and metadata."""
    stale = ("encoder", "duration")
    with av.open(str(path)) as container:
        streams = [
            (
                s.type,
                s.name,
                int(s.disposition),
                {k: v for k, v in s.metadata.items() if k.lower() not in stale},
                s.data if s.type == "attachment" else None,
            )
            for s in container.streams
        ]
        chapters: list[object] = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]
        tags = {k: v for k, v in container.metadata.items() if k.lower() not in stale}
    return streams, chapters, tags


@pytest.mark.parametrize("suffix", CONTENTS)
def test_nothing_is_lost_within_one_container_format(tmp_path: Path, suffix: str) -> None:
    source = make_rich_clip(tmp_path / f"a{suffix}", **CONTENTS[suffix])
    target = tmp_path / f"b{suffix}"
    settings = OutputSettings(strict=True) if suffix in (".webm", ".avi") else STRICT
    assert enhance(source, target, settings, faces=()).notices == ()
    assert described(target) == described(source)
    assert packets(target) == packets(source)
    assert sum(map(len, packets(source).values())) > 40


PAIRS = [
    *((".mkv", b) for b in (".mp4", ".mov", ".webm", ".ts", ".avi")),
    *((".mp4", b) for b in (".mkv", ".mov", ".ts")),
    *((".ts", b) for b in (".mp4", ".mkv", ".avi")),
    *((".mov", ".mp4"), (".webm", ".mkv"), (".avi", ".mkv"), (".avi", ".mp4")),
]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids="".join)
def test_every_loss_is_named_in_a_notice(tmp_path: Path, source: str, target: str) -> None:
    """Lost streams are in the notice, and copied packets are unchanged."""
    path = make_rich_clip(tmp_path / f"a{source}", **CONTENTS[source])
    result = tmp_path / f"b{target}"
    notices = enhance(path, result, None, faces=()).notices
    notice = next((n for n in notices if n.startswith("left out")), "")
    before, after = described(path), described(result)
    kinds = [(kind, name) for kind, name, *_ in before[0][1:] if name != "bin_data"]
    arrived = [(kind, name) for kind, name, *_ in after[0][1:]]
    lost = [p for p in kinds if p not in arrived and not (p[1] == "mp2" and target == ".mp4")]
    converted = next((n for n in notices if n.startswith("converted to text")), "")
    lost = [p for p in lost if f"({p[1]})" not in converted]
    for _, name in lost:
        assert str(name) in notice
    assert sum(int(word) for word in notice.replace(":", "").split() if word.isdigit()) == len(lost)
    if before[1]:
        held = after[1] == before[1]
        assert held or f"{_muxer(target)} does not hold chapters" in notices
    for index, field in ((2, "dispositions"), (3, "languages")):
        is_reported = any(n.startswith(f"{_muxer(target)} does not hold {field}") for n in notices)
        pairs = zip(before[0], after[0], strict=False)
        same = all(_plain(a, index) == _plain(b, index) for a, b in pairs if a[0] == "audio")
        assert same or is_reported or not copied_like(before, after)
    payloads = {data for stream in packets(path).values() for _, data in stream}
    found = packets(result).items()
    copied = [d for key, s in found for _, d in s if not (converted and key[0] == "subtitle")]
    if (source, target) not in REFRAMED:
        assert set(copied) <= payloads
    copied_kinds = ("audio",) if converted else ("audio", "subtitle")
    assert bool(copied) == any(kind in copied_kinds for kind, _ in arrived)


def _plain(stream: tuple[object, ...], index: int) -> object:
    """Return a disposition without the default flag, or a language in its newer code."""
    value = stream[index]
    if isinstance(value, dict):
        language = value.get("language", "und")
        return "deu" if language == "ger" else language
    assert isinstance(value, int)
    return value & ~1


def copied_like(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Return whether the first streams have the same types in the same order."""
    kinds = [[s[0] for s in side[0][:3]] for side in (before, after)]
    return kinds[0] == kinds[1]


REFRAMED = {(a, ".ts") for a in CONTENTS} | {(".ts", b) for b in CONTENTS}
"""Pairs between which AAC must change its framing."""


def _muxer(suffix: str) -> str:
    return {".mkv": "matroska", ".ts": "mpegts"}.get(suffix, suffix[1:])


def test_strict_refuses_before_anything_is_written(tmp_path: Path) -> None:
    source = make_rich_clip(tmp_path / "a.mkv", **CONTENTS[".mkv"])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"b\.mp4: not written because of `strict`: .*left out"):
        enhance(source, tmp_path / "b.mp4", STRICT)
    with pytest.raises(OutputError, match="does not hold chapters"):
        enhance(source, tmp_path / "b.ts", STRICT)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("suffix", "settings", "words"),
    [
        (".mkv", {"codec": "ffv1"}, "rounded to milliseconds"),
        (".mp4", {"options": {"pix_fmt": "yuv444p"}}, "pictures are converted from yuv420p"),
        (".avi", {"codec": "mpeg4"}, "left out because avi cannot hold it: 1 subtitle stream"),
    ],
)
def test_strict_refuses_every_kind_of_loss(
    tmp_path: Path, suffix: str, settings: dict[str, Any], words: str
) -> None:
    source = make_rich_clip(tmp_path / "a.mp4", [text_subtitles("mov_text")])
    with pytest.raises(OutputError, match=words) as caught:
        enhance(source, tmp_path / f"b{suffix}", OutputSettings(strict=True, **settings))
    assert "\n" not in str(caught.value)


def test_many_lost_streams_are_named_in_one_line(tmp_path: Path) -> None:
    extras = [text_subtitles("subrip", language="fra") for _ in range(10)]
    source = make_rich_clip(tmp_path / "a.mkv", extras, audio=1)
    notices = enhance(source, tmp_path / "b.mp4", FAST, faces=()).notices
    assert notices == ("converted to text that mp4 can hold: 10 subtitle streams (srt)",)


@pytest.mark.parametrize(("source", "target"), [(".mp4", ".mkv"), (".mkv", ".mp4")], ids=str)
def test_a_cover_stays_a_cover_in_another_container(
    tmp_path: Path, source: str, target: str
) -> None:
    path = make_rich_clip(tmp_path / f"a{source}", cover=True, audio=0)
    enhance(path, tmp_path / f"b{target}", FAST, faces=())
    with av.open(str(tmp_path / f"b{target}")) as container:
        cover = container.streams[1]
        assert cover.disposition & Disposition.attached_pic
        assert bytes(next(p for p in container.demux(cover) if p.size)) == COVER


def test_mp4_holds_either_a_cover_or_unusual_tags(tmp_path: Path) -> None:
    source = make_rich_clip(tmp_path / "a.mkv", cover=True, audio=0, metadata={"X-TAKE": "7"})
    notices = enhance(source, tmp_path / "b.mp4", FAST, faces=()).notices
    assert notices == ("mp4 holds unusual tags or a cover, not both: left out X-TAKE",)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert len(container.streams) == 2
