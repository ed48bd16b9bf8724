"""Pipes between processes: FFmpeg at both ends, a slow reader, and signals."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from crsr_video.io.reader import Reader
from crsr_video.types import Frame
from tests.support.paths import ROOT
from tests.support.standard_streams import ENHANCE, SECONDS, Feeder, Started, posix, sound
from tests.support.video import make_video

pytestmark = [pytest.mark.usefixtures("face_models"), posix]
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="there is no ffmpeg here")


@pytest.mark.processes
@needs_ffmpeg
def test_ffmpeg_can_be_at_both_ends(pipe_clips: Path, tmp_path: Path) -> None:
    """The recipe of the documentation works in a shell."""
    target = tmp_path / "out.mkv"
    words = [*ENHANCE[:3], "-q", *ENHANCE[3:]]
    line = (
        f"set -o pipefail; ffmpeg -v error -i '{pipe_clips / 'a.mp4'}' -c copy -f nut - |"
        f" {' '.join(words)} |"
        f" ffmpeg -v error -i - -c copy '{target}'"
    )
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, timeout=SECONDS, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Reader(pipe_clips / "a.mp4") as given, Reader(target) as made:
        before, after = ([f for f in d if isinstance(f, Frame)] for d in (given, made))
    assert len(before) == len(after)
    # FFmpeg moves everything by the delay of reordered pictures, which NUT's clock cannot hold.
    moved = after[0].seconds - before[0].seconds
    assert [f.seconds + moved for f in before] == pytest.approx(
        [f.seconds for f in after], abs=2e-3
    )
    heard = [[float(time) for time, _ in sound(path)] for path in (pipe_clips / "a.mp4", target)]
    assert [time + moved for time in heard[0]] == pytest.approx(heard[1], abs=2e-3)
    for a, b in zip(before, after, strict=True):  # The identity network changes a face a little.
        difference = np.abs(a.components[0].astype(int) - b.components[0])
        assert (difference > 0).mean() < 0.2
        assert difference.max() < 40
    assert [data for _, data in sound(target)] == [data for _, data in sound(pipe_clips / "a.mp4")]


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


@pytest.mark.processes
def test_a_slow_reader_causes_backpressure_and_may_leave(
    tmp_path: Path, started: type[Started]
) -> None:
    """Memory stays bounded while the reader waits, and its end is no error."""
    data = large(tmp_path)
    one = started()
    with Feeder(one, data):
        head = one.stdout.read(1 << 16)
        assert wait_until_blocked(one) < 10_000_000
        one.stdout.close()
        code, told = one.end()
    assert head.startswith(b"nut/multimedia container")
    assert code == 141, told
    assert "error" not in told
    assert "Traceback" not in told


def wait_until_blocked(one: Started) -> int:
    """Wait until a process writes nothing more, and return the bytes that it has written."""
    before = -1
    while (now := bytes_written(one)) != before:
        before = now
        time.sleep(0.5)
    return now


def bytes_written(one: Started) -> int:
    """Return the bytes that a process has written so far."""
    try:
        text = Path(f"/proc/{one.process.pid}/io").read_text()
    except OSError:
        pytest.skip("this system does not tell what a process writes")
    return int(text.split("wchar:")[1].split()[0])


@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "blocked"), [(signal.SIGINT, "reading"), (signal.SIGTERM, "writing")]
)
def test_signals_end_a_run_that_waits(
    pipe_clips: Path, tmp_path: Path, started: type[Started], number: signal.Signals, blocked: str
) -> None:
    """A signal ends a run that waits for its input or its output."""
    one = started()
    data = (pipe_clips / "plain.mkv").read_bytes() if blocked == "reading" else large(tmp_path)
    with Feeder(one, data):
        first = one.stdout.read(1000)
        wait_until_blocked(one)
        one.process.send_signal(number)
        code = one.process.wait(20)
        one.stdout.close()
    assert first.startswith(b"nut")
    assert code == 128 + number
    assert f"stopped by {number.name}" in one.stderr.read().decode()
