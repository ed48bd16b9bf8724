"""The encoder follows the source: codec, bit depth, profile, bit rate and HDR metadata."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import ConfigError, EncoderError, OutputError
from crsr_video.io import picture_properties, pixel_formats, pyav
from crsr_video.io.encoders import find
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.source import bit_rate
from tests.contract.harness import FACE, FAST, enhance, frames_of
from tests.support.video import make_video

PRORES = {"proxy": "Proxy", "lt": "LT", "standard": "Standard", "hq": "HQ"}

FOLLOWED = [
    # Encoder of the source, its options, pixel format, suffix; codec and profile of the result.
    ("libx264", {"profile": "baseline"}, "yuv420p", ".mp4", "h264", "Constrained Baseline"),
    ("libx264", {"profile": "main"}, "yuvj420p", ".mp4", "h264", "Main"),
    ("libx264", {}, "yuv420p", ".mkv", "h264", "High"),
    ("libx264", {}, "yuv420p10le", ".mp4", "h264", "High 10"),
    ("libx264", {}, "yuv422p10le", ".mp4", "h264", "High 4:2:2"),
    ("libx264", {}, "yuv444p", ".mp4", "h264", "High 4:4:4 Predictive"),
    ("libx265", {}, "yuv420p", ".mp4", "hevc", "Main"),
    ("libx265", {}, "yuv420p10le", ".mp4", "hevc", "Main 10"),
    ("libx265", {}, "yuv422p10le", ".mkv", "hevc", "Rext"),
    *(("prores_ks", {"profile": p}, "yuv422p10le", ".mov", "prores", n) for p, n in PRORES.items()),
    ("prores_ks", {"profile": "4444"}, "yuva444p10le", ".mov", "prores", "4444"),
    ("prores_ks", {"profile": "4444xq"}, "yuv444p10le", ".mov", "prores", "XQ"),
    ("dnxhd", {"profile": "dnxhr_sq"}, "yuv422p", ".mov", "dnxhd", "DNXHR SQ"),
    ("dnxhd", {"profile": "dnxhr_hqx"}, "yuv422p10le", ".mov", "dnxhd", "DNXHR HQX"),
    ("mpeg2video", {}, "yuv422p", ".ts", "mpeg2video", "4:2:2"),
    ("libvpx-vp9", {}, "yuv420p", ".webm", "vp9", "Profile 0"),
    ("libsvtav1", {}, "yuv420p10le", ".mkv", "av1", "Main"),
    ("ffv1", {}, "yuv422p10le", ".mkv", "ffv1", None),
]


@pytest.mark.parametrize(
    ("encoder", "options", "name", "suffix", "codec", "profile"),
    FOLLOWED,
    ids=[f"{e}-{n}-{'-'.join(o.values())}" for e, o, n, *_ in FOLLOWED],
)
def test_codec_depth_and_profile_follow_the_source(
    tmp_path: Path,
    encoder: str,
    options: dict[str, str],
    name: str,
    suffix: str,
    codec: str,
    profile: str | None,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SVT_LOG", "0")  # As the command line does: there is no option for it.
    quiet = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
    source = make_video(
        tmp_path / f"a{suffix}",
        codec=encoder,
        pix_fmt=name,
        options=options | quiet,
        size=(256, 128),
        frames=3,
    )
    capfd.readouterr()
    run = enhance(source, tmp_path / f"b{suffix}", None, faces=(replace(FACE),))
    with av.open(str(source)) as a, av.open(str(tmp_path / f"b{suffix}")) as b:
        contexts = [c.streams.video[0].codec_context for c in (a, b)]
        assert contexts[1].codec.canonical_name == codec
        assert contexts[1].profile == contexts[0].profile == profile
        assert contexts[1].pix_fmt == contexts[0].pix_fmt
    assert capfd.readouterr() == ("", "")
    for done, new in zip(run.finished, run.after, strict=True):
        error = done.components[0].astype(float) - new.components[0]
        peak = (1 << done.layout.bits) - 1
        assert 10 * np.log10(peak**2 / max((error**2).mean(), 1e-9)) > 38


@pytest.mark.parametrize("settings", [{"crf": 0.0}, {"options": {"qp": "0"}}], ids=str)
def test_the_profile_of_the_source_yields_to_lossless_settings(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    source = make_video(tmp_path / "a.mp4", options={"profile": "baseline"}, frames=3)
    chosen = OutputSettings(preset="ultrafast", **settings)
    run = enhance(source, tmp_path / "b.mp4", chosen)
    for done, new in zip(run.finished, run.after, strict=True):
        assert all(map(np.array_equal, done.components, new.components))


COPIED = [
    ("libx264", "yuv420p", ".mp4"),
    ("libx264", "yuv420p", ".mkv"),
    ("libx265", "yuv420p10le", ".mp4"),
    ("mpeg4", "yuv420p", ".avi"),
    ("mpeg2video", "yuv420p", ".ts"),
]


def noisy(path: Path, codec: str, name: str, rate: int) -> Path:
    """Write a clip of noise at a given bit rate."""
    quiet = {"x265-params": "log-level=none:pools=1:frame-threads=1"} if codec == "libx265" else {}
    rng = np.random.default_rng(3)
    fmt = pixel_formats.pixel_format(name)
    assert fmt is not None
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, 25, options={"b": str(rate), **quiet})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 128, name
        stream.codec_context.bit_rate_tolerance = rate
        for number in range(75):
            frame = pyav.blank(160, 128, name)
            for view in pyav.views(frame):
                codes = rng.normal(0.5, 0.12, view.shape).clip(0, 1) * ((1 << fmt.bits) - 1)
                view[...] = codes.astype(view.dtype)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def measured(path: Path) -> float:
    with av.open(str(path)) as container:
        return 8 * sum(p.size for p in container.demux(video=0)) / 3


@pytest.mark.parametrize(("codec", "name", "suffix"), COPIED)
def test_copy_like_keeps_the_bit_rate(tmp_path: Path, codec: str, name: str, suffix: str) -> None:
    rate = 3_000_000 if codec == "libx265" else 1_200_000
    source = noisy(tmp_path / f"a{suffix}", codec, name, rate)
    with Reader(source) as decoder:
        assert bit_rate(decoder.source) == pytest.approx(measured(source), rel=0.1)
    target = tmp_path / f"b{suffix}"
    quick = {"x265-params": "pools=1:frame-threads=1"} if codec == "libx265" else {}
    preset = "fast" if "x26" in codec else None
    settings = OutputSettings(codec="copy-like", preset=preset, options=quick)
    enhance(source, target, settings, faces=())
    assert measured(target) == pytest.approx(measured(source), rel=0.2)
    with av.open(str(source)) as a, av.open(str(target)) as b:
        contexts = [c.streams.video[0].codec_context for c in (a, b)]
        facts = [(c.codec.canonical_name, c.profile, c.pix_fmt) for c in contexts]
    assert facts[0] == facts[1]


@pytest.mark.parametrize(("codec", "suffix"), [("prores_ks", ".mov"), ("ffv1", ".mkv")])
def test_copy_like_sets_no_bit_rate_for_encoders_without_one(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}", codec=codec, pix_fmt="yuv422p10le", size=(128, 96), frames=3
    )
    with Reader(source) as decoder:
        plan = plan_output(
            decoder.source, tmp_path / f"b{suffix}", OutputSettings(codec="copy-like")
        )
    assert plan.encoder == codec
    assert "b" not in plan.choice.options


def test_copy_like_and_a_quality_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="drop `crf` and `bitrate`"):
        OutputSettings(codec="copy-like", crf=20)


@pytest.mark.parametrize("name", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_missing_hardware_is_reported_in_one_line(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if find(name) is None:
        pytest.skip(f"no {name} in this FFmpeg")
    source = make_video(tmp_path / "a.mp4", size=(256, 128), frames=3)
    target = tmp_path / "b.mp4"
    try:
        enhance(source, target, OutputSettings(codec=name), faces=())
    except (EncoderError, OutputError) as error:
        assert str(error).startswith(f"{name} finds no device here")
        assert "\n" not in str(error)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]
    else:  # The hardware exists.
        assert len(frames_of(target)) == 3
    assert capfd.readouterr() == ("", "")


HDR = (
    "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
    "L(10000000,50):max-cll=1000,400"
)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("transfer", [16, 18], ids=["PQ", "HLG"])
@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_hdr_metadata_and_tags_are_kept(
    tmp_path: Path, codec: str, transfer: int, scale: int
) -> None:
    source = make_video(
        tmp_path / "a.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        size=(128, 96),
        frames=2,
        colour=(9, transfer, 9, 1),
        options={"x265-params": HDR},
    )
    fast = replace(FAST, codec=codec, preset="ultrafast" if codec == "libx265" else "12")
    run = enhance(source, tmp_path / "b.mp4", fast, scale=scale)
    assert run.notices == ()
    old, new = (
        picture_properties.side_data(frames[0].native) for frames in (run.before, run.after)
    )
    assert new["CONTENT_LIGHT_LEVEL"] == old["CONTENT_LIGHT_LEVEL"]
    if codec == "libx265":  # AV1 has other denominators.
        assert new["MASTERING_DISPLAY_METADATA"] == old["MASTERING_DISPLAY_METADATA"]
    assert "MASTERING_DISPLAY_METADATA" in new
    native = run.after[0].native
    tags = (native.color_primaries, native.color_trc, native.colorspace, native.color_range)
    assert tags == (9, transfer, 9, 1)
    assert run.after[0].layout.bits == 10
