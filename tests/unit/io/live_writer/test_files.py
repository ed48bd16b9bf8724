"""Live results in files and HLS folders."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from crsr_video.errors import EncoderError, OutputError
from crsr_video.io.reader import Reader
from crsr_video.io.source import Source
from crsr_video.types import Frame
from tests.support.live_output import clip, push_all, read
from tests.support.writing import open_writer


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".nut", ".flv"])
def test_a_file_appears_when_it_is_complete(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"result{suffix}"
    with clip(tmp_path, frames=20, audio=1) as source:
        count, times = len(source.sound), [f.seconds for f in source.frames]
        writer = open_writer(target, source.source)
        push_all(writer, source.items)
        assert not target.exists()
        writer.close()
        writer.close()
    seen = read(str(target))
    assert len(seen.planes) == 20 and seen.keys[0]
    assert count - 1 <= len(seen.sound) <= count
    gaps = np.diff([float(t) for t in seen.times])
    assert np.allclose(gaps, np.diff(times), atol=0.0011)
    assert sorted(p.name for p in tmp_path.iterdir()) == [target.name, "source.mkv"]


def test_y4m_files_are_written(tmp_path: Path) -> None:
    target = tmp_path / "result.y4m"
    with (
        clip(tmp_path, codec="ffv1", frames=3) as source,
        open_writer(f"file:{target}", source.source) as writer,
    ):
        push_all(writer, source.items)
    assert len(read(str(target)).planes) == 3


def test_colour_aspect_and_rotation_are_kept_where_the_container_holds_them(tmp_path: Path) -> None:
    target = tmp_path / "result.mp4"
    aspect = Fraction(16, 11)
    with clip(
        tmp_path, "a.mp4", frames=4, sample_aspect=aspect, colour=(5, 6, 5, 1), rotation=90
    ) as source:
        with open_writer(target, source.source) as writer:
            push_all(writer, source.items)
        elsewhere = open_writer(tmp_path / "a.ts", source.source)
        elsewhere.abort()
    assert not writer.notices
    assert any("rotation" in notice for notice in elsewhere.notices)
    import av

    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        tags = (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace))
        assert (*tags, int(frame.color_range)) == (5, 6, 5, 1)
        assert context.sample_aspect_ratio == aspect
        assert frame.rotation % 360 == 90


def test_abort_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "result.mp4"
    with clip(tmp_path, frames=4) as source:
        writer = open_writer(target, source.source)
        push_all(writer, source.items)
        writer.abort()
        writer.close()
        with pytest.raises(OutputError, match="is closed"):
            writer.push(source.frames[0])
        empty = open_writer(target, source.source)
        with pytest.raises(OutputError, match="there was no frame"):
            empty.close()
    assert [p.name for p in tmp_path.iterdir()] == ["source.mkv"]


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "result.mkv"
    target.write_bytes(b"precious")
    with clip(tmp_path, frames=4) as source:
        with pytest.raises(OutputError, match="exists already"):
            open_writer(target, source.source)
        assert target.read_bytes() == b"precious"
        with open_writer(target, source.source, overwrite=True) as writer:
            push_all(writer, source.items)
            assert target.read_bytes() == b"precious"
    assert len(read(str(target)).planes) == 4


def test_impossible_addresses_and_options_are_refused_in_one_line(tmp_path: Path) -> None:
    with clip(tmp_path, frames=2) as source:
        for address, why in (
            (str(tmp_path / "missing" / "a.mp4"), "no such folder"),
            (str(tmp_path), "no live file can be written with the suffix"),
            (str(tmp_path / "a.docx"), "no live file can be written with the suffix '.docx'"),
            ("/dev/null", "camera:/dev/null"),
            ("gopher://127.0.0.1/a", "unsupported protocol"),
            ("udp://127.0.0.1", "has no host and port"),
            ("udp://127.0.0.1:99999", "invalid address"),
            ("udp://127.0.0.1:9?fifo_size=7", "no option fifo_size"),
        ):
            with pytest.raises(OutputError, match=why) as raised:
                open_writer(address, source.source)
            assert "\n" not in str(raised.value)
        with pytest.raises(OutputError, match="does not take 'flv'"):
            open_writer("udp://127.0.0.1:9", source.source, container="flv")
        with pytest.raises(EncoderError, match="no option nonsense"):
            settings = {"address": str(tmp_path / "a.mp4"), "options": {"nonsense": "1"}}
            open_writer(source=source.source, **settings)
        with pytest.raises(EncoderError, match="no preset"):
            settings = {"address": str(tmp_path / "a.mp4"), "preset": "quickest"}
            open_writer(source=source.source, **settings)
    assert [p.name for p in tmp_path.iterdir()] == ["source.mkv"]


def test_an_hls_folder_can_be_played_at_any_time(tmp_path: Path) -> None:
    target = tmp_path / "live" / "playlist.m3u8"
    target.parent.mkdir()
    pts = range(0, 12_000, 100)
    with (
        clip(
            tmp_path, frames=120, audio=1, pts=pts, time_base=Fraction(1, 1000), pix_fmt="yuv444p"
        ) as source,
        open_writer(target, source.source) as writer,
    ):
        for count, frame in enumerate(source.frames):
            writer.push(frame)
            if count in (35, 115):
                text = target.read_text()
                assert text.startswith("#EXTM3U") and "ENDLIST" not in text
                listed = [line for line in text.splitlines() if line.endswith(".ts")]
                assert listed and all((target.parent / name).is_file() for name in listed)
    assert any("yuv420p" in notice for notice in writer.notices)
    seen = read(str(target))
    assert seen.pixel_format == "yuv420p" and 60 <= len(seen.planes) <= 80
    names = {p.name for p in target.parent.iterdir()}
    assert 6 <= len(names) <= 9, names  # Old segments are deleted.
    with clip(tmp_path, "b.mkv", frames=2) as source, pytest.raises(OutputError, match="exists"):
        open_writer(target, source.source)


def test_bit_rate_and_options_reach_the_encoder(tmp_path: Path) -> None:
    sizes = []
    with clip(tmp_path, frames=50, size=(320, 240)) as source:
        for bitrate in (100_000, 1_000_000):
            target = tmp_path / f"{bitrate}.mkv"
            settings = {"address": str(target), "bitrate": bitrate, "preset": "ultrafast"}
            with open_writer(source=source.source, **settings) as writer:
                push_all(writer, source.items)
            sizes.append(target.stat().st_size)
        target = tmp_path / "a.mkv"
        settings = {"address": str(target), "codec": "ffv1", "options": {"level": "3"}}
        with open_writer(source=source.source, **settings) as writer:
            push_all(writer, source.items)
    assert sizes[0] < sizes[1] / 2
    assert read(str(target)).codec == "ffv1"


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".y4m"])
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource", reason="needs POSIX")

    target = tmp_path / f"result{suffix}"
    with clip(tmp_path, frames=60, size=(320, 240)) as source:
        writer = open_writer(target, source.source, bitrate=4_000_000)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"result\..*: cannot be written") as raised:
                push_all(writer, source.items)
                writer.close()
            writer.abort()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["source.mkv"]


def of_fields(folder: Path, order: str) -> Reader:
    """Return a reader of six interlaced pictures."""
    path = folder / "fields.y4m"
    header = f"YUV4MPEG2 W64 H64 F25:1 I{order[0]} A1:1 C420jpeg\n".encode()
    noise = np.random.default_rng(1).integers(16, 236, (6, 64 * 96), np.uint8)
    path.write_bytes(header + b"".join(b"FRAME\n" + picture.tobytes() for picture in noise))
    return Reader(path)


@pytest.mark.parametrize("order", ["top", "bottom"])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.flv", "a.y4m", "a.m3u8"])
def test_interlaced_pictures_stay_marked(tmp_path: Path, name: str, order: str) -> None:
    target = tmp_path / "result" / name
    target.parent.mkdir()
    with of_fields(tmp_path, order) as source:
        frames = [item for item in source if isinstance(item, Frame)]
        assert [frame.interlaced for frame in frames] == [order] * 6
        edited = [replace(frame, edited=bool(i % 2)) for i, frame in enumerate(frames)]
        source = Source(info=source.info, first=source.source.first)
        with open_writer(target, source) as writer:
            push_all(writer, edited)
    assert not any("fields" in notice for notice in writer.notices)
    written = next(target.parent.glob("*.ts")) if name.endswith("m3u8") else target
    with Reader(written) as decoder:
        found = [item.interlaced for item in decoder if isinstance(item, Frame)]
    assert found == [order] * 6


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libvpx"), ("a.nut", None)])
def test_a_notice_reports_interlaced_pictures_that_cannot_be_marked(
    tmp_path: Path, name: str, codec: str | None
) -> None:
    with of_fields(tmp_path, "top") as source:
        source = Source(info=source.info, first=source.source.first)
        writer = open_writer(tmp_path / name, source, codec=codec)
        writer.abort()
    assert sum("cannot mark pictures as interlaced" in notice for notice in writer.notices) == 1
