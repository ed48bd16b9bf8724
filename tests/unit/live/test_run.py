"""Whole live runs in this process: files in, files out."""

import json
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video import Config
from crsr_video.config import ReadSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.live import Hooks, LiveSettings, LiveStatistics, LiveSummary, run
from tests.support.paths import PORTRAIT
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")

IDENTITY = Config.from_options(model="identity")


def settings(source: object, sink: object, **fields: object) -> LiveSettings:
    fields.setdefault("config", Config.from_options(on_error="passthrough"))
    return LiveSettings(source=str(source), output=str(sink), **fields)


def pictures(path: Path, count: int | None = None) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        frames = (frame.to_ndarray() for frame in file.decode(video=0))
        return [frame for _, frame in zip(range(count or 10**6), frames, strict=False)]


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [frame.pts * frame.time_base for frame in file.decode(video=0)]


def test_a_file_is_enhanced_completely_and_keeps_its_timestamps(
    tmp_path: Path,
) -> None:
    output, seen, figures = tmp_path / "out.nut", [], []
    summary = run(
        settings(PORTRAIT, output, config=Config.from_options(report=(tmp_path / "r.json",))),
        Hooks(finished=seen.append, statistics=figures.append),
    )
    assert seen == [summary]
    assert {told.faces for told in figures} <= {0, 1}
    assert summary.live.faces == 1
    assert summary.live.faces_seen == summary.statistics.faces > 10
    assert [told.faces_seen for told in figures] == sorted(told.faces_seen for told in figures)
    before, after = pictures(PORTRAIT), pictures(output)
    assert len(after) == len(before) == summary.live.frames_out
    assert np.diff([float(t) for t in times(output)]) == pytest.approx(
        np.diff([float(t) for t in times(PORTRAIT)]), abs=1e-3
    )
    changed = [np.abs(b.astype(int) - a).max() > 3 for b, a in zip(before, after, strict=True)]
    assert sum(changed) > 0.7 * len(changed)  # It comes in within some frames.
    # Corners hold no face: the pictures are raw, so they are the source's to the bit.
    assert all(np.array_equal(b[:8, :8], a[:8, :8]) for b, a in zip(before, after, strict=True))
    assert summary.live.dropped == 0
    assert summary.live.level == "full"
    assert summary.statistics.tracks == 1
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["frames"]["total"] == len(after)
    assert len(told["people"]) == 1
    assert told["source"]["path"] == str(PORTRAIT)


def test_a_pipe_at_the_pace_of_a_camera_keeps_its_order_and_has_statistics(tmp_path: Path) -> None:
    seconds, told = 3.0, []
    output = tmp_path / "out.mkv"
    with StandInCamera(seconds) as address:
        summary = run(
            settings(address, output, max_latency=5.0, config=IDENTITY),
            Hooks(statistics=told.append),
        )
    written = times(output)
    assert written == sorted(set(written))
    assert len(written) == summary.live.frames_out > 20
    assert summary.live.frames_in == summary.live.frames_out + summary.live.dropped
    assert isinstance(told[0], LiveStatistics)
    latency = told[-1].latency
    assert 0 < latency.p50 <= latency.p95 <= latency.p99 <= latency.most
    assert set(told[-1].stages) >= {"track", "align", "super-resolve", "paste", "write"}
    assert told[-1].memory is None or told[-1].memory > 50


