"""Reading from the middle of a file finds every frame, however far the keyframes are apart."""

import hashlib
from pathlib import Path

import av
import pytest

from crsr_video.config import Config
from crsr_video.errors import NoVideoError
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments import enhance_resumably
from crsr_video.types import Frame
from tests.support.video import make_video

FRAMES = 150
CLIPS = {
    "transport stream, h264": (".ts", "libx264", {"gop": FRAMES, "b_frames": 2}),
    "transport stream, hevc": (".ts", "libx265", {"options": {"x265-params": "keyint=-1"}}),
    "transport stream, mpeg4": (".ts", "mpeg4", {"gop": FRAMES}),
    "program stream, mpeg2": (".mpg", "mpeg2video", {"gop": FRAMES}),
    "one keyframe, h264 in AVI": (".avi", "libx264", {"gop": FRAMES}),
    "one keyframe, h264 in Flash Video": (".flv", "libx264", {"gop": FRAMES, "b_frames": 2}),
    "one keyframe, wmv2": (".wmv", "wmv2", {"gop": FRAMES}),
    "two keyframes, h264": (".ts", "libx264", {"gop": 75, "b_frames": 2}),
}


def clip(folder: Path, name: str, frames: int = FRAMES) -> Path:
    suffix, codec, options = CLIPS[name]
    return make_video(folder / f"in{suffix}", codec=codec, frames=frames, **options)


def pictures(path: Path, **part: float) -> list[str]:
    with Reader(path, **part) as reader:
        found = [item for item in reader if isinstance(item, Frame)]
        return [hashlib.md5(b"".join(p.tobytes() for p in f.components)).hexdigest() for f in found]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("start", "duration"), [(1, 2), (3, 1), (5.6, None)])
def test_part_is_found_behind_any_keyframe(
    tmp_path: Path, name: str, start: float, duration: float | None
) -> None:
    path = clip(tmp_path, name)
    whole = pictures(path)
    first = round(25 * start)
    last = None if duration is None else first + round(25 * duration)
    assert pictures(path, start=start, duration=duration) == whole[first:last]


@pytest.mark.parametrize("name", CLIPS)
def test_resumable_run_loses_no_frame(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path, name, 90)
    config = Config.from_options(model="identity", device="cpu", precision="fp32")
    output = tmp_path / f"out{path.suffix}"
    enhance_resumably(path, output, config, length=25)
    assert len(pictures(output)) == len(pictures(path)) == 90


def test_segment_without_frames_is_an_error(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", codec="mjpeg", pix_fmt="yuvj420p", frames=60)
    path = tmp_path / "in.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                spoilt = packet if number < 10 else av.Packet(bytes(packet.size))
                spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
                spoilt.stream = copy
                target.mux(spoilt)
    config = Config.from_options(model="identity", device="cpu", precision="fp32")
    with pytest.raises(NoVideoError, match=r"frames of segment 2 of 3 could be decoded"):
        enhance_resumably(path, tmp_path / "out.mkv", config, length=20)
