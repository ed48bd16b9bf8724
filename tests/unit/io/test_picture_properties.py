"""Side data of pictures, without reference cycles."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crsr_video.config import OutputSettings
from crsr_video.io import picture_properties
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.video import make_video


@contextmanager
def cycles() -> Iterator[Counter[str]]:
    """Count by type the objects that the block leaves to the garbage collector."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(item).__name__ for item in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def test_reading_side_data_makes_no_reference_cycle(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5, rotation=90)
    with cycles() as left:
        with Reader(path) as decoder:
            pictures = [item.native for item in decoder if isinstance(item, Frame)]
        seen = [
            picture_properties.display_matrix(picture_properties.side_data(picture))
            for picture in pictures
        ]
        assert [matrix is not None for matrix in seen] == [True] * 5
        pictures.clear()
    assert left["VideoFrame"] == left["SideDataContainer"] == 0


@pytest.mark.parametrize("flags", ["", "+ildct+ilme"])
def test_reading_and_writing_make_no_reference_cycle(tmp_path: Path, flags: str) -> None:
    options = {"flags": flags, "preset": "ultrafast"} if flags else {}
    path = make_video(tmp_path / "a.mp4", size=(64, 64), frames=8, options=options)
    fast = OutputSettings(preset="ultrafast")
    with cycles() as left:
        with Reader(path) as decoder, Writer(tmp_path / "b.mp4", decoder.source, fast) as encoder:
            for item in decoder:
                assert isinstance(item, Frame)
                encoder.push(item)
        del decoder, encoder, item
    assert left["VideoFrame"] == left["Frame"] == left["Graph"] == 0
