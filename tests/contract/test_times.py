"""Every frame keeps its time."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.contract.harness import FFV1, enhance, packets, times
from tests.support.video import make_video

FAST = OutputSettings(preset="ultrafast")
FINE = Fraction(1, 90000)
MILLI = Fraction(1, 1000)

RATES = (
    *(Fraction(n, 1001) for n in (24000, 30000, 60000, 120000)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60, 120)),
)


def kept(source: Path, target: Path, settings: OutputSettings | None = FAST) -> list[Fraction]:
    """Run without faces; times must be the same, and so must every other packet."""
    run = enhance(source, target, settings, faces=())
    got = times(target)
    assert got == times(source)
    assert got == [f.pts * f.time_base for f in run.finished]
    assert packets(target) == packets(source)
    return got


RATED = [
    *((rate, ".mp4") for rate in RATES),
    *((rate, ".ts") for rate in RATES[::3]),
    *((rate, suffix) for rate in RATES[:2] for suffix in (".mov", ".nut")),
]


@pytest.mark.parametrize(("rate", "suffix"), RATED, ids=lambda v: str(v).replace("/", "_"))
def test_constant_rates(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    base = FINE if suffix == ".ts" else 1 / rate
    source = make_video(
        tmp_path / f"a{suffix}", rate=rate, time_base=base, frames=12, b_frames=2, audio=1
    )
    got = kept(source, tmp_path / f"b{suffix}")
    assert len(got) == 12
    assert abs((got[-1] - got[0]) - 11 / rate) <= FINE


JUMPS = [0, 1, 2, 40, 41, 200, 1000, 1001, 1033, 1500]
CASES: dict[str, tuple[str, Sequence[int], Fraction, int]] = {
    # suffix, times in ticks, tick, B-frames
    "variable rate, mp4": (".mp4", [90 * t for t in JUMPS], FINE, 0),
    "variable rate, reordered, mov": (".mov", [90 * t + t % 3 for t in JUMPS], FINE, 3),
    "variable rate, mkv": (".mkv", JUMPS, MILLI, 2),
    "variable rate, ts": (".ts", [90 * t for t in JUMPS], FINE, 2),
    "start offset, mp4": (".mp4", range(270000, 306000, 3600), FINE, 2),
    "start offset, mkv": (".mkv", range(3000, 3400, 40), MILLI, 0),
    "start offset, ts": (".ts", range(2700000, 2736000, 3600), FINE, 2),
    "wrap of the clock, ts": (".ts", range(8589920000, 8589956000, 3600), FINE, 2),
    "before zero, ts": (".ts", range(-18000, 18000, 3600), FINE, 2),
    "odd clock": (".mp4", range(401, 4812, 401), Fraction(1, 11988), 2),
    "microseconds": (".mp4", range(17, 400017, 40001), Fraction(1, 1000000), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_any_times(tmp_path: Path, case: str) -> None:
    suffix, pts, base, b_frames = CASES[case]
    options = {"movie_timescale": "90000"} if suffix in (".mp4", ".mov") else {}
    if suffix == ".ts":
        options = {"avoid_negative_ts": "disabled"}
    source = make_video(
        tmp_path / f"a{suffix}",
        pts=list(pts),
        time_base=base,
        b_frames=b_frames,
        audio=int(0 <= pts[0] * base < 60),
        container_options=options,
    )
    if "wrap" in case or "before zero" in case:
        assert times(source)[0] == 0, "the clock of a transport stream begins anywhere"
    assert len(kept(source, tmp_path / f"b{suffix}")) == len(pts)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_an_edit_list_that_hides_the_beginning(tmp_path: Path, suffix: str) -> None:
    """A lossless cut leaves frames before the cut, which are decoded but not shown."""
    whole = make_video(tmp_path / f"w{suffix}", frames=40, audio=1, b_frames=2, gop=20)
    source = tmp_path / f"a{suffix}"
    with av.open(str(whole)) as old, av.open(str(source), "w") as new:
        added = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        for packet in old.demux():
            if packet.size:
                packet.stream = added[packet.stream_index]
                shift = round(Fraction(6, 25) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                new.mux(packet)
    with av.open(str(source)) as container:
        held = sum(p.size > 0 for p in container.demux(video=0))
    assert (held, len(times(source))) == (40, 34)
    got = kept(source, tmp_path / f"b{suffix}")
    assert got[0] == 0


def test_missing_times_follow_the_rate(tmp_path: Path) -> None:
    """Raw H.264 has no timestamps."""
    source = make_video(tmp_path / "a.h264", frames=15, b_frames=2)
    with Reader(source) as decoder:
        frames = [i for i in decoder if isinstance(i, Frame)]
        made_up = decoder.report.made_up
    steps = {b.pts - a.pts for a, b in pairwise(frames)}
    assert (len(frames), made_up, len(steps)) == (15, 15, 1)
    run = enhance(source, tmp_path / "b.nut", FAST, faces=())
    assert times(tmp_path / "b.nut") == [f.pts * f.time_base for f in run.before]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("encoder", [None, "libx264", "mjpeg"])
def test_avi_keeps_its_frames_apart(
    tmp_path: Path, codec: str, b_frames: int, encoder: str | None
) -> None:
    """AVI stores only the order of decoding, so B-frames have no times of their own."""
    source = make_video(tmp_path / "a.avi", codec=codec, frames=20, b_frames=b_frames, audio=1)
    got = times(source)
    assert {b - a for a, b in pairwise(got)} == {Fraction(1, 25)}
    assert 0 <= got[0] <= Fraction(2, 25)
    with Reader(source) as reader:
        assert sum(isinstance(item, Frame) for item in reader) == 20
        assert not [line for line in reader.report.notes if "contradicted" in line]
    enhance(source, tmp_path / "b.avi", OutputSettings(codec=encoder), faces=())
    assert times(tmp_path / "b.avi") == got
    assert packets(tmp_path / "b.avi") == packets(source)


@pytest.mark.parametrize("target", [".mp4", ".mov", ".nut", ".ts"])
def test_another_container_and_clock(tmp_path: Path, target: str) -> None:
    """Matroska's milliseconds are converted exactly."""
    source = make_video(tmp_path / "a.mkv", pts=JUMPS, time_base=MILLI, b_frames=2)
    enhance(source, tmp_path / f"b{target}", FAST, faces=())
    assert times(tmp_path / f"b{target}") == times(source)