class StandInCamera:
    """Thread that writes the sample clip into a pipe in real time, as NUT."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stop = threading.Event()

    def __enter__(self) -> str:
        read, self._write = os.pipe()
        self._read = read
        self._thread = threading.Thread(target=self._play)
        self._thread.start()
        return f"/dev/fd/{read}"

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        os.close(self._read)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _play(self) -> None:
        try:
            with (
                os.fdopen(self._write, "wb", 0) as pipe,
                av.open(pipe, "w", format="nut", options={"flush_packets": "1"}) as out,
            ):
                stream = out.add_stream("rawvideo", rate=25)
                for index, picture in enumerate(self._pictures()):
                    if index == 0:
                        stream.height, stream.width = picture.shape[0] * 2 // 3, picture.shape[1]
                        stream.pix_fmt = "yuv420p"
                    if index / 25 >= self._seconds or self._stop.wait(0.04):
                        break
                    frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
                    frame.pts, frame.time_base = index, Fraction(1, 25)
                    out.mux(stream.encode(frame))
        except OSError:
            pass

    def _pictures(self) -> Iterator[np.ndarray]:
        kept = pictures(PORTRAIT)
        while True:
            yield from kept


def test_the_output_keeps_its_size_when_the_source_changes_its_format(tmp_path: Path) -> None:
    one = make_video(tmp_path / "a.ts", container="mpegts", size=(64, 48), frames=30)
    two = make_video(tmp_path / "b.ts", container="mpegts", size=(96, 64), frames=30)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    output, told = tmp_path / "out.nut", []
    summary = run(
        settings(both, output, config=IDENTITY),
        Hooks(notice=told.append),
    )
    assert {picture.shape for picture in pictures(output)} == {(72, 64)}
    assert summary.live.frames_out == 60
    assert sum("96x64" in line for line in told) == 1


def test_sound_that_begins_before_the_pictures_has_rising_times_in_flv(tmp_path: Path) -> None:
    """The sound of the clip begins with a packet before time zero; RTMP carries FLV."""
    output = tmp_path / "out.flv"
    run(settings(PORTRAIT, output, config=IDENTITY))
    times = sound_times(output)
    assert len(times) > 20
    assert times == sorted(set(times))


def test_the_second_of_two_packets_of_sound_at_time_zero_is_left_out_in_flv(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mp4", frames=25, audio=1)
    data = bytearray(clip.read_bytes())
    durations, edit = data.rfind(b"stts"), data.rfind(b"elst")
    # A first packet without a duration, then the others; and no edit that cuts off the first one.
    packets = struct.unpack_from(">I", data, durations + 12)[0]
    struct.pack_into(">5I", data, durations + 8, 2, 1, 0, packets, 1024)
    struct.pack_into(">I", data, edit + 16, 0)
    clip.write_bytes(data)
    assert sound_times(clip)[:3] == [0, 0, 1024]
    output = tmp_path / "out.flv"
    run(settings(clip, output, config=IDENTITY))
    times = sound_times(output)
    assert len(times) == packets
    assert times == sorted(set(times))


def sound_times(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [packet.pts for packet in file.demux(audio=0) if packet.pts is not None]


def test_an_exception_in_the_calling_thread_still_finishes_the_file(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def interrupt(_: LiveStatistics) -> None:
        if not interrupted:
            interrupted.append(True)
            raise Stop

    output, finished, interrupted = tmp_path / "out.mkv", [], []
    wanted = settings(PORTRAIT, output, config=IDENTITY)
    wanted = replace(
        wanted, config=replace(wanted.config, reading=ReadSettings(realtime=True, loop=True))
    )
    with pytest.raises(Stop):
        run(wanted, Hooks(statistics=interrupt, finished=finished.append))
    assert isinstance(finished[0], LiveSummary)
    assert len(pictures(output)) == finished[0].live.frames_out > 0
    assert not [p for p in tmp_path.iterdir() if p.name != "out.mkv"]


def test_a_run_ends_after_the_requested_time(tmp_path: Path) -> None:
    wanted = settings(PORTRAIT, tmp_path / "out.nut", config=IDENTITY, seconds=1.0)
    wanted = replace(
        wanted, config=replace(wanted.config, reading=ReadSettings(realtime=True, loop=True))
    )
    summary = run(wanted)
    assert 0.9 < summary.live.seconds < 10


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_latency": 0.0}, "max_latency"),
        ({"seconds": 0.0}, "seconds"),
        ({"config": Config.from_options(scale=2)}, "scale"),
        ({"config": Config.from_options(background="clean")}, "background"),
        ({"config": Config.from_options(tracks=Path("t.json"))}, "tracks"),
        ({"config": Config.from_options(resume=True)}, "resumed"),
        ({"config": Config.from_options(reading=ReadSettings(loop=True))}, "requires `realtime`"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(settings("a", "b"), **fields)


def test_unusable_sources_and_outputs_leave_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        run(settings(tmp_path / "nowhere.mp4", tmp_path / "out.mkv"))
    with pytest.raises(OutputError, match="is the source itself"):
        run(settings(PORTRAIT, PORTRAIT, config=Config.from_options(overwrite=True)))
    with pytest.raises(OutputError, match="no-folder"):
        run(settings(PORTRAIT, tmp_path / "no-folder" / "out.mkv"))
    with pytest.raises(OutputError, match=r"refused|reach"):
        run(settings(PORTRAIT, "tcp://127.0.0.1:9"))
    assert not list(tmp_path.iterdir())
