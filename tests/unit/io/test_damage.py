"""Damage is found and counted, and does not stop the reader."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.io.damage import (
    DamageDetector,
    ffv1_crc,
    has_valid_ffv1_checksums,
)
from crsr_video.io.reader import Passthrough, Reader, ReadReport
from crsr_video.io.sources.connection import sanitize
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.video import make_video

Change = Callable[[bytes], bytes | None]
FRAMES = 40


def noisy(data: bytes) -> bytes:
    """Return a packet with random bytes in its middle."""
    middle, rng = len(data) // 2, np.random.default_rng(1)
    count = max(1, len(data) // 4)
    return data[:middle] + rng.bytes(count) + data[middle + count :]


def rewrite(source: Path, target: Path, changes: dict[int, Change]) -> Path:
    """Copy a video, and change or remove (None) the packets of some pictures, by number."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        number = 0
        for packet in old.demux():
            if packet.size == 0:
                continue
            index, data = packet.stream_index, bytes(packet)
            if old.streams[index].type == "video":
                changed = changes.get(number, lambda whole: whole)(data)
                number += 1
                if changed is None:
                    continue
                copy = av.Packet(changed)
                copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
                packet = copy
            packet.stream = streams[index]
            new.mux(packet)
    return target


def read(path: Path, **options: float) -> tuple[list[Frame], list[Passthrough], ReadReport]:
    with Reader(path, **options) as decoder:
        items = list(decoder)
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, Passthrough)], decoder.report


KINDS = {
    "h264.mp4": {"b_frames": 2},
    "h264.ts": {},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


def whole(folder: Path, kind: str) -> Path:
    return make_video(
        folder / f"whole.{kind}",
        frames=FRAMES,
        gop=10,
        size=(128, 96),
        audio=1,
        **KINDS[kind],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_intact_files_have_no_damage(tmp_path: Path, kind: str) -> None:
    frames, _, report = read(whole(tmp_path, kind))
    assert len(frames) == FRAMES
    assert (report.concealed, report.damaged, report.truncated) == (0, 0, False)
    assert report.notes == ()


@pytest.mark.parametrize("kind", ["h264.mp4", "mpeg4.mp4", "mpeg2.ts", "prores.mov", "ffv1.mkv"])
def test_concealed_pictures_are_counted(tmp_path: Path, kind: str) -> None:
    damaged = dict.fromkeys((10, 20), noisy)
    path = rewrite(whole(tmp_path, kind), tmp_path / f"bad.{kind}", damaged)
    frames, _, report = read(path)
    assert report.concealed + report.damaged >= 2
    assert len(frames) >= FRAMES - report.damaged
    assert len(frames) == report.frames


@pytest.mark.parametrize("kind", ["hevc.mkv", "mjpeg.mkv", "ffv1.mkv", "vp9.webm"])
def test_missing_pictures_are_counted(tmp_path: Path, kind: str) -> None:
    rubbish = dict.fromkeys((14, 15), lambda _: b"\x00\x00\x00\x01\x02")
    path = rewrite(whole(tmp_path, kind), tmp_path / f"bad.{kind}", rubbish)
    frames, _, report = read(path)
    assert report.damaged >= 2
    assert len(frames) <= FRAMES - 2
    assert any("damaged" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["hevc.mkv", "mpeg2.ts", "vp9.webm", "mjpeg.mkv", "h264.mp4"])
def test_lost_packets_leave_a_gap_that_is_noted(tmp_path: Path, kind: str) -> None:
    source = whole(tmp_path, kind)
    if kind == "h264.mp4":  # MP4 closes gaps by longer pictures, so the copy has none.
        source = rewrite(source, tmp_path / "whole.mkv", {})
        kind = "h264.mkv"
    gone = dict.fromkeys((20, 21, 22), lambda _: None)
    frames, _, report = read(rewrite(source, tmp_path / f"bad.{kind}", gone))
    assert FRAMES - 10 <= len(frames) <= FRAMES - 3
    assert any(note.startswith("pictures seem to be missing") for note in report.notes)


@pytest.mark.parametrize("kind", ["h264.mkv", "vp9.webm", "mjpeg.mkv"])
def test_a_variable_frame_rate_is_no_damage(tmp_path: Path, kind: str) -> None:
    """Screen recorders leave out pictures that show nothing new."""
    options = KINDS.get(kind, {})
    times = [n for n in range(120) if n % 30 not in (10, 11, 19)]
    path = make_video(tmp_path / f"screen.{kind}", pts=times, size=(128, 96), **options)
    frames, _, report = read(path)
    assert len(frames) == len(times)
    assert report.notes == ()


@pytest.mark.parametrize("kind", ["h264.mp4", "h264.ts", "hevc.mkv", "mpeg4.mp4", "vp9.webm"])
def test_damaged_video_leaves_audio_in_sync(tmp_path: Path, kind: str) -> None:
    """Both streams keep their timestamps when pictures are damaged."""
    source = whole(tmp_path, kind)
    changes: dict[int, Change] = {11: noisy, 12: noisy, 18: lambda _: b"\x00", 30: lambda _: None}
    bad = rewrite(source, tmp_path / f"bad.{kind}", changes)
    good, path = read(source), tmp_path / f"out.{kind}"
    with Reader(bad) as decoder, Writer(path, decoder.source) as encoder:
        for item in decoder:
            push = encoder.push if isinstance(item, Frame) else encoder.push_packet
            push(item)
    again = read(path)
    assert _sound(again[1]) == _sound(good[1])
    times, before = _times(again[0]), _times(good[0])
    assert FRAMES - 12 <= len(times) < FRAMES
    assert len(set(times) - set(before)) <= decoder.report.made_up


def _sound(packets: Iterable[Passthrough]) -> list[tuple[Fraction, bytes]]:
    return [(p.packet.pts * p.packet.time_base, bytes(p.packet)) for p in packets]


def _times(frames: Sequence[Frame]) -> list[Fraction]:
    return [f.pts * f.time_base for f in frames]


def test_a_recording_that_begins_in_the_middle_is_not_damaged(tmp_path: Path) -> None:
    """Pictures before the first keyframe of a recording do not count as missing."""
    source = whole(tmp_path, "h264.ts")
    path = rewrite(source, tmp_path / "late.ts", dict.fromkeys(range(4), lambda _: None))
    frames, _, report = read(path)
    assert len(frames) >= FRAMES - 10
    assert report.damaged == 0


def test_damage_before_the_window_does_not_count(tmp_path: Path) -> None:
    source = whole(tmp_path, "ffv1.mkv")
    path = rewrite(source, tmp_path / "bad.mkv", dict.fromkeys((2, 3, 30), noisy))
    frames, _, report = read(path, start=0.4)
    assert len(frames) == FRAMES - 10
    assert report.concealed == 1


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_a_file_that_was_cut_off_near_its_end_is_reported(tmp_path: Path, suffix: str) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        codec="mpeg4",
        frames=20,
        container_options={"movflags": "faststart"} if suffix == ".mp4" else {},
    )
    assert not read(path)[2].truncated
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10])
    assert read(path)[2].truncated


