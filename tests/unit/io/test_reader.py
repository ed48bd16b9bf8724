"""Reading recorded videos, intact and damaged."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import pyav
from crsr_video.io.reader import Passthrough, Reader, ReadReport
from crsr_video.types import Frame
from tests.support.video import COVER, make_video, picture

LOSSLESS = {"yuv420p": "ffv1", "yuv420p10le": "ffv1", "gray": "ffv1", "gbrp10le": "ffv1"}
RAW = ("nv12", "rgb24", "yuvj420p", "uyvy422", "yuv444p16le", "gray16le", "abgr")


def read(path: Path, **options: float) -> tuple[list[Frame], list[Passthrough], ReadReport]:
    with Reader(path, **options) as decoder:
        items = list(decoder)
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, [item for item in items if isinstance(item, Passthrough)], decoder.report


def times(frames: Sequence[Frame]) -> list[Fraction]:
    return [f.pts * f.time_base for f in frames]


@pytest.mark.parametrize("size", [(64, 48), (17, 33), (1, 1)])
@pytest.mark.parametrize("name", [*LOSSLESS, *RAW])
def test_samples_are_returned_as_they_are_stored(
    tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    codec = LOSSLESS.get(name, "rawvideo")
    path = make_video(tmp_path / "a.nut", codec=codec, pix_fmt=name, size=size, frames=3)
    frames, _, report = read(path)
    assert (len(frames), report.notes) == (3, ())
    for number, frame in enumerate(frames):
        expected = pyav.views(picture(number, size, name))
        assert all(map(np.array_equal, frame.components, expected))
        assert (frame.width, frame.height) == size


def test_components_are_read_only_views(tmp_path: Path) -> None:
    frames, _, _ = read(make_video(tmp_path / "a.mp4", frames=2))
    luma = frames[0].components[0]
    assert np.shares_memory(luma, pyav.views(frames[0].native)[0])
    with pytest.raises(ValueError, match="read-only"):
        luma[0, 0] = 0


def test_frames_stay_valid_after_closing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", codec="ffv1", frames=30)
    frames, _, _ = read(path)
    expected = pyav.views(picture(29, (64, 48), "yuv420p"))
    assert np.array_equal(frames[29].components[0], expected[0])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_timestamps_are_exact(tmp_path: Path, suffix: str, b_frames: int) -> None:
    base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    pts = [500, 513, 540, 601, 700, 701, 900, 1300]
    path = make_video(
        tmp_path / f"a{suffix}",
        pts=pts,
        time_base=base,
        b_frames=b_frames,
        container_options={"movie_timescale": "90000"} if suffix in (".mp4", ".mov") else {},
    )
    frames, _, report = read(path)
    got = times(frames)
    assert [t - got[0] for t in got] == [(p - pts[0]) * base for p in pts]
    assert (report.frames, report.made_up, report.truncated) == (8, 0, False)


def test_packets_of_other_streams_come_in_order(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", audio=2, subtitle=True, frames=30)
    with av.open(str(path)) as container:
        wanted = [(p.stream_index, p.pts, bytes(p)) for p in container.demux() if p.size]
        video = container.streams.video[0].index
    frames, packets, _ = read(path)
    got = [(p.stream, p.packet.pts, bytes(p.packet)) for p in packets]
    assert got == [w for w in wanted if w[0] != video]
    assert len(frames) == 30
    assert {p.stream for p in packets} == {1, 2, 3}


def test_info_describes_the_source(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4",
        rotation=90,
        sample_aspect=Fraction(4, 3),
        colour=(9, 16, 9, 1),
        metadata={"title": "Test"},
        rate=Fraction(30000, 1001),
    )
    with Reader(path) as decoder:
        info, first = decoder.info, next(f for f in decoder if isinstance(f, Frame))
    assert (info.width, info.height, info.codec) == (64, 48, "h264")
    assert (info.rate, info.frames, info.pixel_format) == (Fraction(30000, 1001), 12, "yuv420p")
    assert info.metadata["title"] == "Test"
    assert info.seconds == pytest.approx(0.4, abs=0.01)
    assert (first.rotation, first.sample_aspect) == (90, Fraction(4, 3))
    assert (first.layout.matrix, first.layout.full_range) == ("bt2020", False)
    assert (first.layout.x_cosited, first.layout.y_cosited) == (True, True)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_counter_clockwise(tmp_path: Path, degrees: int) -> None:
    """MP4's matrix, by its definition, turns the display clockwise."""
    path = make_video(tmp_path / "a.mp4", frames=1, rotation=degrees)
    data = path.read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # Header, times, ids, layer, volume.
    a, b, _, c, d, _ = struct.unpack(">6i", data[at : at + 24])
    turn = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}
    # (p, q) = (a x + c y, b x + d y) with y downwards: a = 0, b = 1 turns right into down.
    assert tuple(np.sign((a, b, c, d))) == turn[degrees]
    assert read(path)[0][0].rotation == degrees


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_window_is_exact_to_the_frame(tmp_path: Path, suffix: str, b_frames: int) -> None:
    base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    path = make_video(
        tmp_path / f"a{suffix}", frames=50, audio=1, b_frames=b_frames, time_base=base
    )
    whole, _, _ = read(path)
    part, packets, report = read(path, start=0.7, duration=0.6)
    begin = times(whole)[0]  # Audio may begin before.
    with av.open(str(path)) as container:
        origin = Fraction(container.start_time or 0, 10**6)
    start = round((origin + Fraction(0.7)) / base) * base
    wanted = [f for f in whole if start <= f.pts * f.time_base < start + Fraction(0.6)]
    assert abs(begin - origin) < Fraction(1, 10)
    assert 14 <= len(part) <= 16
    assert times(part) == [t - start for t in times(wanted)]
    for a, b in zip(part, wanted, strict=True):
        assert all(map(np.array_equal, a.components, b.components))
    heard = [p.packet.pts * p.packet.time_base for p in packets]
    assert 0 <= min(heard) < 0.03
    assert 0.57 < max(heard) < 0.6
    assert not report.truncated


