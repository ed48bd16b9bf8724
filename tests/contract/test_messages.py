"""Closed captions and user data of pictures are kept, or named; --strict refuses losses."""

from pathlib import Path

import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io import picture_properties
from tests.contract.harness import enhance, frames_of
from tests.support.picture_messages import CAPTIONS, USER_DATA, with_message
from tests.support.video import make_video

MESSAGES = {"captions": ("A53_CC", CAPTIONS), "user data": ("SEI_UNREGISTERED", USER_DATA)}
WORDS = {"captions": "closed captions", "user data": "user data of the pictures"}
SLOW_CODECS = {"libx265": {"x265-params": "log-level=none"}}
QUICK_VP9 = OutputSettings(codec="libvpx-vp9", options={"deadline": "realtime"})


def source_with(folder: Path, name: str, codec: str, suffix: str, first: int = 0) -> Path:
    options = SLOW_CODECS.get(codec, {})
    plain = make_video(folder / f"plain{suffix}", codec=codec, options=options)
    return with_message(plain, folder / f"in{suffix}", MESSAGES[name][1], first)


def contents(path: Path, kind: str) -> list[bytes | None]:
    return [picture_properties.side_data(frame.native).get(kind) for frame in frames_of(path)]


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [
        ("captions", "libx264", ".mp4"),
        ("captions", "libx264", ".ts"),
        ("captions", "libx265", ".mkv"),
        ("captions", "libx265", ".mp4"),
        ("captions", "mpeg2video", ".mpg"),
        ("captions", "mpeg2video", ".ts"),
        ("user data", "libx264", ".mp4"),
        ("user data", "libx264", ".ts"),
        ("user data", "libx264", ".mkv"),
    ],
)
def test_messages_are_kept(tmp_path: Path, name: str, codec: str, suffix: str) -> None:
    source, target = source_with(tmp_path, name, codec, suffix), tmp_path / f"out{suffix}"
    enhance(source, target, OutputSettings(strict=True), faces=())
    kind = MESSAGES[name][0]
    before = contents(source, kind)
    assert None not in before
    assert contents(target, kind) == before


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("first", [0, 1, 11])
def test_lost_messages_are_named(tmp_path: Path, name: str, codec: str, first: int) -> None:
    source = source_with(tmp_path, name, codec, ".mp4", first)
    run = enhance(source, tmp_path / "out.mkv", QUICK_VP9, faces=())
    later = ", found midway" if first else ""
    assert f"not kept: {WORDS[name]}{later}" in run.notices
    strict = OutputSettings(codec="mpeg4", strict=True)
    with pytest.raises(OutputError, match=f"not kept: {WORDS[name]}"):
        enhance(source, tmp_path / "strict.mp4", strict, faces=())
    assert not (tmp_path / "strict.mp4").exists()


@pytest.mark.parametrize("first", [3, 11])
def test_captions_that_begin_midway_are_kept(tmp_path: Path, first: int) -> None:
    source, target = source_with(tmp_path, "captions", "libx264", ".ts", first), tmp_path / "o.ts"
    enhance(source, target, OutputSettings(strict=True), faces=())
    assert contents(target, "A53_CC") == contents(source, "A53_CC")
