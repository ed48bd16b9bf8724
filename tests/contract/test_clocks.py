"""Transport streams with any clock become results that begin at zero and have no holes."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.contract.harness import enhance
from tests.support.video import make_video

FAST = OutputSettings(codec="libx264", preset="ultrafast")


def stream_at(
    folder: Path, starts: Sequence[int], codec: str = "libx264", frames: int = 15
) -> Path:
    """Write parts of a transport stream, each with a clock that begins at some second."""
    plain = make_video(folder / "plain.mp4", codec=codec, frames=frames, b_frames=1, audio=1)
    path, data = folder / "in.ts", b""
    for start in starts:
        options = {"mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
        part = folder / "part.ts"
        with (
            av.open(str(plain)) as source,
            av.open(str(part), "w", container_options=options) as target,
        ):
            copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.size:
                    offset = round(start / packet.time_base)
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = copies[packet.stream_index]
                    target.mux(packet)
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def starts_of(path: Path) -> dict[str, Fraction]:
    """Return the first time of each kind of stream, in seconds."""
    with av.open(str(path)) as container:
        found: dict[str, list[Fraction]] = {}
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(packet.pts * packet.time_base)
    return {kind: min(times) for kind, times in found.items()}


def frame_times(path: Path) -> list[Fraction]:
    with Reader(path) as reader:
        return [item.pts * item.time_base for item in reader if isinstance(item, Frame)]


def samples(frame: Frame) -> bytes:
    return b"".join(component.tobytes() for component in frame.components)


def notes(path: Path) -> str:
    with Reader(path) as reader:
        for _ in reader:
            pass
        return "; ".join(reader.report.notes)


@pytest.mark.parametrize("starts", [(0, 0), (0, 40_000, 7), (100, 20), (1, 30)])
@pytest.mark.parametrize("start", [0.4, 2.0, 3.2])
def test_a_start_beside_a_jump_finds_its_frames(
    tmp_path: Path, starts: Sequence[int], start: float
) -> None:
    """Every part lasts for two seconds, and two parts may have the same times."""
    source = stream_at(tmp_path, starts, frames=50)
    with Reader(source) as reader:
        every = [samples(item) for item in reader if isinstance(item, Frame)]
    with Reader(source, start=start, duration=0.4) as reader:
        some = [samples(item) for item in reader if isinstance(item, Frame)]
    place = every.index(some[0], 50 * int(start >= 2))
    assert some == every[place : place + len(some)]
    assert abs(place - 25 * start) <= 2
    assert 9 <= len(some) <= 11


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
@pytest.mark.parametrize("start", [50_000, 95_443])
def test_result_begins_at_zero(tmp_path: Path, codec: str, suffix: str, start: int) -> None:
    source, result = stream_at(tmp_path, [start], codec), tmp_path / f"out{suffix}"
    enhance(source, result, FAST, faces=())
    begins = starts_of(result)
    assert 0 <= begins["video"] < Fraction(1, 4)
    assert -Fraction(1, 20) <= begins.get("audio", 0) < Fraction(1, 4)
    assert len(frame_times(result)) == 15
    assert "begins at zero" in notes(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize(
    "starts",
    [(1, 40_000), (3, 14, 90_000), (50_000, 20), (95_443, 500)],
    ids=["leap", "two leaps", "back", "leap after the wrap"],
)
def test_jumps_of_the_clock_leave_no_hole(
    tmp_path: Path, suffix: str, starts: Sequence[int]
) -> None:
    source, result = stream_at(tmp_path, starts), tmp_path / f"out{suffix}"
    enhance(source, result, FAST, faces=())
    got = frame_times(result)
    assert len(got) == 15 * len(starts)
    assert max(b - a for a, b in pairwise(got)) < Fraction(1, 4)
    assert got[-1] - got[0] < len(starts)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "libx265"])
@pytest.mark.parametrize(("rates", "b_frames"), [((25, 50), 2), ((24, 60), 2), ((50, 25), 1)])
def test_joined_recordings_of_other_rates_do_not_overlap(
    tmp_path: Path, codec: str, rates: tuple[int, int], b_frames: int
) -> None:
    """A recording with a higher rate begins to decode a shorter time before it is shown."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = tmp_path / "in.ts"
    with source.open("wb") as file:
        for rate in rates:
            part = make_video(
                tmp_path / "part.ts",
                codec=codec,
                rate=rate,
                frames=40,
                b_frames=b_frames,
                options=options,
            )
            file.write(part.read_bytes())
    got, first = frame_times(source), 1 / Fraction(rates[0])
    steps = [b - a for a, b in pairwise(got)]
    assert len(got) == 80
    assert min(steps) > min(1 / Fraction(rate) for rate in rates) * Fraction(9, 10)
    assert steps[39] < first + Fraction(1, 5)
    assert "contradicted" not in notes(source)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "libx265"])
@pytest.mark.parametrize("leap", [300, 1_000_000])
def test_a_pause_between_reordered_frames_is_kept(tmp_path: Path, codec: str, leap: int) -> None:
    """The first frame after the pause is decoded before it, so this is one recording."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    pts = [*range(30), *range(30 + leap, 50 + leap)]
    source = make_video(tmp_path / "in.ts", codec=codec, pts=pts, b_frames=2, options=options)
    got = frame_times(source)
    assert [round((time - got[0]) * 25) for time in got] == pts
    assert "contradicted" not in notes(source)
