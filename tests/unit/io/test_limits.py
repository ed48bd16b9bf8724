"""Files that claim too much are refused, and usual files are within the limits."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from crsr_video.errors import InputError
from crsr_video.io import limits
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.support.paths import ROOT
from tests.support.video import make_video

CLIPS = ROOT.parent / "shared" / "data" / "clips" / "open"
VIDEOS = {".mp4", ".mkv", ".webm", ".gif", ".avi", ".mpg", ".ogg", ".mov", ".ts"}
HERE = Path("a.mp4")


@pytest.mark.parametrize(
    "size", [(1, 1), (1920, 1080), (7680, 4320), (15360, 8640), (16384, 8192), (8192, 16384)]
)
def test_usual_sizes_are_allowed(size: tuple[int, int]) -> None:
    limits.check_size(HERE, *size)


@pytest.mark.parametrize("size", [(65535, 65535), (16385, 16), (16, 16385), (16384, 16384)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"^a\.mp4: frames of \d+x\d+ are too large \(.*\)$"):
        limits.check_size(HERE, *size)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("streams", "streams"),
        ("chapters", "chapters"),
        ("attached", "bytes of attachments"),
        ("tags", "characters of metadata"),
    ],
)
def test_every_count_has_a_limit(name: str, words: str) -> None:
    most = {
        "streams": range(limits.MAX_STREAMS),
        "chapters": range(limits.MAX_CHAPTERS),
        "attached": limits.MAX_ATTACHED,
        "tags": limits.MAX_TAGS,
    }
    limits.check_counts(HERE, **most)
    value = most[name]
    beyond = range(len(value) + 1) if isinstance(value, range) else value + 1
    with pytest.raises(InputError, match=rf"^a\.mp4: has too many {words} \(\d+, but \d+ at most"):
        limits.check_counts(HERE, **{**most, name: beyond})


def test_giant_frames_get_fewer_threads() -> None:
    assert limits.threads_for(8, 1920, 1080) == 8
    assert limits.threads_for(8, 3840, 2160) == 8
    assert limits.threads_for(8, 15360, 8640) == 2
    assert limits.threads_for(8, 0, 0) == 8
    assert limits.threads_for(8, 65535, 65535) == 1


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [
        *((None, 1), (Fraction(0), 1), (Fraction(-4, 3), 1), (Fraction(4, 3), Fraction(4, 3))),
        *((Fraction(1, 20), Fraction(1, 20)), (Fraction(21), 1), (Fraction(1, 65535), 1)),
    ],
)
def test_impossible_pixel_shapes_count_as_square(
    claimed: Fraction | None, believed: Fraction
) -> None:
    assert limits.aspect(claimed) == believed


CONTAINERS = {
    ".mp4": "libx264",
    ".mov": "prores_ks",
    ".mkv": "ffv1",
    ".webm": "libvpx-vp9",
    ".avi": "mpeg4",
    ".ts": "mpeg2video",
    ".mpg": "mpeg2video",
    ".flv": "flv",
    ".wmv": "wmv2",
    ".nut": "rawvideo",
    ".mxf": "mpeg2video",
    ".ogg": "libvpx",
    ".ivf": "libvpx",
    ".h264": "libx264",
    ".m4v": "mpeg4",
    ".mjpeg": "mjpeg",
    ".png": "png",
}


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_usual_container_is_read(tmp_path: Path, suffix: str) -> None:
    codec = CONTAINERS[suffix]
    formats = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p", "png": "rgb24"}
    path = make_video(
        tmp_path / f"a{suffix}",
        codec=codec,
        pix_fmt=formats.get(codec, "yuv420p"),
        frames=1 if suffix == ".png" else 12,
    )
    with Reader(path) as decoder:
        assert sum(isinstance(item, Frame) for item in decoder) >= 1


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not part of the repository")
def test_clips_of_many_kinds_are_read_without_damage() -> None:
    for path in sorted(p for p in CLIPS.rglob("*") if p.suffix in VIDEOS):
        with Reader(path) as decoder:
            frames = [item for item in islice(decoder, 200) if isinstance(item, Frame)][:10]
            assert len(frames) == 10, path
            report = decoder.report
        assert report.concealed == report.damaged == 0, path
