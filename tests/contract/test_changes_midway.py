"""Changes in the middle of a file are followed or named, and --strict refuses them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video import api
from crsr_video.config import Config, OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.reader import Reader
from crsr_video.io.source import field_order
from crsr_video.types import Frame
from tests.contract.harness import enhance
from tests.support.video import make_video

CONFIG = Config.from_options(model="identity", device="cpu", precision="fp32")
STRICT = CONFIG.with_options(output=OutputSettings(strict=True))
BT601, BT709 = (6, 6, 6, 1), (1, 1, 1, 1)
INTERLACED = {"flags": "+ildct+ilme"}


def joined(folder: Path, suffix: str, *parts: dict[str, object]) -> Path:
    """Write parts with other properties one after another, on one clock."""
    path = folder / f"in{suffix}"
    path.write_bytes(
        b"".join(
            make_video(folder / f"part{number}{suffix}", frames=25, **part).read_bytes()
            for number, part in enumerate(parts)
        )
    )
    return path


def marked_as_interlaced(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [frame.interlaced_frame for frame in container.decode(video=0)]


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "mpeg2video"), (".ts", "libx264")])
def test_fields_that_begin_midway_are_encoded_as_fields(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    flags = {"x264-params": "tff=1"} if codec == "libx264" else INTERLACED
    fields = {"options": flags}
    source = joined(tmp_path, suffix, {"codec": codec}, {"codec": codec, **fields})
    assert any(marked_as_interlaced(source))
    result = tmp_path / f"out{suffix}"
    enhance(source, result, OutputSettings(strict=True), faces=())
    assert marked_as_interlaced(result)[-5:] == [True] * 5


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".nut", ".mpg"])
def test_fields_that_begin_midway_are_found_in_any_container(tmp_path: Path, suffix: str) -> None:
    parts = {"codec": "mpeg2video"}, {"codec": "mpeg2video", "options": INTERLACED}
    stream, source = joined(tmp_path, ".ts", *parts), tmp_path / f"in{suffix}"
    assert any(marked_as_interlaced(stream))
    with av.open(str(stream)) as old, av.open(str(source), "w") as new:
        copy, clock = new.add_stream_from_template(old.streams.video[0]), 0
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream, packet.pts, packet.dts = copy, clock, clock
                packet.time_base = Fraction(1, 25)
                clock += 1
                new.mux(packet)
    with Reader(source) as reader:
        assert reader.source.first.interlaced == "progressive"
        assert field_order(reader.source) != "progressive"


CHANGES: dict[str, tuple[str, dict[str, object], dict[str, object], str]] = {
    "size, ts": (".ts", {}, {"size": (96, 64)}, "picture's size changes"),
    "size, mpg": (
        ".mpg",
        {"codec": "mpeg2video"},
        {"codec": "mpeg2video", "size": (96, 64)},
        "picture's size changes",
    ),
    "aspect, ts": (
        ".ts",
        {"codec": "mpeg2video", "sample_aspect": Fraction(1)},
        {"codec": "mpeg2video", "sample_aspect": Fraction(4, 3)},
        "shape of pixels changes",
    ),
    "aspect, h264": (".ts", {}, {"sample_aspect": Fraction(4, 3)}, "shape of pixels changes"),
    "colours, ts": (".ts", {"colour": BT601}, {"colour": BT709}, "colours change from bt601"),
    "colours, mpg": (
        ".mpg",
        {"codec": "mpeg2video", "colour": BT601},
        {"codec": "mpeg2video", "colour": BT709},
        "colours change from bt601",
    ),
    "range, ts": (
        ".ts",
        {"colour": (1, 1, 1, 1)},
        {"colour": (1, 1, 1, 2)},
        "range of colours changes",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_named_and_strict_refuses_them(tmp_path: Path, name: str) -> None:
    suffix, first, second, notice = CHANGES[name]
    source = joined(tmp_path, suffix, first, second)
    lines: list[str] = []
    api.enhance(source, tmp_path / "out.mp4", config=CONFIG, on_notice=lines.append)
    assert any(notice in line for line in lines), lines
    with pytest.raises(OutputError, match=notice):
        api.enhance(source, tmp_path / "strict.mp4", config=STRICT)
    assert not (tmp_path / "strict.mp4").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [(BT601, BT709), (BT709, BT601), ((9, 14, 9, 1), BT709), (BT709, (1, 1, 1, 2))],
)
def test_colours_look_the_same_after_a_change(
    tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """Each matrix codes red with other numbers, but it stays the same red."""
    weights = {6: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}

    def red(colour: tuple[int, ...]) -> list[float]:
        (kr, kb), full = weights[colour[2]], colour[3] == 2
        y, cb, cr = kr, -kr / (2 * (1 - kb)), 0.5
        scale = (255, 255, 0) if full else (219, 224, 16)
        return [y * scale[0] * 0.8 + scale[2], cb * scale[1] * 0.8 + 128, cr * scale[1] * 0.8 + 128]

    parts = [{"colour": c, "flat": red(c)} for c in (first, second)]
    with Reader(joined(tmp_path, ".ts", *parts)) as reader:
        frames = [item for item in reader if isinstance(item, Frame)]
    means = [[float(np.mean(plane)) for plane in frame.components] for frame in frames]
    assert len({frame.layout for frame in frames}) == 1
    assert means[-3] == pytest.approx(means[2], abs=2)
