"""Encoding begins at the first changed frame, and an unchanged video is never encoded."""

from pathlib import Path

import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import InputError
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.jobs import video_file
from crsr_video.jobs.video_file import DeferredWriter
from crsr_video.types import Frame
from tests.support.recorded import copied, frames_of, leftovers
from tests.support.video import make_video

LOSSLESS = OutputSettings(codec="ffv1")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a video of 20 frames with sound. Nothing may write to it."""
    folder = tmp_path_factory.mktemp("deferred")
    return make_video(folder / "in.mkv", codec="ffv1", frames=20, audio=1)


def inverted(frame: Frame) -> Frame:
    return frame.with_components(tuple(255 - plane for plane in frame.components))


def write(source: Path, target: Path, first_changed: int, seen: list[int]) -> None:
    """Write a video in which the frames from a number on are inverted."""
    with (
        Reader(source) as reader,
        Writer(target, reader.source, LOSSLESS) as writer,
    ):
        deferred = DeferredWriter(writer, source, on_frame=seen.append)
        number = 0
        for item in reader:
            if isinstance(item, Frame):
                deferred.push(inverted(item) if number >= first_changed else item)
                assert deferred.is_unchanged == (number < first_changed)
                number += 1
            else:
                deferred.push_packet(item)
        deferred.write_discarded()


@pytest.mark.parametrize("first_changed", [0, 1, 13, 20])
def test_all_frames_and_packets_are_written(
    source: Path, tmp_path: Path, first_changed: int
) -> None:
    target, seen = tmp_path / "out.mkv", list[int]()
    write(source, target, first_changed, seen)
    assert seen == list(range(1, first_changed + 1))
    before, after = frames_of(source), frames_of(target)
    assert [frame.pts for frame in after] == [frame.pts for frame in before]
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        wanted = inverted(old) if number >= first_changed else old
        assert all(map(np.array_equal, wanted.components, new.components))
    assert copied(target) == copied(source)


def test_nothing_is_encoded_before_the_first_change(source: Path, tmp_path: Path) -> None:
    with Reader(source) as reader:
        writer = Writer(tmp_path / "out.mkv", reader.source, LOSSLESS)
        writer.abort()  # Every further frame would now be an error.
        deferred = DeferredWriter(writer, source)
        for item in reader:
            if isinstance(item, Frame):
                deferred.push(item)
            else:
                deferred.push_packet(item)
    assert deferred.is_unchanged


def test_an_unchanged_result_is_a_copy_of_the_source(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    with Reader(source) as reader, Writer(target, reader.source, LOSSLESS) as writer:
        writer.publish_copy()
    assert target.read_bytes() == source.read_bytes()
    assert leftovers(tmp_path) == []


def test_a_long_unchanged_part_is_announced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_file, "MANY_FRAMES", 20)
    said: list[str] = []
    with Reader(source) as reader, Writer(tmp_path / "o.mkv", reader.source, LOSSLESS) as writer:
        deferred = DeferredWriter(writer, source, on_notice=said.append)
        for item in reader:
            if isinstance(item, Frame):
                deferred.push(item)
        deferred.write_discarded()
    assert said == ["writing the 20 frames before the first change"]


def test_a_source_that_became_shorter_is_an_error(source: Path, tmp_path: Path) -> None:
    growing = tmp_path / "in.mkv"
    growing.write_bytes(source.read_bytes())
    with (
        pytest.raises(InputError, match="was changed while it was read"),
        Reader(growing) as reader,
        Writer(tmp_path / "out.mkv", reader.source, LOSSLESS) as writer,
    ):
        deferred = DeferredWriter(writer, growing)
        for item in reader:
            if isinstance(item, Frame):
                deferred.push(item)
        make_video(growing, codec="ffv1", frames=5, audio=1)
        deferred.write_discarded()
    assert not (tmp_path / "out.mkv").exists()
