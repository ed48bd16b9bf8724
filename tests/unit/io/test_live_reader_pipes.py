"""Live reading of pipes: containers, following streams, damage, silence, and the end."""

import os
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from crsr_video.config import ReadSettings
from crsr_video.errors import InputError, NoVideoError
from crsr_video.io import pyav
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.source import Source
from crsr_video.types import Frame
from tests.support.sending import Writer, encoded, increasing, opened
from tests.support.signals import interrupted
from tests.support.video import picture

KINDS = {
    "nut-raw": ("nut", "rawvideo"),
    "nut-h264": ("nut", "libx264"),
    "matroska": ("matroska", "libx264"),
    "mpegts": ("mpegts", "libx264"),
    "flv": ("flv", "libx264"),
    "y4m": ("yuv4mpegpipe", "wrapped_avframe"),
    "mpeg2": ("mpegts", "mpeg2video"),
}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs POSIX")
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def standard_input() -> Iterator[int]:
    """Replace standard input by a pipe, and return its writing end."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(before, 0)
    os.close(before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_keeps_its_timestamps(fifo: Path, kind: str) -> None:
    writer = Writer(fifo, *encoded(*KINDS[kind], frames=10))
    with opened(fifo) as (incoming, taken):
        taken.add(incoming)
        assert incoming.is_live
        assert (incoming.source.info.width, incoming.source.info.height) == (64, 48)
    writer.join(5)
    steps = {b - a for a, b in zip(taken.times, taken.times[1:], strict=False)}
    assert len(taken.frames) == 10
    assert steps == {Fraction(1, 25)}
    assert taken.events == []
    assert incoming.counts.frames == 10
    assert incoming.counts.damaged_packets == 0


def test_standard_input_is_read(standard_input: int) -> None:
    writer = Writer(standard_input, *encoded("nut", "rawvideo", frames=3))
    with opened("-") as (incoming, taken):
        taken.add(incoming)
    writer.join(5)
    assert len(taken.frames) == 3


def test_raw_frames_equal_the_bytes_that_were_sent(fifo: Path) -> None:
    parts = encoded("rawvideo", "rawvideo", frames=4, pix_fmt="yuv422p")
    writer = Writer(fifo, *parts)
    form = {"size": (64, 48), "pixel_format": "yuv422p", "rate": Fraction(50)}
    with opened(fifo, format="rawvideo", **form) as (incoming, taken):
        taken.add(incoming)
    writer.join(5)
    assert [float(t) for t in taken.times] == [0, 0.02, 0.04, 0.06]
    for number, frame in enumerate(taken.frames):
        expected = pyav.views(picture(number, (64, 48), "yuv422p"))
        assert all(np.array_equal(a, b) for a, b in zip(frame.components, expected, strict=True))


def test_a_frame_comes_before_the_next_one_is_written(fifo: Path) -> None:
    """Nothing waits for later data without need."""
    parts, go_on = encoded("nut", "rawvideo", frames=4), [threading.Event() for _ in range(3)]
    steps = [parts[0], go_on[0], parts[1], go_on[1], parts[2], go_on[2], parts[3]]
    writer = Writer(fifo, *steps)
    with opened(fifo, connect_seconds=5) as (incoming, _):
        arrivals = iter(incoming)
        for number, event in enumerate([*go_on, threading.Event()]):
            arrival = next(arrivals)
            assert isinstance(arrival.item, Frame)
            assert arrival.at - writer.written[number] < 0.5
            event.set()
        assert list(arrivals) == []
    writer.join(5)


@pytest.mark.parametrize("kind", ["nut-raw", "nut-h264", "matroska", "flv", "y4m", "mpegts"])
def test_another_stream_may_follow_in_the_same_pipe(fifo: Path, kind: str) -> None:
    """It has another size and starts at time zero; it is written at once, or after a pause."""
    form = KINDS[kind]
    first, second = encoded(*form, frames=6), encoded(*form, frames=6, size=(96, 80))
    third = encoded(*form, frames=6, size=(32, 32))
    writer = Writer(fifo, b"".join(first + second), 0.2, b"".join(third))
    with opened(fifo) as (incoming, taken):
        taken.add(incoming)
    writer.join(5)
    assert [(f.info.width, f.info.height) for f in taken.sources] == [(96, 80), (32, 32)]
    assert [f.width for f in taken.frames] == [64] * 6 + [96] * 6 + [32] * 6
    assert increasing([f.pts for f in taken.frames])
    assert len({f.time_base for f in taken.frames}) == 1
    for source in taken.sources:
        place = taken.items.index(source)
        assert taken.items[place + 1] is source.first
    assert max(taken.times) < 2, "times go on where they stopped"


def test_another_stream_of_the_same_form_continues_the_clock(fifo: Path) -> None:
    parts = encoded("nut", "rawvideo", frames=5)
    writer = Writer(fifo, b"".join(parts + parts))
    with opened(fifo) as (incoming, taken):
        taken.add(incoming)
    writer.join(5)
    assert taken.times == [Fraction(i, 25) for i in range(10)]


@pytest.mark.parametrize("kind", ["mpegts", "nut-h264", "flv"])
def test_damaged_bytes_in_the_middle_are_survived(fifo: Path, kind: str) -> None:
    parts = encoded(*KINDS[kind], frames=60)
    noise = np.random.default_rng(1).bytes(3000)
    damaged = [*parts[:20], parts[20][:50], noise, *parts[21:]]
    writer = Writer(fifo, b"".join(damaged))
    with opened(fifo) as (incoming, taken):
        taken.add(incoming)
        statistics = incoming.counts
    writer.join(5)
    assert 45 <= len(taken.frames) <= 60
    assert statistics.damaged_packets + statistics.damaged_frames > 0
    assert len([line for line in taken.events if "damaged" in line]) == 1
    assert increasing(taken.times)
    assert 2 < max(taken.times) < 4


def test_audio_before_the_first_frame_is_kept(fifo: Path) -> None:
    writer = Writer(fifo, *encoded("nut", frames=8, audio=True))
    with opened(fifo) as (incoming, taken):
        taken.add(incoming)
        (sound,) = incoming.source.others
    writer.join(5)
    assert sound.type == "audio"
    assert not isinstance(taken.items[0], Source)
    times = [p.packet.pts * p.packet.time_base for p in taken.others]
    assert len(times) >= 10
    assert {p.stream for p in taken.others} == {sound.index}
    assert min(times) < Fraction(1, 20)


def test_a_silence_is_reported_once_and_waited_out(fifo: Path) -> None:
    parts = encoded("nut", "rawvideo", frames=4)
    writer = Writer(fifo, *parts[:2], 0.7, *parts[2:])
    with opened(fifo, stall_seconds=0.2) as (incoming, taken):
        taken.add(incoming)
    writer.join(5)
    assert len(taken.frames) == 4
    assert len(taken.events) == 1
    assert "nothing came for" in taken.events[0]
    assert incoming.counts.stalls == 1
    assert incoming.counts.reconnections == 0


def test_interrupt_ends_a_blocked_read(fifo: Path) -> None:
    release = threading.Event()
    writer = Writer(fifo, *encoded("nut", "rawvideo", frames=2), release)
    with opened(fifo) as (incoming, taken):
        timer = threading.Timer(0.3, incoming.interrupt)
        timer.start()
        taken.add(incoming)
        late = time.monotonic()
        timer.join()
    release.set()
    writer.join(5)
    assert len(taken.frames) == 2
    assert late - taken.at[-1] < 2
    assert incoming.state == "closed"


@pytest.mark.parametrize("kind", ["raw", "y4m"])
@pytest.mark.parametrize("left", [1, 100, 4000])
def test_a_last_frame_that_is_cut_off_is_reported(fifo: Path, kind: str, left: int) -> None:
    raw = kind == "raw"
    form = ("rawvideo", "rawvideo") if raw else KINDS["y4m"]
    parts = encoded(*form, frames=4)
    writer = Writer(fifo, *parts[:3], parts[3][:left])
    settings = {"format": "rawvideo", "size": (64, 48)} if raw else {}
    with opened(fifo, **settings) as (incoming, taken):
        taken.add(incoming)
        assert taken.events == [f"{fifo}: the last frame is cut off: its {left} bytes are left out"]
    writer.join(5)
    assert len(taken.frames) == 3


BAD = {
    "nothing": (b"", {}, NoVideoError, "is empty"),
    "y4m header": (b"YUV4MPEG2 W64 H4", {}, InputError, "its Y4M header is cut short"),
    "y4m words": (b"YUV4MPEG2 Wx\nFRAME\n", {}, InputError, "its Y4M header is invalid"),
    "y4m only": (b"YUV4MPEG2 W64 H48 F25:1\n", {}, NoVideoError, "no picture"),
    "text": (b"Hello, world. " * 500, {}, InputError, "is not a media stream"),
    "raw": (
        bytes(100),
        {"format": "rawvideo", "size": (64, 48)},
        InputError,
        "its 100 bytes do not fill a frame",
    ),
    "nut": (encoded("nut", frames=1)[0][:60], {}, InputError, "is not a media stream|no video"),
}


@pytest.mark.parametrize("name", BAD)
def test_bytes_that_are_no_video_are_refused_with_one_line(fifo: Path, name: str) -> None:
    data, settings, kind, words = BAD[name]
    writer = Writer(fifo, data)
    with pytest.raises(kind, match=words) as caught:
        LiveReader(str(fifo), ReadSettings(connect_seconds=5, **settings))
    writer.join(5)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{fifo}: ")


def test_a_silent_pipe_times_out(fifo: Path) -> None:
    release = threading.Event()
    writer = Writer(fifo, release)
    began = time.monotonic()
    with pytest.raises(InputError, match=r"sent no picture within 0\.3 s"):
        LiveReader(str(fifo), ReadSettings(connect_seconds=0.3))
    assert time.monotonic() - began < 5
    release.set()
    writer.join(5)


def test_a_signal_is_not_lost_inside_ffmpeg(fifo: Path) -> None:
    release = threading.Event()
    writer = Writer(fifo, release)
    with pytest.raises(KeyboardInterrupt), interrupted(0.3):
        LiveReader(str(fifo), ReadSettings(connect_seconds=15))
    release.set()
    writer.join(5)


def test_no_file_descriptor_stays_open(fifo: Path) -> None:
    def descriptors() -> set[str]:
        return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - closes its own

    before = descriptors()
    for _ in range(3):
        writer = Writer(fifo, *encoded("nut", "rawvideo", frames=2))
        with opened(fifo) as (incoming, taken):
            taken.add(incoming)
        writer.join(5)
    assert len(descriptors()) == len(before)
