"""A second video whose pictures are reordered is copied with the times that it has."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from crsr_video.io.reader import Reader
from tests.contract.harness import FFV1, enhance
from tests.support.video import make_video


def two_videos(path: Path, codec: str, frames: int, b_frames: int) -> Path:
    """Write a file with two videos, the second one smaller and with reordered pictures."""
    folder = path.parent
    first = make_video(folder / "first.mp4", codec=codec, frames=frames, b_frames=b_frames)
    second = make_video(
        folder / "second.mp4", codec=codec, size=(32, 32), frames=frames, b_frames=b_frames
    )
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(path), "w") as out:
        copies = [out.add_stream_from_template(c.streams.video[0]) for c in (one, two)]
        packets = [
            (p, copy)
            for c, copy in zip((one, two), copies, strict=True)
            for p in c.demux()
            if p.size
        ]
        for packet, copy in sorted(packets, key=lambda pair: pair[0].dts * pair[0].time_base):
            packet.stream = copy
            out.mux(packet)
    return path


def shown(path: Path, index: int) -> list[tuple[Fraction, bytes]]:
    """Return the presentation times and the bytes of the packets of one stream."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(container.streams[index])
            if packet.size
        ]


@pytest.mark.parametrize(
    ("codec", "b_frames"), [("libx264", 3), ("libx264", 0), ("mpeg4", 2), ("libx265", 4)]
)
@pytest.mark.parametrize("frames", [2, 12, 90])
@pytest.mark.parametrize(
    ("suffix", "result"), [(".mkv", ".mkv"), (".mkv", ".mp4"), (".mp4", ".mov")]
)
def test_copied_video_keeps_its_times(
    tmp_path: Path, codec: str, b_frames: int, frames: int, suffix: str, result: str
) -> None:
    source = two_videos(tmp_path / f"in{suffix}", codec, frames, b_frames)
    target = tmp_path / f"out{result}"
    run = enhance(source, target, None if result != ".mkv" else FFV1, faces=())
    with Reader(source) as reader:
        copied = 1 - reader.source.video.index
    got, expected = shown(target, copied), shown(source, copied)
    assert [time for time, _ in got] == [time for time, _ in expected]
    if suffix == result:
        assert got == expected
    assert not [line for line in run.notices if "backwards" in line]