# The pieces -------------------------------------------------------------------------------------


class Thing:
    """A packet or a picture."""

    is_corrupt = is_discard = interlaced_frame = False
    duration = 1
    time_base = Fraction(1, 25)

    def __init__(self, pts: int | None, **fields: object) -> None:
        self.pts = self.dts = pts
        vars(self).update(fields)


def watched(
    codec: str, sent: Iterable[int], came: Iterable[int], **fields: object
) -> DamageDetector:
    watch = DamageDetector(codec)
    for pts in sent:
        watch.packet_sent(Thing(pts))
    for pts in came:
        watch.picture_received(Thing(pts, **fields))
    watch.finish()
    return watch


def test_packets_without_a_picture_count_as_lost() -> None:
    assert watched("hevc", range(10), range(10)).lost == 0
    assert watched("hevc", (0, 4, 2, 1, 3), range(5)).lost == 0
    assert watched("hevc", range(10), (0, 1, 4, 5, 9)).lost == 5
    assert watched("hevc", range(10), range(7)).lost == 3
    assert watched("hevc", range(10), range(4, 10)).lost == 0, "nobody could decode the first"
    assert watched("mpeg4", range(10), (0, 9)).lost == 0, "it may skip some"
    assert watched("h264", range(10), range(0, 10, 2), interlaced_frame=True).lost == 0


def test_leaps_of_a_regular_clock_count_as_gaps() -> None:
    def gaps(*times: int, **fields: object) -> int:
        return watched("h264", (), times, **fields).gaps

    assert gaps(*range(0, 100, 4), duration=4) == 0
    assert gaps(*range(0, 40, 4), *range(44, 80, 4), duration=4) == 1
    assert gaps(0, 4, *range(12, 80, 4), duration=4) == 1, "near the beginning"
    assert gaps(*range(0, 40, 4), *range(44, 80, 4), *range(84, 90, 4), duration=4) == 2
    assert gaps(*(t for n in range(30) for t in (12 * n, 12 * n + 4)), duration=4) == 0
    assert gaps(*range(0, 40, 4), *range(44, 80, 4), duration=8) == 0, "it was meant to last"
    assert gaps(*range(0, 40, 4), 42, 43, 57, 80, duration=4) == 0, "a variable rate"
    assert gaps(0, 33, 67, 100, 133, 167, 200, 233, 267, 300, duration=33) == 0, "rounded"
    assert gaps(0, 33, 67, 100, 133, 167, 200, 233, 300, 333, duration=33) == 1


def test_impossible_timestamps_are_removed() -> None:
    packet = av.Packet(b"x")
    packet.time_base = Fraction(1, 1000)
    packet.pts, packet.dts, packet.duration = 1 << 62, -(1 << 62), 1 << 40
    sanitize(packet)
    assert (packet.pts, packet.dts, packet.duration) == (None, None, 0)
    packet.pts, packet.dts, packet.duration = 5_000_000, 4_000_000, 40
    sanitize(packet)
    assert (packet.pts, packet.dts, packet.duration) == (5_000_000, 4_000_000, 40)


def test_the_checksum_follows_the_standard() -> None:
    """Compare with a slow implementation of RFC 9043, bit by bit."""

    def slow(data: bytes) -> int:
        register = 0
        for byte in data:
            register ^= byte << 24
            for _ in range(8):
                register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
        return register

    data = zlib.compress(bytes(range(200)))
    assert f"{slow(data):032b}"[::-1] == f"{ffv1_crc(data):032b}"
    size = len(data).to_bytes(3) + b"\0"
    slice_ = data + size + slow(data + size).to_bytes(4)
    assert has_valid_ffv1_checksums(slice_ * 3)
    assert not has_valid_ffv1_checksums(slice_ + noisy(slice_))
    assert not has_valid_ffv1_checksums(b"")
    assert not has_valid_ffv1_checksums(slice_[1:])