def test_a_window_is_found_without_seeking(tmp_path: Path) -> None:
    """An H.264 elementary stream has neither timestamps nor an index."""
    path = make_video(tmp_path / "a.h264", frames=40)
    frames, _, _ = read(path, start=0.5)
    assert 20 <= len(frames) <= 30


def test_a_start_behind_the_end_is_an_error(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(NoVideoError, match=r"is only 0\.5 s long and cannot be read from 100"):
        Reader(path, start=100)


def test_missing_timestamps_are_replaced(tmp_path: Path) -> None:
    frames, _, report = read(make_video(tmp_path / "a.h264", frames=10, b_frames=2))
    got = times(frames)
    assert len(got) == 10
    assert got == sorted(set(got))
    assert report.frames == 10


def test_other_pixel_formats_are_converted_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16be"
        frame = picture(0, (64, 48), "gray16le").reformat(format="gray16be")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    frames, _, report = read(path)
    assert report.notes == ("pixel format gray16be was converted to gray16le",)
    expected = pyav.views(picture(0, (64, 48), "gray16le"))[0]
    assert np.array_equal(frames[0].components[0], expected)


def test_frames_keep_their_size_when_the_video_changes_it(tmp_path: Path) -> None:
    small = make_video(tmp_path / "a.ts", frames=5)
    large = make_video(tmp_path / "b.ts", frames=5, size=(96, 64), pts=range(5, 10))
    both = tmp_path / "c.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames, _, report = read(both)
    assert {(f.width, f.height) for f in frames} == {(64, 48)}
    assert len(frames) >= 9
    assert report.notes[0] == (
        "the picture's size changes from 64x48 to 96x64 midway: scaled and stretched to 64x48"
    )


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"size": (128, 96)}, "size changes from 64x48 to 128x96 midway: scaled to 64x48"),
        ({"pix_fmt": "yuv444p"}, "changes from yuv420p to yuv444p midway: converted to yuv420p"),
    ],
)
def test_a_change_of_form_is_noted(tmp_path: Path, second: dict[str, object], told: str) -> None:
    both = tmp_path / "c.h264"
    make_video(tmp_path / "a.h264", frames=5)
    make_video(tmp_path / "b.h264", frames=5, **second)
    both.write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    frames, _, report = read(both)
    assert {(f.width, f.height, f.layout.name) for f in frames} == {(64, 48, "yuv420p")}
    assert len(frames) == 10
    assert any(note.endswith(told) for note in report.notes)


