"""The writer of recorded results: frames, timestamps, and the choice of encoder."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import pixel_formats, pyav
from crsr_video.io.encoders import available_encoders
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.recorded import FAST, MILLI, copied, frames_of, times, transcode
from tests.support.video import make_video, picture


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(
    "pts", [range(0, 400, 40), [0, 17, 18, 90, 200, 201, 900], [1234, 1300, 1340, 1500, 1501]]
)
def test_times_survive_exactly(
    tmp_path: Path, suffix: str, b_frames: int, pts: list[int] | range
) -> None:
    """Constant and variable rates, offsets, reordering, and audio that starts at another time."""
    unit = 1 if suffix == ".mkv" else 90
    source = make_video(
        tmp_path / f"a{suffix}",
        pts=[p * unit + (0 if unit == 1 else p % 7) for p in pts],
        time_base=MILLI / unit,
        b_frames=2,
        audio=1,
        audio_start=4800,
        container_options={"movie_timescale": "90000"} if suffix in (".mp4", ".mov") else {},
    )
    target = tmp_path / f"b{suffix}"
    settings = OutputSettings(preset="veryfast", options={"bf": str(b_frames)})
    assert transcode(source, target, settings) == ()
    assert times(target) == times(source)
    assert copied(target) == copied(source)


@pytest.mark.parametrize(
    ("suffix", "codec", "base"),
    [
        (".avi", "mpeg4", None),
        (".avi", "mpeg4", Fraction(1001, 30000)),
        (".webm", "libvpx", MILLI),
        (".mpg", "mpeg1video", None),
        (".mp4", "mpeg4", None),
        (".mkv", "mjpeg", MILLI),
    ],
)
def test_frames_and_times_survive_in_other_containers(
    tmp_path: Path, suffix: str, codec: str, base: Fraction | None
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}",
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        time_base=base,
        rate=1 / base if base and suffix == ".avi" else 25,
        audio=1,
        frames=20,
    )
    target = tmp_path / f"b{suffix}"
    assert transcode(source, target, None) == ()
    assert times(target) == times(source)
    assert [[p for _, p in s] for s in copied(target)] == [
        [p for _, p in s] for s in copied(source)
    ]
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert np.abs(a.components[0].astype(int) - b.components[0]).mean() < 3


def test_the_last_frame_keeps_its_duration(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", pts=[0, 100, 1000], time_base=MILLI, rate=10)
    transcode(source, tmp_path / "b.mp4")
    with av.open(str(source)) as a, av.open(str(tmp_path / "b.mp4")) as b:
        assert a.streams.video[0].duration == b.streams.video[0].duration


LOSSLESS = {
    "yuv420p": ("libx264", {"qp": "0"}),
    "yuvj420p": ("libx264", {"qp": "0"}),
    "yuv422p": ("libx264", {"qp": "0"}),
    "yuv444p": ("libx264", {"qp": "0"}),
    "nv12": ("libx264", {"qp": "0"}),
    "yuv420p10le": ("ffv1", {}),
    "gray": ("ffv1", {}),
    "gbrp": ("libx265", {"x265-params": "lossless=1"}),
    "rgb24": ("libx264rgb", {"qp": "0"}),
    "yuva444p10le": ("ffv1", {}),
}


@pytest.mark.parametrize("size", [(64, 48), (66, 18), (17, 33), (1, 1)])
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_encoding_is_bit_identical(
    tmp_path: Path, name: str, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    encoder, options = LOSSLESS[name]
    fmt = pixel_formats.pixel_format(name)
    assert fmt is not None
    raw = "rawvideo" if name != "yuva444p10le" else "ffv1"
    source = make_video(tmp_path / "a.nut", codec=raw, pix_fmt=name, size=size, frames=3)
    if encoder == "libx265" and min(size) < 16:
        with pytest.raises(EncoderError, match="libx265"):
            transcode(source, tmp_path / "b.nut", OutputSettings(codec=encoder))
        return
    settings = OutputSettings(codec=encoder, options=options)
    if encoder == "libx264" and any(s % 2 for s in size):
        settings = replace(settings, codec="ffv1", options={})
        if name == "nv12":
            settings = replace(settings, options={"pix_fmt": "yuv420p"})
    target = tmp_path / "b.nut"
    transcode(source, target, settings)
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert (a.width, a.height) == (b.width, b.height)
        assert all(map(np.array_equal, a.components, b.components))
        if fmt.alpha:
            pair = (pyav.views(f.native, alpha=True)[-1] for f in (a, b))
            assert np.array_equal(*pair)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(17, 33), (1, 1), (3, 2)])
def test_odd_sizes_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """x264 refuses them with subsampled chroma, so chroma is enlarged, with a notice."""
    source = make_video(tmp_path / "a.mkv", codec="ffv1", size=size, frames=3)
    notices = transcode(source, tmp_path / "b.mkv", replace(FAST, codec="libx264"))
    assert notices == ("pictures are converted from yuv420p to yuv444p for libx264",)
    frame = frames_of(tmp_path / "b.mkv")[0]
    assert (frame.width, frame.height, frame.layout.name) == (*size, "yuv444p")
    before = frames_of(source)[0].components[0].astype(int)
    assert np.abs(frame.components[0] - before).mean() < 4


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuva420p", "rgb24", "gray10le"])
def test_edited_samples_are_written_and_all_others_stay(tmp_path: Path, name: str) -> None:
    codec = "ffv1" if name in ("yuva420p", "gray10le") else "rawvideo"
    source, target = tmp_path / "a.nut", tmp_path / "b.nut"
    make_video(source, codec=codec, pix_fmt=name, frames=3)
    with Reader(source) as decoder, Writer(target, decoder.source) as encoder:
        frames = [item for item in decoder if isinstance(item, Frame)]
        for frame in frames:
            planes = tuple(np.array(c) for c in frame.components)
            planes[0][10:20, 5:9] = 77
            encoder.push(frame.with_components(planes))
    for number, (a, b) in enumerate(zip(frames, frames_of(target), strict=True)):
        changed = np.argwhere(a.components[0] != b.components[0])
        assert len(changed) == 0 or (changed.min(0) >= (10, 5)).all()
        assert (b.components[0][10:20, 5:9] == 77).all()
        assert all(map(np.array_equal, a.components[1:], b.components[1:]))
        assert np.array_equal(a.components[0], pyav.views(picture(number, (64, 48), name))[0])
        if name == "yuva420p":
            pair = (pyav.views(f.native, alpha=True)[-1] for f in (a, b))
            assert np.array_equal(*pair)


@pytest.mark.parametrize("scale", [2, 4])
def test_enlarged_frames_keep_rotation_aspect_and_times(tmp_path: Path, scale: int) -> None:
    source = make_video(
        tmp_path / "a.mp4", frames=4, rotation=90, sample_aspect=Fraction(4, 3), audio=1
    )
    target = tmp_path / "b.mp4"
    with Reader(source) as decoder, Writer(target, decoder.source, FAST, scale=scale) as encoder:
        for item in decoder:
            if isinstance(item, Frame):
                large = tuple(np.kron(c, np.ones((scale, scale), c.dtype)) for c in item.components)
                encoder.push(replace(item.with_components(large), native=item.native))
            else:
                encoder.push_packet(item)
    frame = frames_of(target)[0]
    assert (frame.width, frame.height) == (64 * scale, 48 * scale)
    assert (frame.rotation, frame.sample_aspect) == (90, Fraction(4, 3))
    assert times(target) == times(source)
    assert copied(target) == copied(source)


def test_frames_made_from_arrays_are_written(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mkv", codec="ffv1", frames=2), tmp_path / "b.mkv"
    with Reader(source) as decoder, Writer(target, decoder.source) as encoder:
        for item in decoder:
            if isinstance(item, Frame):
                planes = tuple(np.array(c) for c in item.components)
                encoder.push(Frame(planes, item.layout, item.pts, item.time_base))
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert all(map(np.array_equal, a.components, b.components))


def test_the_plan_follows_the_source(tmp_path: Path) -> None:
    def plan(path: Path, **settings: str) -> tuple[str, str, str, str]:
        with Reader(path) as decoder:
            made = plan_output(decoder.source, None, OutputSettings(**settings))
        return made.path.name, made.container, made.encoder, made.pixel_format

    mp4 = make_video(tmp_path / "a.mp4")
    assert plan(mp4) == ("a.enhanced.mp4", "mp4", "libx264", "yuv420p")
    assert plan(mp4, codec="hevc") == ("a.enhanced.mp4", "mp4", "libx265", "yuv420p")
    assert plan(mp4, codec="libvpx") == ("a.enhanced.mkv", "matroska", "libvpx", "yuv420p")
    webm = make_video(tmp_path / "b.webm", codec="libvpx-vp9", time_base=MILLI)
    assert plan(webm)[1:3] == ("webm", "libvpx-vp9")
    gif = make_video(tmp_path / "c.gif", codec="gif", pix_fmt="gray", time_base=Fraction(1, 100))
    assert plan(gif)[:3] == ("c.enhanced.mp4", "mp4", "libx264")
    raw = make_video(tmp_path / "d.h264")
    assert plan(raw)[:3] == ("d.enhanced.mkv", "matroska", "libx264")
    ten = make_video(tmp_path / "e.mkv", codec="ffv1", pix_fmt="yuv422p12le")
    assert plan(ten, codec="libx264")[3] == "yuv422p10le"
    png = make_video(tmp_path / "f.mov", codec="png", pix_fmt="rgb24")
    assert plan(png)[1:] == ("mov", "png", "rgb24")
    with Reader(mp4) as decoder:
        assert plan_output(decoder.source, tmp_path / "x.webm").encoder == "libvpx-vp9"
    assert not list(tmp_path.glob("*enhanced*"))


def on_a_device(name: str) -> bool:
    """Return whether an encoder runs on a device, which takes no pictures as small as these."""
    return any(word in name for word in ("nvenc", "qsv", "vaapi", "videotoolbox", "_mf"))


@pytest.mark.parametrize("name", [name for name in available_encoders() if not on_a_device(name)])
def test_every_available_encoder_writes_a_video(
    tmp_path: Path,
    name: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SVT_LOG", "0")  # As the command line does: there is no option for it.
    size = (256, 128) if name == "dnxhd" else (128, 96)
    source = make_video(tmp_path / "a.nut", codec="rawvideo", size=size, frames=4)
    suffix = ".mov" if name in ("prores_ks", "dnxhd", "png", "qtrle", "magicyuv") else ".nut"
    transcode(source, tmp_path / f"b{suffix}", OutputSettings(codec=name))
    assert times(tmp_path / f"b{suffix}") == times(source)
    assert capfd.readouterr() == ("", "")


def test_available_encoders_belong_to_this_ffmpeg() -> None:
    found = available_encoders()
    assert "libx264" in found
    assert set(found) <= set(av.codec.codecs_available)
