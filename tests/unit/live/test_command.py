"""``crsr-video live`` as a program: pipes, signals, options and exit codes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import av
import pytest

from tests.support.cli import assert_one_line_error, run
from tests.support.paths import PORTRAIT
from tests.support.standard_streams import Swapped, posix
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")

PROGRAM = [sys.executable, "-m", "crsr_video", "live"]
QUICK = ["--model", "identity"]
LONG = 60.0
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def complaint(*words: object, feed: bytes = b"", code: int = 1) -> str:
    """Return the one line of an error. There must be nothing on standard output."""
    command = [*PROGRAM, *map(str, words)]
    done = subprocess.run(command, input=feed, capture_output=True, timeout=LONG, check=False)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert done.stdout == b""
    assert len(lines) == 1, lines
    assert lines[0].startswith("crsr-video: error: ")
    return lines[0]


@pytest.mark.processes
@ffmpeg
def test_a_stream_passes_between_two_ffmpeg_programs(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    clip = PORTRAIT
    source = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "30", "-i", str(clip)]
    source += ["-f", "nut", "-c:v", "rawvideo", "-c:a", "copy", "-"]
    sink = ["ffmpeg", "-v", "error", "-i", "-", "-c:v", "ffv1", "-frames:v", "40", str(output)]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(source, stdout=pipe, stderr=pipe) as camera,
        subprocess.Popen(
            [*PROGRAM, "-i", "-", "-o", "-", "--json", "--max-latency", "5000"],
            stdin=camera.stdout,
            stdout=pipe,
            stderr=pipe,
        ) as live,
        subprocess.Popen(sink, stdin=live.stdout, stderr=pipe) as player,
    ):
        assert camera.stdout and live.stdout and live.stderr and player.stderr
        camera.stdout.close()
        live.stdout.close()
        events = [json.loads(line) for line in live.stderr]
        assert live.wait(LONG) == 0
        complained = player.stderr.read().decode()
        assert player.wait(LONG) == 0, complained
        camera.wait(LONG)  # It complains of the pipe that was closed, as it should.
    assert events[-1]["event"] == "summary"
    assert events[-1]["sink_gone"]
    assert events[-1]["unenhanced"] <= events[-1]["frames_out"]
    assert {"statistics"} <= {event["event"] for event in events}
    with av.open(str(output)) as file:
        seen = [frame.pts for frame in file.decode(video=0)]
    assert seen == sorted(set(seen))
    assert len(seen) == 40


@pytest.mark.processes
def test_a_run_ends_without_an_error_when_the_viewer_leaves() -> None:
    clip = PORTRAIT
    words = ["-i", str(clip), "--realtime", "--loop", "-o", "-", *QUICK]
    pipe = subprocess.PIPE
    with subprocess.Popen([*PROGRAM, *words], stdout=pipe, stderr=pipe) as live:
        assert live.stdout and live.stderr
        assert live.stdout.read(300_000)
        live.stdout.close()
        assert live.wait(LONG) == 0
        assert "stopped: the reader closed the output" in live.stderr.read().decode()


@pytest.mark.processes
def test_a_signal_ends_a_run_with_a_complete_file_and_report(tmp_path: Path) -> None:
    output, report = tmp_path / "out.mp4", tmp_path / "report.json"
    words = ["-i", str(PORTRAIT), "--realtime", "--loop", "-o", str(output)]
    words += ["--report", str(report), "--json", *QUICK]
    pipe = subprocess.PIPE
    with subprocess.Popen([*PROGRAM, *words], stdout=pipe, stderr=pipe) as live:
        assert live.stdout and live.stderr
        assert any(b'"statistics"' in line for line in live.stdout)
        live.send_signal(signal.SIGTERM)
        assert live.wait(LONG) == 128 + signal.SIGTERM
        last = json.loads(live.stdout.read().splitlines()[-1])
    assert last["event"] == "summary"
    with av.open(str(output)) as file:
        assert len(list(file.decode(video=0))) == last["frames_out"] > 0
    enhanced = last["frames_out"] - last["unenhanced"]
    assert json.loads(report.read_text())["frames"]["total"] == enhanced
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "report.json"}


def test_an_unusable_source_is_an_error_of_one_line(tmp_path: Path) -> None:
    nut = make_video(tmp_path / "a.nut", codec="ffv1", container="nut").read_bytes()
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    assert "/dev/video99" in complaint("-i", "/dev/video99", "-o", "-")
    assert "127.0.0.1" in complaint("-i", f"rtmp://127.0.0.1:{port}/live/a", "-o", "-")
    assert "size" in complaint(
        "-i", "-", "--input-format", "rawvideo", "-o", "-", feed=b"abc", code=2
    )
    assert "standard input" in complaint("-i", "-", "-o", "-", feed=b"YUV4MPEG2 W64 H4")
    assert "standard input" in complaint("-i", "-", "-o", "-", feed=os.urandom(4000))
    assert "standard input" in complaint("-i", "-", "-o", "-", feed=b"")
    assert "existing" in complaint("-i", PORTRAIT, "-o", tmp_path / "existing" / "a.mkv", feed=nut)


@posix
def test_a_sender_that_stops_within_a_frame_ends_the_run_normally(tmp_path: Path) -> None:
    output = tmp_path / "out.nut"
    words = ["-i", "-", "--input-format", "rawvideo", "--size", "64x48", "--rate", "25"]
    words += ["--pixel-format", "gray", "-o", str(output), *QUICK]
    with Swapped(bytes(64 * 48 * 10 + 100)):
        result = run("live", *words)
    lines = result.stderr.splitlines()
    assert result.exit_code == 0, lines
    told = "standard input: the last frame is cut off: its 100 bytes are left out"
    assert f"crsr-video: {told}" in lines
    assert lines[-1] == f"crsr-video: Wrote {output}"


@posix
def test_a_receiver_that_never_comes_back_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server, frame = socket.create_server(("127.0.0.1", 0)), bytes(64 * 48)

    def feed() -> None:
        """Send frames, the last ones after the receiver has closed its port for good."""
        with pipe.open("wb") as file:
            file.write(10 * frame)
            file.flush()
            connected, _ = server.accept()
            with server, connected:
                connected.recv(1)
            file.write(50 * frame)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    words = ["-i", pipe, "--input-format", "rawvideo", "--size", "64x48", "--rate", "25"]
    words += ["--pixel-format", "gray", "-o", f"tcp://127.0.0.1:{server.getsockname()[1]}", *QUICK]
    result = run("live", *words)
    feeder.join(LONG)
    assert_one_line_error(result, "127.0.0.1", "did not come back")


@pytest.mark.parametrize(
    "words",
    [
        ["--max-latency", "1"],
        ["--size", "big"],
        ["--rate", "0"],
        ["--rate", "1/0"],
        ["--seconds", "0"],
        ["--bitrate", "much"],
        ["--preview", "99999"],
        ["--scale", "2"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    assert run("live", "-i", "-", "-o", "-", *words).exit_code == 2
