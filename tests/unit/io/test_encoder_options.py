"""Impossible encoder options are refused with one line that names the allowed range."""

from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import CrsrError, EncoderError
from crsr_video.io import encoders
from crsr_video.io.encoder_options import check_options, encoder_options
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.video import make_video
from tests.support.writing import open_writer

WRONG = [
    # Encoders silently change the first ones. FFmpeg knows the range of the others.
    ("libx264", {"crf": 999.0}, "libx264: crf must lie between 0 and 51, but is 999"),
    ("libx264", {"crf": 51.5}, "libx264: crf must lie between 0 and 51, but is 51.5"),
    ("libx264", {"options": {"qp": "60"}}, "qp must lie between 0 and 51, but is 60"),
    ("libx264", {"options": {"crf": "52"}}, "crf must lie between 0 and 51, but is 52"),
    ("libx264", {"options": {"bf": "99"}}, "bf must lie between 0 and 16, but is 99"),
    ("libx264", {"options": {"tune": "nosuch"}}, "libx264 has no tune 'nosuch', only film"),
    ("libx264", {"options": {"profile": "nosuch"}}, "libx264 has no profile 'nosuch', only bas"),
    ("libx264", {"bitrate": 1}, "bitrate must lie between 1000 and 2147483647, but is 1"),
    ("libx264", {"bitrate": 10**10}, "bitrate must lie between 1000 and 2147483647, but is 10000"),
    ("libx265", {"crf": 99.0}, "libx265: crf must lie between 0 and 51, but is 99"),
    ("mpeg4", {"crf": 99.0}, "mpeg4: crf must lie between 1 and 31, but is 99"),
    ("mpeg2video", {"crf": 0.0}, "mpeg2video: crf must lie between 1 and 31, but is 0"),
    ("libvpx-vp9", {"crf": 64.0}, "libvpx-vp9: crf must lie between 0 and 63, but is 64"),
    ("libvpx-vp9", {"options": {"cpu-used": "99"}}, "cpu-used must lie between -"),
    ("libsvtav1", {"preset": "99"}, "preset must lie between -2 and 13, but is 99"),
    ("libsvtav1", {"preset": "slow"}, "libsvtav1: preset cannot be 'slow'"),
    ("libx264", {"options": {"threads": "abc"}}, "libx264: threads cannot be 'abc'"),
]


@pytest.mark.parametrize(("encoder", "settings", "message"), WRONG)
def test_impossible_options_are_refused_before_a_file_is_created(
    tmp_path: Path,
    encoder: str,
    settings: dict[str, object],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = make_video(tmp_path / "a.mp4", frames=2)
    asked = OutputSettings(codec=encoder, **settings)
    level = av.logging.get_level()
    with Reader(source) as decoder, pytest.raises(EncoderError) as caught:
        Writer(tmp_path / "b.mkv", decoder.source, asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert av.logging.get_level() == level
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": {"crf": "60"}}, "libx264: crf must lie between 0 and 51, but is 60"),
        ({"bitrate": 12}, "libx264: bitrate must lie between 1000 and"),
        ({"codec": "libvpx", "options": {"crf": "99"}}, "libvpx: crf must lie between 0 and 63"),
    ],
)
def test_impossible_options_of_a_live_output_are_refused(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2)
    asked = {"address": str(tmp_path / "b.mkv"), **settings}
    with LiveReader(str(path)) as source, pytest.raises(CrsrError) as caught:
        open_writer(source=source.source, **asked)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("encoder", "settings"),
    [
        ("libx264", {"crf": 51.0}),
        ("libx264", {"crf": 0.0}),
        ("libx264", {"options": {"tune": "film,fastdecode"}}),
        ("libx264", {"bitrate": 1000}),
        ("mpeg4", {"crf": 1.0}),
        ("mjpeg", {"crf": 31.0}),
    ],
)
def test_both_ends_of_a_range_are_allowed(
    tmp_path: Path, encoder: str, settings: dict[str, object]
) -> None:
    source = make_video(tmp_path / "a.mp4", frames=2)
    asked = OutputSettings(codec=encoder, **settings)
    with Reader(source) as decoder, Writer(tmp_path / "b.mkv", decoder.source, asked) as written:
        for item in decoder:
            assert isinstance(item, Frame)
            written.push(item)
    assert (tmp_path / "b.mkv").exists()


def test_deeper_samples_have_more_quantisers() -> None:
    check_options("libx264", {"qp": "63"}, 10)
    with pytest.raises(EncoderError, match="between 0 and 63, but is 64"):
        check_options("libx264", {"qp": "64"}, 10)
    check_options("libx264", {"qp": "what"}, 8)  # FFmpeg refuses it.


@pytest.mark.parametrize("name", ["libx264", "libx265", "libvpx-vp9"])
@pytest.mark.parametrize(
    ("size", "is_limited"),
    [((4096, 2160), False), ((7680, 4320), True), ((16384, 8192), True), ((8192, 1024), False)],
)
def test_encoders_hold_few_large_frames(name: str, size: tuple[int, int], is_limited: bool) -> None:
    encoder = encoders.find(name)
    assert encoder is not None
    options = encoder_options(encoder, OutputSettings(), "yuv420p", size, None, 0)
    text = str(options)
    assert ("rc-lookahead" in text or "lag-in-frames" in text) is is_limited


def test_a_lookahead_that_the_user_chose_stays() -> None:
    encoder = encoders.find("libx264")
    assert encoder is not None
    settings = OutputSettings(options={"rc-lookahead": "7"})
    options = encoder_options(encoder, settings, "yuv420p", (16384, 8192), None, 0)
    assert options["rc-lookahead"] == "7"


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gbrp"])
@pytest.mark.parametrize("size", [(34, 16), (40, 30), (48, 24)])
def test_sizes_at_which_x265_writes_past_its_buffers_are_refused(
    pix_fmt: str, size: tuple[int, int]
) -> None:
    for options in ({}, {"pix_fmt": pix_fmt}):
        with pytest.raises(EncoderError, match=f"libx265 takes no pictures of {size[0]}x{size[1]}"):
            encoders.choose("libx265", OutputSettings(options=options), pix_fmt, size, None, 0)


@pytest.mark.parametrize("size", [(32, 16), (50, 16), (40, 32), (16, 48)])
def test_sizes_beside_them_are_encoded(tmp_path: Path, size: tuple[int, int]) -> None:
    source = make_video(tmp_path / "in.mp4", size=size, frames=3)
    settings = OutputSettings(codec="libx265")
    with Reader(source) as reader, Writer(tmp_path / "out.mp4", reader.source, settings) as writer:
        for item in reader:
            if isinstance(item, Frame):
                writer.push(item)
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_x265_gets_no_transparency() -> None:
    choice = encoders.choose("libx265", OutputSettings(), "yuva420p", (64, 48), None, 0)
    assert choice.pixel_format == "yuv420p"
    assert choice.notices == ("libx265 does not hold transparency",)
