"""Damage that FFmpeg skips without an error is told, and does not spoil the rest of a file."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

import crsr_video
from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.reader import Reader, ReadReport
from crsr_video.types import Frame
from tests.integration.fuzz.judge import OneFace
from tests.support.mp4_boxes import clap, dolby_vision, with_box
from tests.support.video import make_video

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
STEP = Fraction(1, 25)


def read(path: Path) -> tuple[list[Fraction], ReadReport]:
    """Return the times of all frames, and the report."""
    with Reader(path) as reader:
        times = [item.pts * item.time_base for item in reader if isinstance(item, Frame)]
        return times, reader.report


def video_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize(
    ("suffix", "codec", "mark", "options"),
    [
        (".mp4", "mpeg4", b"moof", FRAGMENTS),
        (".mov", "libx264", b"moof", FRAGMENTS),
        (".mkv", "libx264", b"\x1f\x43\xb6\x75", {"cluster_time_limit": "200"}),
        (".webm", "libvpx", b"\x1f\x43\xb6\x75", {"cluster_time_limit": "200"}),
    ],
)
def test_bytes_between_the_parts_of_a_file_are_told(
    tmp_path: Path, suffix: str, codec: str, mark: bytes, options: dict[str, str]
) -> None:
    source = make_video(
        tmp_path / f"in{suffix}", codec=codec, frames=40, gop=8, container_options=options
    )
    assert not read(source)[1].truncated
    data = source.read_bytes()
    place = data.rindex(mark) - (4 if mark == b"moof" else 0)
    source.write_bytes(data[:place] + b"\xff\xffrubbish\0" * 5 + data[place:])
    _, report = read(source)
    assert report.truncated
    assert [note for note in report.notes if "is damaged at byte" in note or "ends before" in note]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize(("surplus", "is_told"), [(0, False), (100, True), (187, True)])
def test_a_transport_stream_that_ends_within_a_packet_is_cut_off(
    tmp_path: Path, codec: str, surplus: int, is_told: bool
) -> None:
    source = make_video(tmp_path / "in.ts", codec=codec, frames=30)
    data = source.read_bytes()
    source.write_bytes(data + data[:surplus])
    assert read(source)[1].truncated is is_told


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        (".mkv", "mjpeg", "yuvj420p"),
        (".mkv", "libx264", "yuv420p"),
        (".mkv", "ffv1", "yuv420p"),
        (".webm", "libvpx-vp9", "yuv420p"),
    ],
)
@pytest.mark.parametrize("number", [3, 12])
def test_one_wrong_timestamp_leaves_the_others_alone(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, number: int
) -> None:
    source = make_video(tmp_path / f"in{suffix}", codec=codec, pix_fmt=pix_fmt, frames=20)
    expected, _ = read(source)
    data = bytearray(source.read_bytes())
    place = data.index(video_packets(source)[number]) - 3  # The time precedes a byte of flags.
    time = int.from_bytes(data[place : place + 2]) + 5000
    data[place : place + 2] = time.to_bytes(2)
    source.write_bytes(data)
    times, report = read(source)
    assert len(times) == 20
    assert all(abs(a - b) <= STEP / 2 for a, b in zip(times, expected, strict=True))
    assert "timestamps of 1 frame contradicted their neighbours and were corrected" in report.notes


@pytest.mark.parametrize("codec", ["libx264", "flv"])
def test_clocks_of_flash_video_are_followed(tmp_path: Path, codec: str) -> None:
    source = make_video(tmp_path / "in.flv", codec=codec, frames=20, audio=1)
    header = 11 + (5 if codec == "libx264" else 1)
    data = bytearray(source.read_bytes())
    place = data.index(video_packets(source)[7]) - header + 7  # The highest byte of the time.
    data[place] = 1
    source.write_bytes(data)
    times, report = read(source)
    assert len(times) == 20
    assert max(b - a for a, b in pairwise(times)) < 2 * STEP
    assert any("the clock" in note for note in report.notes)


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4", "mjpeg"])
def test_pictures_without_data_are_told(tmp_path: Path, codec: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = make_video(tmp_path / "in.mov", codec=codec, pix_fmt=pix_fmt, frames=10)
    data = bytearray(source.read_bytes())
    sizes = data.index(b"stsz") + 4 + 12
    data[sizes + 36 : sizes + 40] = bytes(4)
    source.write_bytes(data)
    times, report = read(source)
    assert len(times) == 9
    assert any("left out 1 picture without data" in note for note in report.notes)


def without_packets(source: Path, target: Path, left_out: Callable[[int], bool]) -> Path:
    """Copy a video without some of its packets."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            if not left_out(number):
                packet.stream = copy
                new.mux(packet)
    return target


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mkv", "libx264"), (".mkv", "libx265"), (".webm", "libvpx-vp9")]
)
def test_pictures_before_the_first_keyframe_are_told(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    plain = make_video(tmp_path / f"plain{suffix}", codec=codec, frames=40, gop=10, options=options)
    source = without_packets(plain, tmp_path / f"in{suffix}", lambda number: number < 1)
    times, report = read(source)
    assert len(times) <= 30
    assert any(
        note.startswith("left out 9 pictures at the beginning") or "damaged" in note
        for note in report.notes
    )


@pytest.mark.parametrize("codec", ["mjpeg", "ffv1", "prores_ks"])
def test_a_gap_behind_the_first_picture_is_told(tmp_path: Path, codec: str) -> None:
    pix_fmt = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
    plain = make_video(tmp_path / "plain.mkv", codec=codec, pix_fmt=pix_fmt, frames=40)
    source = without_packets(plain, tmp_path / "in.mkv", lambda number: 0 < number < 8)
    times, report = read(source)
    assert len(times) == 33
    assert "pictures seem to be missing: timestamps leap at 1 place" in report.notes


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_copy_loses_nothing_and_says_nothing(tmp_path: Path, suffix: str) -> None:
    plain = make_video(tmp_path / f"in{suffix}", size=(192, 144), frames=6)
    source, said = with_box(plain, clap(128, 96)), list[str]()
    config = Config.from_options(model="identity", device="cpu", precision="fp32")
    done = crsr_video.enhance(
        source, tmp_path / f"out{suffix}", config=config, on_notice=said.append
    )
    assert done.is_copy
    assert (said, done.notices) == ([], ())
    assert done.output.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("has_face", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_strict_allows_a_copy_and_refuses_a_changed_frame(
    tmp_path: Path, suffix: str, has_face: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / f"in{suffix}", size=(96, 96), chapters=suffix == ".mkv")
    if suffix == ".mkv":
        source.write_bytes(source.read_bytes().replace(b"\x43\x7c\x83und", b"\x43\x7c\x83ger"))
    else:
        with_box(source, dolby_vision())
    if has_face:
        monkeypatch.setattr(pipeline, "replay_for", lambda *_, **__: OneFace())
    config = Config.from_options(
        model="identity", device="cpu", precision="fp32", output=OutputSettings(strict=True)
    )
    said, target = list[str](), tmp_path / f"out{suffix}"
    if has_face:
        with pytest.raises(OutputError, match=r"because of `strict`: not kept: (Dolby|languages)"):
            crsr_video.enhance(source, target, config=config, on_notice=said.append)
        assert list(tmp_path.iterdir()) == [source]
    else:
        assert crsr_video.enhance(source, target, config=config, on_notice=said.append).is_copy
        assert target.read_bytes() == source.read_bytes()
    assert any("as soon as a frame is changed" in line for line in said)
