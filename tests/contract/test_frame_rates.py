"""Results have the frame rate of their source, and frames keep their times."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.io.reader import Reader
from tests.contract.harness import enhance, frames_of, times
from tests.support.video import make_video

NTSC, MILLI, FINE = Fraction(30_000, 1001), Fraction(1, 1000), Fraction(1, 15_360)


def dv(path: Path, rate: Fraction) -> Path:
    size, pix_fmt = ((720, 480), "yuv411p") if rate == NTSC else ((720, 576), "yuv420p")
    return make_video(path, codec="dvvideo", size=size, pix_fmt=pix_fmt, rate=rate, frames=6)


@pytest.mark.parametrize("rate", [NTSC, Fraction(25)])
def test_dv_has_the_rate_of_its_pictures(tmp_path: Path, rate: Fraction) -> None:
    with Reader(dv(tmp_path / "in.dv", rate)) as reader:
        assert reader.info.rate == rate


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "ffv1"), (".mpg", None), (".avi", "mjpeg")])
def test_results_of_dv_say_the_same_rate(tmp_path: Path, suffix: str, codec: str | None) -> None:
    source, target = dv(tmp_path / "in.dv", NTSC), tmp_path / f"out{suffix}"
    enhance(source, target, OutputSettings(codec=codec), faces=())
    with av.open(str(target)) as container:
        assert float(container.streams.video[0].guessed_rate) == pytest.approx(float(NTSC), 0.001)
    steps = [b - a for a, b in pairwise(times(target))]
    assert all(abs(step - 1 / NTSC) <= MILLI for step in steps)


@pytest.mark.parametrize(("suffix", "codec"), [(".h264", "libx264"), (".flv", "libx264")])
def test_assumed_and_rounded_rates_are_not_believed(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = make_video(tmp_path / f"in{suffix}", codec=codec, rate=NTSC, frames=30)
    with Reader(path) as reader:
        assert reader.info.rate == NTSC


def test_a_variable_rate_stays_an_average(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 40, 41, 42, 90]
    path = make_video(tmp_path / "in.mp4", pts=pts, rate=30, time_base=Fraction(1, 30))
    with Reader(path) as reader:
        assert reader.info.rate < 10


# Timestamps of decoding --------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("start", [0, 77])
def test_timestamps_of_decoding_become_even(
    tmp_path: Path, codec: str, suffix: str, start: int
) -> None:
    plain = make_video(tmp_path / "plain.mp4", codec=codec, frames=30, b_frames=3)
    source = tmp_path / f"in{suffix}"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            step = round(Fraction(1, 25) / packet.time_base)
            packet.pts = packet.dts = start + number * step
            packet.stream = copy
            new.mux(packet)
    target = tmp_path / f"out{suffix}"
    enhance(source, target, None, faces=())
    got = times(target)
    assert len(got) == 30
    assert all(abs(b - a - Fraction(1, 25)) < Fraction(1, 500) for a, b in pairwise(got))
    with Reader(source) as reader:
        before = [p.tobytes() for item in frames_of(plain) for p in item.components[:1]]
        after = [p.tobytes() for item in reader for p in item.components[:1]]
        assert after == before
        assert [line for line in reader.report.notes if "those of decoding" in line]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_true_timestamps_are_left_alone(tmp_path: Path, codec: str, suffix: str) -> None:
    pts = [3600 * i + 700 * (i % 3) for i in range(24)]
    base = MILLI if suffix == ".mkv" else Fraction(1, 90_000)
    ticks = [t // 90 for t in pts] if suffix == ".mkv" else pts
    options = {"b_frames": 2} if codec != "mpeg4" else {"pts": None, "frames": 24}
    if codec != "mpeg4":
        options |= {"pts": ticks, "time_base": base}
    source = make_video(tmp_path / f"in{suffix}", codec=codec, **options)
    with Reader(source) as reader:
        for _ in reader:
            pass
        assert reader.report.made_up == 0


# Variable frame rates in AVI ---------------------------------------------------------------------

SCREEN = [*range(30), *range(210, 239)]
CASES: dict[str, tuple[str, Sequence[int], Fraction]] = {
    "screen recording, mp4": (".mp4", [256 * t for t in SCREEN], FINE),
    "screen recording, mkv": (".mkv", [round(t * 1000 / 60) for t in SCREEN], MILLI),
    "pauses, mov": (".mov", [0, 512, 1024, 15_360, 15_872, 46_080], FINE),
    "uneven, mkv": (".mkv", [0, 33, 50, 100, 101, 250, 1000, 1040, 1041, 1400], MILLI),
}


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("case", CASES)
def test_avi_holds_a_variable_rate(tmp_path: Path, case: str, codec: str) -> None:
    suffix, pts, base = CASES[case]
    source = make_video(tmp_path / f"in{suffix}", pts=pts, time_base=base, rate=60)
    target = tmp_path / "out.avi"
    enhance(source, target, OutputSettings(codec=codec), faces=())
    expected, got = times(source), times(target)
    with av.open(str(target)) as container:
        tick = container.streams.video[0].time_base
    assert len(got) == len(expected)
    assert all(abs(a - b) <= tick / 2 for a, b in zip(got, expected, strict=True))
