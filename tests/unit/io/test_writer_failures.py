"""Outputs that the writer refuses, and the files it leaves behind when it fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.recorded import FAST, frames_of, leftovers
from tests.support.video import make_video


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("b.mp4", {"codec": "nosuch"}, "no video encoder 'nosuch'"),
        ("b.mp4", {"codec": "aac"}, "no video encoder 'aac'"),
        ("b.mp4", {"options": {"nosuch": "1"}}, "libx264 has no option nosuch"),
        ("b.mp4", {"preset": "nosuch"}, "libx264 has no preset 'nosuch', only"),
        ("b.mp4", {"codec": "ffv1", "crf": 10.0}, "ffv1 has no constant quality"),
        ("b.mp4", {"options": {"pix_fmt": "pal8"}}, "libx264 does not take pixel format pal8"),
        ("b.webm", {"codec": "libx264"}, "libx264 does not fit into a .webm file"),
        ("b.xyz", {}, "no container is written for '.xyz'"),
        ("nosuch/b.mp4", {}, "nosuch: no such folder"),
        ("folder.mp4", {}, "folder.mp4: is a directory"),
        ("there.mp4", {}, "there.mp4: exists already"),
        ("a.mp4", {}, "a.mp4: is the source itself"),
        ("link.mp4", {}, "link.mp4: is the source itself"),
    ],
)
def test_impossible_outputs_are_refused_in_one_line(
    tmp_path: Path,
    name: str,
    settings: dict[str, object],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = make_video(tmp_path / "a.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "there.mp4").write_text("precious")
    (tmp_path / "link.mp4").symlink_to(source)
    with Reader(source) as decoder, pytest.raises(OutputError, match=words) as caught:
        Writer(tmp_path / name, decoder.source, OutputSettings(**settings))
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []
    assert (tmp_path / "there.mp4").read_text() == "precious"
    assert capfd.readouterr() == ("", "")


def test_frames_too_large_for_an_encoder_are_refused(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", codec="ffv1", size=(17000 // 4, 16), frames=1)
    with Reader(source) as decoder, pytest.raises(EncoderError, match="libvpx"):
        Writer(tmp_path / "b.mkv", decoder.source, OutputSettings(codec="libvpx"), scale=4)
    assert leftovers(tmp_path) == []


def test_the_result_appears_only_when_complete(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with Reader(source) as decoder, Writer(target, decoder.source, FAST) as encoder:
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
            assert not target.exists()
            assert len(leftovers(tmp_path)) == 1
    assert target.exists()
    assert leftovers(tmp_path) == []
    encoder.abort()
    encoder.close()
    assert target.exists()


def test_overwriting_when_asked(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    target.write_text("old")
    with Reader(source) as decoder, Writer(target, decoder.source, FAST, overwrite=True) as encoder:
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
            assert target.read_text() == "old"
    assert len(frames_of(target)) == 12


@pytest.mark.parametrize("pushed", [0, 5])
def test_nothing_is_left_after_an_exception(tmp_path: Path, pushed: int) -> None:
    source = make_video(tmp_path / "a.mp4", audio=1)
    with (
        Reader(source) as decoder,
        pytest.raises(KeyboardInterrupt),
        Writer(tmp_path / "b.mp4", decoder.source, FAST) as encoder,
    ):
        frames = [item for item in decoder if isinstance(item, Frame)]
        for frame in frames[:pushed]:
            encoder.push(frame)
        raise KeyboardInterrupt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_without_a_frame_there_is_no_result(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")
    with Reader(source) as decoder, pytest.raises(OutputError, match="there was no frame"):
        Writer(tmp_path / "b.mp4", decoder.source, FAST).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="needs POSIX")

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 20_000, 400_000])
def test_a_full_disk_leaves_no_file(tmp_path: Path, limit: int) -> None:
    """The disk fills up in the header, among the frames, or at the end."""
    source = make_video(tmp_path / "a.nut", codec="rawvideo", frames=100)
    with (
        Reader(source) as decoder,
        pytest.raises(OutputError, match=r"b\.nut: cannot be written: File too large"),
        _file_size_limit(limit),
        Writer(tmp_path / "b.nut", decoder.source) as encoder,
    ):
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nut"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root may write anywhere, and folders of Windows have no mode",
)
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    source, folder = make_video(tmp_path / "a.mp4"), tmp_path / "f"
    folder.mkdir(mode=0o500)
    with Reader(source) as decoder, pytest.raises(OutputError, match="may not be written"):
        Writer(folder / "b.mp4", decoder.source)
