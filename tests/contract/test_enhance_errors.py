"""Inputs and options that ``crsr-video enhance`` refuses in one line, and runs that are stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.cli import QUICK, assert_one_line_error, run

pytestmark = pytest.mark.usefixtures("face_models")
ENHANCE = [sys.executable, "-m", "crsr_video", "enhance", "--model", "identity"]


# Inputs and options that are refused --------------------------------------------------------------


def _text(path: Path) -> None:
    path.write_text("This is no video.\n" * 100)


def _empty(path: Path) -> None:
    path.touch()


def _sound(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", 48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w", format="avi") as file:
        stream = file.add_stream("mpeg4", 25)
        stream.width, stream.height = 64, 64
        file.start_encoding()


@pytest.mark.parametrize("make", [_text, _empty, _sound, _no_frames])
def test_files_without_video_fail_with_one_line(tmp_path: Path, make: object) -> None:
    source = tmp_path / "source.mp4"
    make(source)
    result = run("enhance", source)
    assert_one_line_error(result, "source.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.mp4"]


@pytest.mark.parametrize("lossless", [True, False])
def test_an_animated_webp_file_is_refused_with_the_reason(tmp_path: Path, lossless: bool) -> None:
    frames = [Image.new("RGB", (64, 64), (40 * i, 90, 90)) for i in range(4)]
    path = tmp_path / "moving.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=lossless)
    result = run("enhance", path, "-o", tmp_path / "out.mp4")
    assert_one_line_error(result, "moving.webp: is an animated WebP file")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    assert_one_line_error(run("enhance", tmp_path / "gone.mp4"), "gone.mp4")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--codec", "nonsense"], 2),
        (["--codec", "aac"], 2),
        (["-x", "nonsense=1"], 2),
        (["--preset", "nonsense"], 2),
        (["--model", "nonsense"], 1),
        (["--model", "gone.safetensors"], 1),
        (["--device", "cuda:99"], 1),
        (["--device", "nonsense"], 1),
        (["--crf", "20", "--bitrate", "1M"], 2),
        (["--end", "1", "--duration", "1"], 2),
    ],
)
def test_impossible_choices_are_refused(clip: Path, words: list[str], code: int) -> None:
    assert_one_line_error(run("enhance", clip, *words), code=code)
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4"]


@pytest.mark.parametrize(
    "words",
    [
        ["--strength", "-1"],
        ["--strength", "2"],
        ["--scale", "3"],
        ["--start", "-1"],
        ["--duration", "0"],
        ["--min-face", "-5"],
        ["--crf", "-1"],
        ["--bitrate", "fast"],
        ["-x", "nonsense"],
        ["--on-error", "explode"],
    ],
)
def test_wrong_usage_names_the_option(clip: Path, words: list[str]) -> None:
    result = run("enhance", clip, *words)
    assert_one_line_error(result, words[0], "enhance -h' shows the options", code=2)


def test_output_must_not_be_the_input(clip: Path) -> None:
    before = clip.read_bytes()
    assert_one_line_error(run("enhance", clip, "-o", clip, "--overwrite"), "clip.mp4")
    assert clip.read_bytes() == before


def test_existing_output_is_kept_without_overwrite(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    assert_one_line_error(run("enhance", clip, "-o", output), "out.mp4")
    assert output.read_text() == "precious"
    result = run("enhance", clip, "-o", output, "--overwrite", "--duration", 0.2, *QUICK)
    assert result.exit_code == 0
    assert output.stat().st_size > 1000


@pytest.mark.parametrize("where", ["missing/out.mp4", "clip.mp4/out.mp4"])
def test_an_unwritable_folder_is_refused(clip: Path, where: str) -> None:
    assert_one_line_error(run("enhance", clip, "-o", clip.parent / where), "no such folder")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "impossible size"),
        (b"garbage" * 100, "damaged"),
        (b"\x80\x04\x95rest of a pickle", "pickle"),
        (b"PK\x03\x04 a torch.save file", "pickle"),
    ],
)
def test_broken_weights_are_refused(
    clip: Path, tmp_path: Path, content: bytes, fragment: str
) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(content)
    assert_one_line_error(run("enhance", clip, "--model", weights), fragment, "mine.safetensors")
    assert not (tmp_path / "clip.enhanced.mp4").exists()


def _small_disk() -> None:
    import resource  # Windows lacks it.

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_full_disk_leaves_nothing(clip: Path) -> None:
    done = subprocess.run(
        [*ENHANCE, clip, "--codec", "ffv1", "-o", clip.with_name("out.mkv")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_small_disk,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1, done.stderr
    assert "out.mkv" in errors[0]
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4"]


@pytest.fixture
def running(clip: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and wait until it reports its first progress."""
    process = subprocess.Popen(
        [*ENHANCE, clip, "--json", "--preset", "veryslow", "--scale", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "progress" in line:
            break
    yield process
    process.kill()
    process.communicate()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_leave_nothing(running: subprocess.Popen[str], clip: Path, name: str) -> None:
    number = signal.Signals[name]
    running.send_signal(number)
    _, told = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert f"stopped by {number.name}" in told
    assert "Traceback" not in told
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4"]


@pytest.mark.processes
def test_closed_output_streams_do_no_harm(clip: Path) -> None:
    words = " ".join([*ENHANCE, str(clip), "--duration", "0.1"])
    done = subprocess.run(
        ["sh", "-c", f"exec {words} >&- 2>&-"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with av.open(str(clip.with_name("clip.enhanced.mp4"))) as file:
        assert sum(1 for _ in file.decode(video=0)) == 3