def test_into_milliseconds_it_is_rounded_and_said(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    source = make_video(tmp_path / "a.mp4", rate=rate, time_base=1 / rate, frames=30)
    run = enhance(source, tmp_path / "b.mkv", FAST, faces=())
    assert run.notices == ("times are rounded to milliseconds, as Matroska keeps them",)
    for old, new in zip(times(source), times(tmp_path / "b.mkv"), strict=True):
        assert abs(old - new) <= MILLI / 2


def test_joined_recordings_whose_clock_starts_again(tmp_path: Path) -> None:
    """Two transport streams in one file: times continue with one frame's duration at the joint."""
    part = make_video(tmp_path / "p.ts", frames=20, time_base=FINE, rate=25, audio=1).read_bytes()
    source = tmp_path / "a.ts"
    source.write_bytes(part + part)
    with Reader(source) as decoder:
        frames = [i for i in decoder if isinstance(i, Frame)]
    got = [f.pts * f.time_base for f in frames]
    steps = [b - a for a, b in pairwise(got)]
    assert len(frames) == 40
    assert {s for i, s in enumerate(steps) if i != 19} == {Fraction(1, 25)}
    assert Fraction(1, 25) <= steps[19] < Fraction(1, 10)
    target = tmp_path / "b.ts"
    enhance(source, target, FAST, faces=())
    assert times(target) == got
    (old,), (new,) = packets(source).values(), packets(target).values()
    assert [data for _, data in new] == [data for _, data in old]
    moved = [(b[0] or 0) - (a[0] or 0) for a, b in zip(old, new, strict=True)]
    assert set(moved) == {0, got[20] - got[0]}  # Sound moves along with its picture.
    assert moved == sorted(moved)


def test_the_movie_header_agrees_with_the_frames(tmp_path: Path) -> None:
    """Players show its duration as the length of the video."""
    source = make_video(tmp_path / "a.mp4", frames=25, audio=1)
    enhance(source, tmp_path / "b.mp4", FAST, faces=())
    lengths = []
    for path in (source, tmp_path / "b.mp4"):
        data = path.read_bytes()
        at = data.index(b"mvhd") + 4 + 12
        scale, ticks = struct.unpack(">2I", data[at : at + 8])
        lengths.append(Fraction(ticks, scale))
    assert lengths[0] == pytest.approx(lengths[1], abs=0.001)


def test_variable_rates_are_kept_with_ffv1(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", codec="ffv1", pts=JUMPS, time_base=MILLI)
    assert len(kept(source, tmp_path / "b.mkv", FFV1)) == len(JUMPS)
