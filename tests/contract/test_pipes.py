"""Video through standard input and output gives the same results as through files."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.config import OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.io import pipes, pyav
from crsr_video.io.containers import raw_format
from crsr_video.io.destinations.byte_streams import StandardOutput
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.track import face_models
from crsr_video.types import Frame
from tests.support.paths import ROOT
from tests.support.video import make_video

PORTRAIT = ROOT / "clips" / "portrait.mp4"
ENHANCE = [sys.executable, "-m", "crsr_video", "enhance", "-", "-o", "-", "--model", "identity"]
SECONDS = 60
"""Timeout of a test."""
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg here")
posix = pytest.mark.skipif(os.name != "posix", reason="swaps POSIX file descriptors")


@pytest.fixture(scope="module", autouse=True)
def models() -> None:
    face_models.resolve_all()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a quarter of a second with a face in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    for name, container in (("a.mp4", "mp4"), ("a.nut", "nut"), ("a.mkv", "matroska")):
        remux(PORTRAIT, folder / name, container)
    make_video(folder / "plain.mkv", codec="ffv1", frames=20, audio=1)
    return folder


def remux(source: Path, target: Path, container: str, seconds: float = 0.24) -> None:
    """Copy the beginning of a clip, packet by packet."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=container) as made:
        streams = {s.index: made.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = streams[packet.stream_index]
                made.mux(packet)


@dataclass
class Run:
    """The outcome of a run in this process."""

    code: int
    told: str
    data: bytes

    @property
    def frames(self) -> list[Frame]:
        return frames_in(self.data)


def frames_in(data: bytes) -> list[Frame]:
    with av.open(io.BytesIO(data)) as container:
        return [
            Frame(
                tuple(pyav.views(p)),
                pyav.layout(p),
                p.pts or 0,
                p.time_base or Fraction(1),
                native=p,
            )
            for p in container.decode(video=0)
        ]


class Swapped:
    """Replace standard input by some bytes, and keep what goes to standard output."""

    def __init__(self, data: bytes | None = None) -> None:
        self._data, self.kept = data, b""
        self._before = os.dup(0), os.dup(1)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Swapped":
        self._ends = os.pipe(), os.pipe()
        (self._read, self._feed), (collect, write) = self._ends
        os.dup2(self._read, 0)
        os.dup2(write, 1)
        os.close(self._read)
        os.close(write)
        jobs = ((self._give, self._feed), (self._keep, collect))
        self._threads = [threading.Thread(target=job, args=(end,)) for job, end in jobs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in enumerate(self._before):
            os.dup2(old, number)
            os.close(old)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _give(self, end: int) -> None:
        with suppress(BrokenPipeError), open(end, "wb") as file:
            file.write(self._data or b"")

    def _keep(self, end: int) -> None:
        with open(end, "rb") as file:
            self.kept = file.read()


def run(data: bytes, *words: object) -> Run:
    """Run ``crsr-video enhance - -o - WORDS`` in this process."""
    with Swapped(data) as swapped:
        result = CliRunner().invoke(
            main, ["enhance", "-", "-o", "-", "--model", "identity", *map(str, words)]
        )
    assert result.stdout == ""
    return Run(result.exit_code, result.stderr, swapped.kept)


def enhanced(data: bytes, *words: object) -> Run:
    done = run(data, *words)
    assert done.code == 0, done.told
    return done


def same(a: Frame, b: Frame) -> bool:
    pairs = zip(a.components, b.components, strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def sound(source: Path | io.BytesIO) -> list[tuple[Fraction, bytes]]:
    with av.open(source) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        return [(p.pts * p.time_base, bytes(p)) for p in packets]


# The same as through files -----------------------------------------------------------------------


@posix
def test_a_pipe_gives_the_same_result_as_a_file(clips: Path, tmp_path: Path) -> None:
    """Frames, timestamps and audio are identical, with the shipped weights."""
    file = tmp_path / "file.nut"
    words = ["enhance", clips / "a.nut", "-o", file, "--codec", "ffv1"]
    assert CliRunner().invoke(main, [str(w) for w in words]).exit_code == 0
    pipe = enhanced((clips / "a.nut").read_bytes(), "--model", "fast")
    with Reader(file) as decoder:
        wanted = [item for item in decoder if isinstance(item, Frame)]
    assert len(wanted) == len(pipe.frames) >= 6
    for a, b in zip(wanted, pipe.frames, strict=True):
        assert a.seconds == b.seconds
        assert same(a, b)
    assert sound(io.BytesIO(pipe.data)) == sound(clips / "a.nut") == sound(file)
    with Reader(clips / "a.nut") as decoder:
        source = [item for item in decoder if isinstance(item, Frame)]
    assert not any(same(a, b) for a, b in zip(source, wanted, strict=True))  # Faces were changed.


@needs_ffmpeg
@posix
def test_ffmpeg_can_be_at_both_ends(clips: Path, tmp_path: Path) -> None:
    """The recipe of the documentation works in a shell."""
    target = tmp_path / "out.mkv"
    words = [*ENHANCE[:3], "-q", *ENHANCE[3:]]
    line = (
        f"set -o pipefail; ffmpeg -v error -i '{clips / 'a.mp4'}' -c copy -f nut - |"
        f" {' '.join(words)} |"
        f" ffmpeg -v error -i - -c copy '{target}'"
    )
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, timeout=SECONDS, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Reader(clips / "a.mp4") as given, Reader(target) as made:
        before, after = ([f for f in d if isinstance(f, Frame)] for d in (given, made))
    assert len(before) == len(after)
    # FFmpeg moves everything by the delay of reordered pictures, which NUT's clock cannot hold.
    moved = after[0].seconds - before[0].seconds
    assert [f.seconds + moved for f in before] == pytest.approx(
        [f.seconds for f in after], abs=2e-3
    )
    heard = [[float(time) for time, _ in sound(path)] for path in (clips / "a.mp4", target)]
    assert [time + moved for time in heard[0]] == pytest.approx(heard[1], abs=2e-3)
    for a, b in zip(before, after, strict=True):  # The identity network changes a face a little.
        difference = np.abs(a.components[0].astype(int) - b.components[0])
        assert (difference > 0).mean() < 0.2
        assert difference.max() < 40
    assert [data for _, data in sound(target)] == [data for _, data in sound(clips / "a.mp4")]


@posix
def test_one_end_may_be_a_file(clips: Path, tmp_path: Path) -> None:
    """A file never holds raw pictures, although a pipe does."""
    with Swapped() as swapped:
        words = ["enhance", clips / "plain.mkv", "-o", "-", "--model", "identity"]
        result = CliRunner().invoke(main, [str(w) for w in words])
    assert (result.exit_code, len(frames_in(swapped.kept))) == (0, 20), result.stderr
    target = tmp_path / "out.mkv"
    with Swapped(swapped.kept):
        words = ["enhance", "-", "-o", target, "--model", "identity", "--crf", 0]
        result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.stderr
    assert "raw pictures are written with libx264" in result.stderr
    with Reader(clips / "plain.mkv") as given, Reader(target) as made:
        assert made.info.codec == "h264"
        before, after = ([f for f in d if isinstance(f, Frame)] for d in (given, made))
    assert all(same(a, b) for a, b in zip(before, after, strict=True))
    assert len(sound(target)) == len(sound(clips / "plain.mkv")) > 10


@posix
@pytest.mark.parametrize("form", ["nut", "matroska", "mpegts", "y4m", "rawvideo"])
def test_every_output_format_can_be_read_again(clips: Path, form: str) -> None:
    """Every container that is written can be read again, with all that it can carry."""
    out = enhanced((clips / "plain.mkv").read_bytes(), "--format", form)
    words = ["--input-format", form] if form in ("y4m", "rawvideo") else []
    if form == "rawvideo":
        assert len(out.data) == 20 * 64 * 48 * 3 // 2
        words += ["--size", "64x48", "--rate", "25"]
    again = enhanced(out.data, *words, "--strength", 0)
    with Reader(clips / "plain.mkv") as decoder:
        frames = [f for f in decoder if isinstance(f, Frame)]
    times = [f.seconds for f in again.frames]  # NUT begins with the sound, 21 ms before.
    assert [t - times[0] for t in times] == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
    if form != "mpegts":
        assert all(same(a, b) for a, b in zip(frames, again.frames, strict=True))
    bare = form in ("y4m", "rawvideo")
    assert (f"left out because {'yuv4mpegpipe' if form == 'y4m' else form}" in out.told) == bare
    assert ("holds no times" in out.told) == bare
    if not bare:
        copied = sound(io.BytesIO(again.data))
        wanted = [data for _, data in sound(clips / "plain.mkv")]
        header = 7 if form == "mpegts" else 0  # ADTS
        assert [data[header:] for _, data in copied] == wanted


@posix
def test_audio_stays_beside_its_picture(tmp_path: Path) -> None:
    """Packets wait for frames, which are late by the lookahead of the stages."""
    clip = make_video(tmp_path / "a.mkv", codec="ffv1", frames=75, audio=2)
    out = enhanced(clip.read_bytes())
    with av.open(io.BytesIO(out.data)) as container:
        seen = [(p.stream_index, float(p.dts * p.time_base)) for p in container.demux() if p.size]
    latest = 0.0
    for _, at in seen:
        assert at > latest - 0.3
        latest = max(latest, at)
    assert {index for index, _ in seen} == {0, 1, 2}


@posix
def test_a_part_of_a_pipe_can_be_enhanced(clips: Path) -> None:
    out = enhanced((clips / "plain.mkv").read_bytes(), "--start", 0.2, "--duration", 0.4)
    assert [f.seconds for f in out.frames] == [i / 25 for i in range(10)]


@posix
def test_a_redirected_file_is_read_as_a_file(tmp_path: Path) -> None:
    """An MP4 file with its index at the end cannot be piped, but ``< video.mp4`` works."""
    clip = make_video(tmp_path / "a.mov", codec="png", pix_fmt="rgb24", size=(320, 240))
    assert clip.stat().st_size > 1 << 19  # More than FFmpeg reads at once.
    with clip.open("rb") as file, Swapped() as swapped:
        os.dup2(file.fileno(), 0)
        words = ["enhance", "-", "-o", "-", "--model", "identity"]
        result = CliRunner().invoke(main, words)
    assert (result.exit_code, len(frames_in(swapped.kept))) == (0, 12), result.stderr
    through_pipe = run(clip.read_bytes())
    assert through_pipe.code == 1
    assert "index in front" in through_pipe.told


def test_raw_pixel_formats_are_replaced_where_a_container_lacks_them() -> None:
    assert raw_format("nut", "yuv422p10le") == "yuv422p10le"
    assert raw_format("nut", "p010le") == "yuv420p10le"
    assert raw_format("nut", "yuvj420p") == "yuvj420p"
    assert raw_format("yuv4mpegpipe", "nv12") == "yuv420p"
    assert raw_format("yuv4mpegpipe", "yuv420p10le") == "yuv420p10le"
    assert raw_format("rawvideo", "nv12") == "nv12"


@posix
def test_lost_tags_are_named(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mkv", colour=(9, 16, 9, 1), pix_fmt="yuv420p10le")
    with Swapped(), Reader(clip) as decoder:
        notices = plan_output(decoder.source, "-").notices
        assert any("colour tags (bt2020, smpte2084" in told for told in notices)
        kept = plan_output(decoder.source, "-", OutputSettings(container="matroska")).notices
        assert not any("colour tags" in told for told in kept)
        with pytest.raises(OutputError, match=r"standard output: not written because of --strict"):
            plan_output(decoder.source, "-", OutputSettings(strict=True))


# What is cut off, damaged or none ----------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("form", "words"),
    [("nut", []), ("y4m", []), ("rawvideo", ["--input-format", "rawvideo", "--size", "64x48"])],
)
def test_input_that_is_cut_off_gives_exit_code_3(clips: Path, form: str, words: list[str]) -> None:
    """All frames that are there are written."""
    whole = enhanced((clips / "plain.mkv").read_bytes(), "--format", form).data
    done = run(whole[: len(whole) // 2 + 100], *words)
    assert done.code == 3, done.told
    assert 5 <= len(done.frames) <= 10
    assert "standard input is cut off" in done.told


ONE_LINE = {
    "empty": (b"", [], "is empty"),
    "text": (b"hello there, this is no video\n" * 9, [], "is not a media stream"),
    "y4m": (b"YUV4MPEG2 W64 H48", [], "Y4M header is cut short"),
    "raw": (b"\x10" * 1000, ["--input-format", "rawvideo", "--size", "64x48"], "do not fill"),
    "list": (b"ffconcat version 1.0\nfile /etc/passwd\n", [], "lists or describes other files"),
    "no size": (b"", ["--input-format", "rawvideo"], "give --size, such as 640x480"),
    "no raw": (b"", ["--size", "64x48"], "for --input-format rawvideo only"),
    "format": (
        b"\x10" * 9000,
        ["--input-format", "rawvideo", "--size", "64x48", "--pixel-format", "foo"],
        "no pixel format 'foo'",
    ),
    "giant": (b"\x10", ["--input-format", "rawvideo", "--size", "99999x9"], "too large"),
    "wrong": (b"\x10" * 9000, ["--input-format", "nut"], "is not nut video"),
    "resume": (b"", ["--resume"], "--resume needs an input file and an output file"),
    "report": (b"", ["--report", "a.html"], "--report needs an input file and an output file"),
    "tracks": (b"", ["--tracks", str(PORTRAIT)], "--tracks belongs to a video file"),
}
WRONG_USAGE = frozenset(("no size", "no raw", "format", "resume", "report", "tracks"))
"""Cases in which an option is wrong, and not the input."""


@posix
@pytest.mark.parametrize("name", ONE_LINE)
def test_bad_input_is_reported_in_one_line(name: str) -> None:
    data, words, fragment = ONE_LINE[name]
    done = run(data, *words)
    assert (done.code, done.data) == (2 if name in WRONG_USAGE else 1, b"")
    lines = done.told.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("crsr-video: error:")
    assert fragment in lines[0]


@posix
def test_a_pipe_is_for_one_video(clips: Path) -> None:
    for words in (["--recursive"], [clips / "a.mp4"]):
        done = run(b"", *words)
        assert (done.code, done.data) == (2, b"")
        assert "several inputs need file names" in done.told


@posix
@pytest.mark.parametrize(
    "words",
    [["--size", "64"], ["--rate", "fast"], ["--format", "avi"], ["--input-format", "concat"]],
)
def test_wrong_usage_gives_exit_code_2(words: list[str]) -> None:
    assert run(b"", *words).code == 2


@posix
def test_settings_that_need_a_file_are_refused_for_pipes(clips: Path, tmp_path: Path) -> None:
    data = (clips / "a.nut").read_bytes()
    with Swapped(data), Reader("-") as decoder:
        with pytest.raises(ConfigError, match="use -o to name the result"):
            plan_output(decoder.source, None)
        with pytest.raises(ConfigError, match="which a pipe does not contain"):
            plan_output(decoder.source, tmp_path / "a.mp4", OutputSettings(codec="copy-like"))
        with pytest.raises(ConfigError, match="suffix selects its format"):
            plan_output(decoder.source, tmp_path / "a.mp4", OutputSettings(container="nut"))
    with pytest.raises(ConfigError, match="for standard input only"):
        Reader(clips / "a.nut", settings=ReadSettings(format="nut"))
    with pytest.raises(ConfigError, match="must be one of"):
        Reader("-", settings=ReadSettings(format="hls"))


@posix
def test_chapters_of_a_pipe_are_limited(tmp_path: Path) -> None:
    """FFmpeg would need an hour to read them."""
    clip = make_video(tmp_path / "a.mkv", chapters=True)
    data = bytearray(clip.read_bytes())
    at = data.rfind(b"\x10\x43\xa7\x70", 0, data.find(b"\x1f\x43\xb6\x75", 2000))
    assert at > 0
    giant = b"\x10\x43\xa7\x70" + b"\x10\x20\x00\x00" + bytes(1 << 21)
    with Swapped(bytes(data[:at]) + giant), pytest.raises(InputError, match="too many chapters"):
        Reader("-")


@posix
def test_terminals_are_refused() -> None:
    terminal, other = os.openpty()
    before = os.dup(1)
    try:
        with pytest.raises(InputError, match="standard input is a terminal"):
            pipes.Inlet(other)
        os.dup2(other, 1)
        try:
            with pytest.raises(OutputError, match="standard output is a terminal"):
                StandardOutput()
        finally:
            os.dup2(before, 1)
    finally:
        for number in (before, terminal, other):
            os.close(number)


# Neighbours --------------------------------------------------------------------------------------


@posix
def test_only_video_goes_to_standard_output(clips: Path) -> None:
    """Events, and anything else that is printed, go to standard error."""
    done = enhanced((clips / "plain.mkv").read_bytes(), "--json")
    assert len(done.frames) == 20
    events = [json.loads(line)["event"] for line in done.told.splitlines()]
    assert (events[0], events[-1]) == ("start", "summary")
    with Swapped() as swapped:
        errors, write = os.pipe()
        before = os.dup(2)
        os.dup2(write, 2)
        outlet = StandardOutput()
        os.write(1, b"chatter of a library")
        outlet.write(b"video")
        outlet.finish()
        os.dup2(before, 2)
        os.write(1, b", and what follows")
        for number in (before, write):
            os.close(number)
    with os.fdopen(errors, "rb") as file:
        assert file.read() == b"chatter of a library"
    assert swapped.kept == b"video, and what follows"


@posix
def test_no_file_descriptor_is_left_open(clips: Path) -> None:
    data = (clips / "plain.mkv").read_bytes()

    def opened() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    with Swapped(data):
        before = opened()
        with Reader("-") as decoder, Writer("-", decoder.source) as encoder:
            for item in decoder:
                encoder.push(item) if isinstance(item, Frame) else encoder.push_packet(item)
        assert opened() <= before  # The reader of the input may have finished meanwhile.
        assert os.fstat(1)


class Started:
    """Run ``crsr-video enhance - -o -`` as a process of its own."""

    def __init__(self, *words: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*ENHANCE, *words], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stderr = self.process.stderr

    def end(self) -> tuple[int, str]:
        """Return the exit code, and standard error."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        code = self.process.wait(SECONDS)
        self.stdout.close()
        told = self.stderr.read().decode()
        self.stderr.close()
        return code, told


@pytest.fixture
def started() -> Iterator[type[Started]]:
    made: list[Started] = []

    class Kept(Started):
        def __init__(self, *words: str) -> None:
            super().__init__(*words)
            made.append(self)

    yield Kept
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        for stream in (one.stdin, one.stdout, one.stderr):
            with suppress(BrokenPipeError):
                stream.close()


def large(tmp_path: Path) -> bytes:
    """Return a clip of 15 MB when raw, far more than all buffers hold."""
    clip = make_video(tmp_path / "a.mkv", size=(176, 144), frames=400, rate=30, audio=1)
    return clip.read_bytes()


@posix
def test_a_slow_reader_causes_backpressure_and_may_leave(
    tmp_path: Path, started: type[Started]
) -> None:
    """Memory stays bounded while the reader waits, and its end is no error."""
    data = large(tmp_path)
    one = started()
    with Feeder(one, data):
        head = one.stdout.read(1 << 16)
        time.sleep(1.0)
        first = bytes_written(one)
        time.sleep(1.0)
        assert bytes_written(one) == first < 10_000_000  # Held up: it has written all it may.
        one.stdout.close()
        code, told = one.end()
    assert head.startswith(b"nut/multimedia container")
    assert code == 141, told
    assert "error" not in told
    assert "Traceback" not in told


def bytes_written(one: Started) -> int:
    """Return the bytes that a process has written so far."""
    try:
        text = Path(f"/proc/{one.process.pid}/io").read_text()
    except OSError:
        pytest.skip("this system does not tell what a process writes")
    return int(text.split("wchar:")[1].split()[0])


class Feeder:
    """Feed a process from a thread."""

    def __init__(self, one: Started, data: bytes) -> None:
        self._thread = threading.Thread(target=self._run, args=(one, data))

    def _run(self, one: Started, data: bytes) -> None:
        with suppress(BrokenPipeError, ValueError):
            one.stdin.write(data)
            one.stdin.flush()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


@posix
@pytest.mark.parametrize(
    ("number", "blocked"), [(signal.SIGINT, "reading"), (signal.SIGTERM, "writing")]
)
def test_signals_end_a_run_that_waits(
    clips: Path, tmp_path: Path, started: type[Started], number: signal.Signals, blocked: str
) -> None:
    """A signal ends a run that waits for its input or its output."""
    one = started()
    data = (clips / "plain.mkv").read_bytes() if blocked == "reading" else large(tmp_path)
    with Feeder(one, data):
        first = one.stdout.read(1000)
        time.sleep(0.5)
        begin = time.monotonic()
        one.process.send_signal(number)
        code = one.process.wait(SECONDS)
        assert time.monotonic() - begin < 20
        one.stdout.close()
    assert first.startswith(b"nut")
    assert code == 128 + number
    assert f"stopped by {number.name}" in one.stderr.read().decode()