def test_raw_pictures_of_another_size_are_left_out(tmp_path: Path) -> None:
    """Two streams may follow each other in a pipe, and only the size of the first one is known."""
    path, other = tmp_path / "a.nut", tmp_path / "b.nut"
    make_video(path, codec="rawvideo", frames=5)
    make_video(other, codec="rawvideo", frames=5, size=(96, 64))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    frames, _, report = read(path)
    assert len(frames) == 5
    assert report.damaged >= 5
    assert "raw pictures of another size follow midway: they are left out" in report.notes


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_was_cut_off_is_read_to_its_end_and_reported(
    tmp_path: Path, suffix: str
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        codec="mpeg4",
        frames=100,
        audio=1,
        container_options={"movflags": "faststart"} if suffix == ".mp4" else {},
    )
    assert not read(path)[2].truncated
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, _, report = read(path)
    assert 20 < len(frames) < 80
    assert report.truncated
    assert report.notes[-1] == "the file ends before it should"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_damage_in_the_middle_is_survived(
    tmp_path: Path, suffix: str, rng: np.random.Generator
) -> None:
    path = make_video(
        tmp_path / f"a{suffix}",
        frames=100,
        container_options={"movflags": "faststart"} if suffix == ".mp4" else {},
        gop=10,
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = rng.bytes(600)
    path.write_bytes(data)
    frames, _, report = read(path)
    got = times(frames)
    assert 50 < len(frames) <= 100
    assert report.damaged + report.concealed > 0 or len(frames) < 100
    assert got == sorted(set(got))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_frames(tmp_path: Path, threads: int) -> None:
    path = make_video(tmp_path / "a.mp4", frames=20, b_frames=2)
    with Reader(path, threads=threads) as decoder:
        got = [np.array(f.components[0]) for f in decoder if isinstance(f, Frame)]
    whole, _, _ = read(path)
    assert all(map(np.array_equal, got, [f.components[0] for f in whole]))


def test_cover_art_is_not_the_video(tmp_path: Path) -> None:
    path, song = tmp_path / "a.mp4", tmp_path / "b.mp4"
    _with_cover(make_video(tmp_path / "c.mp4", audio=1), path, keep="video")
    _with_cover(tmp_path / "c.mp4", song, keep="audio")
    frames, packets, _ = read(path)
    assert len(frames) == 12
    assert frames[0].width == 64
    assert packets == [] or {p.stream for p in packets} == {1}
    with pytest.raises(NoVideoError, match=r"b\.mp4: holds no video, only audio"):
        Reader(song)


def _with_cover(source: Path, target: Path, keep: str) -> None:
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        old = next(s for s in container.streams if s.type == keep)
        new = output.add_stream_from_template(old, opaque=True)
        cover = output.add_stream("png", 1)
        cover.width, cover.height, cover.pix_fmt = 1, 1, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        output.start_encoding()
        packet = av.Packet(COVER)
        packet.stream, packet.pts, packet.dts = cover, 0, 0
        output.mux(packet)
        for packet in container.demux(old):
            if packet.dts is not None:
                packet.stream = new
                output.mux(packet)


def _text(path: Path) -> None:
    path.write_text("This is no video at all.\n" * 100)


def _garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(5000))


def _headless(path: Path) -> None:
    data = make_video(path.with_name("whole.mp4")).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def _playlist(path: Path) -> None:
    make_video(path.with_name("part.ts"))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n")


def _concat(path: Path) -> None:
    make_video(path.with_name("part.mp4"))
    path.write_text("ffconcat version 1.0\nfile part.mp4\n")


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", 48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _no_pictures(path: Path) -> None:
    make_video(path, frames=20)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (Path.exists, InputError, "no such file"),
        (Path.mkdir, InputError, "is a directory"),
        (Path.touch, InputError, "is empty"),
        (_text, InputError, "not a media file"),
        (_garbage, InputError, "not a media file|cannot be opened|holds no video"),
        (_headless, InputError, "not a media file"),
        (_playlist, InputError, "lists or describes other files|not a media file"),
        (_concat, InputError, r"a list of files \(concat\), which lists or describes other files"),
        (_audio_only, NoVideoError, "holds no video, only audio"),
        (_no_pictures, NoVideoError, "no picture could be decoded"),
    ],
)
def test_files_without_video_are_refused_with_one_line(
    tmp_path: Path,
    make: object,
    kind: type[InputError],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "input.mp4"
    make(path)
    with pytest.raises(kind, match=rf"input\.mp4: .*({words})") as caught:
        Reader(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_giant_frames_are_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", codec="ffv1", frames=1)
    data = path.read_bytes()
    # Matroska: PixelWidth (0xB0) and PixelHeight (0xBA), one byte each at this size.
    wide = data.replace(b"\xb0\x81\x40\xba\x81\x30", b"\xb0\x82\x75\x30\xba\x81\x30\xec")
    assert wide != data
    path.write_bytes(wide)
    with pytest.raises(InputError):
        Reader(path)


def test_network_addresses_are_only_file_names() -> None:
    with pytest.raises(InputError, match="no such file"):
        Reader("http://127.0.0.1:9/video.mp4")


def test_file_names_are_never_taken_for_options_or_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "-.mp4", "ä ö%03d.mp4", "'x'|y.mp4"):
        make_video(tmp_path / "plain.mp4", frames=2).rename(tmp_path / name)
        assert len(read(Path(name))[0]) == 2
