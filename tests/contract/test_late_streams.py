"""Sound that begins late is carried or named, whatever comes before it."""

import struct
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import OutputError
from crsr_video.io.reader import Reader
from tests.contract.harness import enhance
from tests.support.standard_streams import Swapped, posix
from tests.support.video import make_video

FAST = OutputSettings(codec="libx264", preset="ultrafast")


def late(folder: Path, audio: str, seconds: int) -> Path:
    """Write a transport stream whose sound, and the table that names it, come after some time."""
    silent = make_video(folder / "silent.ts", frames=25 * seconds, size=(32, 32))
    plain = make_video(folder / "plain.mp4", frames=25, size=(32, 32))
    loud = folder / "loud.ts"
    with av.open(str(plain)) as source, av.open(str(loud), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream(audio, 48_000, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                offset = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = video
                target.mux(packet)
        for number in range(40):
            frame = av.AudioFrame(sound.format.name, "mono", 1024)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 48_000, seconds * 48_000 + number * 1024
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    path = folder / "in.ts"
    path.write_bytes(silent.read_bytes() + loud.read_bytes())
    return path


@pytest.mark.parametrize("audio", ["mp2", "ac3"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("seconds", [9, 25])
def test_late_sound_is_carried(tmp_path: Path, audio: str, suffix: str, seconds: int) -> None:
    source, target = late(tmp_path, audio, seconds), tmp_path / f"out{suffix}"
    run = enhance(source, target, FAST, faces=())
    with av.open(str(target)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        first = packets[0].pts * packets[0].time_base
    assert len(packets) >= 26
    assert float(first) == pytest.approx(seconds, abs=1.5)
    assert not [line for line in run.notices if "left out" in line]


def assert_sound_is_carried_or_named(reader: Reader) -> None:
    known = [stream.type for stream in reader.source.container.streams]
    for _ in reader:
        pass
    assert "audio" in known or any("left out" in line for line in reader.report.losses)


def test_sound_in_the_middle_only_is_named(tmp_path: Path) -> None:
    source = late(tmp_path, "mp2", 9)
    silent = make_video(tmp_path / "end.ts", frames=500, size=(32, 32)).read_bytes()
    source.write_bytes(source.read_bytes() + silent * 4)
    with Reader(source) as reader:
        assert_sound_is_carried_or_named(reader)


def with_late_sound(path: Path, codec: str, audio: str, seconds: int) -> Path:
    """Write a video of any container, whose sound begins after some seconds."""
    plain = make_video(path.parent / "plain.mp4", codec=codec, frames=25 * (seconds + 2))
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream(audio, 44_100, layout="mono")
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets:
            packet.stream = video
        sound.codec_context.open()
        size = sound.codec_context.frame_size
        for number in range(40):
            frame = av.AudioFrame(sound.format.name, "mono", size)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 44_100, seconds * 44_100 + number * size
            packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            target.mux(packet)
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "audio"),
    [
        (".mpg", "mpeg2video", "mp2"),
        (".mpg", "mpeg2video", "ac3"),
        (".flv", "libx264", "aac"),
        (".nut", "libx264", "aac"),
    ],
)
@pytest.mark.parametrize("seconds", [9, 25])
def test_late_sound_of_other_containers_is_carried(
    tmp_path: Path, suffix: str, codec: str, audio: str, seconds: int
) -> None:
    source = with_late_sound(tmp_path / f"in{suffix}", codec, audio, seconds)
    run = enhance(source, tmp_path / "out.mkv", FAST, faces=())
    with av.open(str(tmp_path / "out.mkv")) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    assert len(packets) >= 39
    assert float(packets[0].pts * packets[0].time_base) == pytest.approx(seconds, abs=1)
    assert not [line for line in run.notices if "left out" in line]


@posix
@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_late_sound_of_a_pipe_is_named(tmp_path: Path, suffix: str) -> None:
    codec = "libx264" if suffix == ".ts" else "mpeg2video"
    source = with_late_sound(tmp_path / f"in{suffix}", codec, "mp2", 25)
    with Swapped(source.read_bytes()), Reader("-") as reader:
        assert_sound_is_carried_or_named(reader)


@pytest.mark.parametrize(
    ("suffix", "codec", "audio"),
    [(".mkv", "libx264", "mp2"), (".nut", "mpeg4", "ac3"), (".mpg", "mpeg2video", "mp2")],
)
def test_late_sound_that_avi_plays_too_early_is_named(
    tmp_path: Path, suffix: str, codec: str, audio: str
) -> None:
    source = with_late_sound(tmp_path / f"in{suffix}", codec, audio, 4)
    run = enhance(source, tmp_path / "out.avi", None, faces=())
    assert any("avi plays sound without pauses" in line for line in run.notices), run.notices


def avi_with_late_sound(path: Path, seconds: int) -> Path:
    """Write an AVI file whose header says that the sound begins after some seconds."""
    data = bytearray(make_video(path, codec="mpeg4", frames=100, audio=1).read_bytes())
    header = data.index(b"auds")  # Its scale, rate and start follow after 20 bytes.
    scale, rate = struct.unpack_from("<II", data, header + 20)
    struct.pack_into("<I", data, header + 28, seconds * rate // scale)
    path.write_bytes(data)
    return path


def test_strict_refuses_sound_that_avi_plays_too_early(tmp_path: Path) -> None:
    strict = OutputSettings(codec="mpeg4", strict=True)
    prompt, late_sound = avi_with_late_sound(tmp_path / "prompt.avi", 0), tmp_path / "late.avi"
    enhance(prompt, tmp_path / "accepted.avi", strict, faces=())
    avi_with_late_sound(late_sound, 2)
    with pytest.raises(OutputError, match=r"avi plays sound .* 2\.0 s too early"):
        enhance(late_sound, tmp_path / "refused.avi", strict, faces=())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["accepted.avi", "late.avi", "prompt.avi"]


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_a_transport_stream_becomes_avi(tmp_path: Path, codec: str) -> None:
    source = make_video(tmp_path / "in.ts", codec=codec, frames=30, pts=range(36, 66))
    run = enhance(source, tmp_path / "out.avi", None, faces=())
    assert len(run.after) == 30
