import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

import crsr_video
from crsr_video.cli import main
from crsr_video.cli.doctor import OPTIONAL_PARTS
from crsr_video.networks import onednn
from crsr_video.track import face_models
from tests.support.paths import ROOT

CLIPS = ROOT / "clips"
PROGRAM = [sys.executable, "-m", "crsr_video"]
QUICK = ["--model", "identity", "--preset", "ultrafast"]


@pytest.fixture(scope="module", autouse=True)
def models() -> None:
    face_models.resolve_all()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Path(shutil.copy(CLIPS / "portrait.mp4", tmp_path / "clip.mp4"))


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def assert_one_line_error(result: Result, *fragments: str, code: int = 1) -> None:
    assert result.exit_code == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("crsr-video: error:")]
    assert len(lines) == 1, result.stderr
    for fragment in fragments:
        assert fragment in lines[0], lines[0]
    assert "Traceback" not in result.stderr


def black(path: Path, width: int, height: int, frames: int = 3, pixels: str = "yuv420p") -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        for index in range(frames):
            picture = np.full((height, width, 3), 20 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(format=pixels)))
        file.mux(stream.encode(None))
    return path


# What works --------------------------------------------------------------------------------------


def test_default_output_lies_beside_the_input(clip: Path) -> None:
    result = run("enhance", clip, "--duration", 0.4, *QUICK)
    assert result.exit_code == 0, result.stderr
    output = clip.with_name("clip.enhanced.mp4")
    with av.open(str(output)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 10
        assert len(file.streams.audio) == 1
    assert "Enhanced 1 person in 10 of 10 frames" in result.stderr
    assert str(output) in result.stderr
    assert result.stdout == ""


def test_shipped_weights_change_the_face_and_nothing_else(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    result = run("enhance", clip, "-o", output, "--duration", 0.2, "--codec", "ffv1")
    assert result.exit_code == 0, result.stderr
    with av.open(str(clip)) as before, av.open(str(output)) as after:
        pairs = list(zip(before.decode(video=0), after.decode(video=0), strict=False))
        changed = [
            np.abs(a.to_ndarray().astype(int) - b.to_ndarray()[:540].astype(int))[:360]
            for a, b in pairs
        ]
    assert len(changed) == 5
    for difference in changed:
        ys, xs = np.nonzero(difference)
        assert difference.max() > 3
        # The face is 60 to 75 pixels wide; its crop no more than two and a half times that.
        assert np.ptp(xs) < 190
        assert np.ptp(ys) < 190


def test_json_is_one_object_a_line(clip: Path) -> None:
    result = run("enhance", clip, "--duration", 0.2, "--json", *QUICK)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0]["event"] == "start"
    summary = events[-1]
    assert summary["event"] == "summary"
    assert (summary["frames"], summary["tracks"], summary["truncated"]) == (5, 1, False)
    assert set(summary["stage_seconds"]) >= {"track", "align", "super-resolve", "smooth", "paste"}
    assert "crsr-video" not in result.stderr


def test_quiet_says_nothing(clip: Path) -> None:
    result = run("-q", "enhance", clip, "--duration", 0.2, *QUICK)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "crsr-video" not in result.stderr


def test_scale_doubles_the_picture(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "large.mp4"
    assert (
        run("enhance", clip, "-o", output, "--scale", 2, "--duration", 0.2, *QUICK).exit_code == 0
    )
    with av.open(str(output)) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (1280, 720)


def test_the_upscaler_is_a_choice(clip: Path, tmp_path: Path) -> None:
    pictures = []
    for name in ("lanczos", "cubic"):
        target = tmp_path / f"{name}.mp4"
        words = ["--scale", 2, "--upscaler", name, "--duration", 0.1, "-o", target]
        assert run("enhance", clip, *words, *QUICK).exit_code == 0
        with av.open(str(target)) as file:
            pictures.append(next(file.decode(video=0)).to_ndarray(format="gray"))
    assert not np.array_equal(*pictures)


def test_strict_writes_nothing_that_is_not_whole(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    words = ["enhance", clip, "-o", target, *QUICK]
    assert_one_line_error(run(*words, "--strict"), "--strict", "rounded to milliseconds")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4"]
    copied = run("enhance", clip, "--strict", "--codec", "copy-like", "--model", "identity")
    assert copied.exit_code == 0, copied.stderr


def test_a_video_without_faces_is_copied_and_says_so_loudly(tmp_path: Path) -> None:
    source = black(tmp_path / "black.mkv", 64, 48)
    result = run("-q", "enhance", source, *QUICK[:2])
    assert result.exit_code == 0, result.stderr
    assert f"warning: No face was found in {source}: wrote a copy" in result.stderr
    assert (tmp_path / "black.enhanced.mkv").read_bytes() == source.read_bytes()
    again = run("enhance", source, *QUICK[:2], "-y", "--always-encode")
    assert again.exit_code == 0, again.stderr
    assert "wrote the same picture to" in again.stderr
    assert (tmp_path / "black.enhanced.mkv").read_bytes() != source.read_bytes()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (8192, 16)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    source = black(tmp_path / "odd.mkv", *size, pixels="yuv444p")
    result = run("enhance", source, *QUICK[:2])
    assert result.exit_code == 0, result.stderr
    with av.open(str(tmp_path / "odd.enhanced.mkv")) as file:
        frames = list(file.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [size] * 3


def test_cut_off_file_is_enhanced_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    assert run("enhance", CLIPS / "portrait.mp4", "-o", whole, *QUICK).exit_code == 0
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run("enhance", cut, *QUICK)
    assert result.exit_code == 3, result.stderr
    assert "cut off" in result.stderr
    with av.open(str(tmp_path / "cut.enhanced.mkv")) as file:
        assert 10 < sum(1 for _ in file.decode(video=0)) < 75


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    whole = bytearray((CLIPS / "portrait.mp4").read_bytes())
    middle = len(whole) // 2
    for offset in range(middle, middle + 4000, 7):
        whole[offset] ^= 0xFF
    source = tmp_path / "flipped.mp4"
    source.write_bytes(whole)
    result = run("enhance", source, *QUICK)
    assert result.exit_code == 3, result.stderr
    assert "damaged" in result.stderr or "missing" in result.stderr
    with av.open(str(tmp_path / "flipped.enhanced.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) > 60


def test_help_lists_commands_without_importing_heavy_libraries() -> None:
    """That is what keeps the start-up time at about 0.2 s."""
    code = "import sys; from crsr_video.cli import main; main(['--help'], standalone_mode=False);"
    code += "print('imported:', sorted({'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "enhance" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_version_is_printed() -> None:
    assert crsr_video.__version__ in run("--version").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert "_CRSR_VIDEO_COMPLETE" in run("completion", shell).stdout


def test_models_are_listed_with_licence_and_hash() -> None:
    rows = json.loads(run("models", "--json").stdout)
    assert {"fast", "landmarks"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["state"] == "verified"
        assert row["licence"]
        assert len(row["sha256"]) == 64


def test_doctor_finds_everything() -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "FAIL" not in result.stdout
    for word in ("torch", "libx264", "verified", "frames a second"):
        assert word in result.stdout


@pytest.mark.parametrize("able", [True, False])
def test_doctor_names_the_precision_and_the_reason_for_it(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if able and not onednn.has_vnni():
        pytest.skip("this processor cannot multiply bytes by itself")
    monkeypatch.setattr(onednn, "has_vnni", lambda: able)
    monkeypatch.setattr(onednn, "has_bf16", lambda: True)
    found = json.loads(run("doctor", "--device", "cpu", "--json").stdout)
    told, ran = found["device"]["text"], found["self-test"]["text"]
    assert told.startswith(f"cpu, {'int8' if able else 'bf16'} on CPU: the processor ")
    assert f"({'int8' if able else 'bf16'}, " in ran
    assert "fast (measured for int8)" in found["weights"]["text"]


def test_doctor_says_what_is_still_to_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "todo  face models" in result.stdout
    assert "models --fetch" in result.stdout


def test_doctor_fails_where_something_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(tmp_path))
    result = run("doctor")
    assert result.exit_code == 1
    assert "FAIL  face models" in result.stdout
    assert "remedy: put the files there" in result.stdout


def test_doctor_names_a_remedy_for_everything_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = json.loads(run("doctor", "--json").stdout)
    assert found["ffmpeg"]["state"] == "none"
    assert found["face models"]["state"] == "todo"
    for name, part in found.items():
        assert (part["state"] == "ok") == (part["remedy"] == ""), name


def test_doctor_lists_every_extra_for_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "docs", "test"}
    assert extras <= {part.name for part in OPTIONAL_PARTS}


# What must fail, and how -------------------------------------------------------------------------


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
def test_what_is_no_video_fails_with_one_line(tmp_path: Path, make: object) -> None:
    source = tmp_path / "source.mp4"
    make(source)
    result = run("enhance", source)
    assert_one_line_error(result, "source.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.mp4"]


def test_missing_file(tmp_path: Path) -> None:
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
def test_impossible_choices(clip: Path, words: list[str], code: int) -> None:
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
def test_wrong_usage(clip: Path, words: list[str]) -> None:
    result = run("enhance", clip, *words)
    assert_one_line_error(result, words[0], "enhance -h' shows the options", code=2)


def test_output_must_not_be_the_input(clip: Path) -> None:
    before = clip.read_bytes()
    assert_one_line_error(run("enhance", clip, "-o", clip, "--overwrite"), "clip.mp4")
    assert clip.read_bytes() == before


def test_existing_output_is_kept_unless_told_otherwise(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    assert_one_line_error(run("enhance", clip, "-o", output), "out.mp4")
    assert output.read_text() == "precious"
    result = run("enhance", clip, "-o", output, "--overwrite", "--duration", 0.2, *QUICK)
    assert result.exit_code == 0
    assert output.stat().st_size > 1000


@pytest.mark.parametrize("where", ["missing/out.mp4", "clip.mp4/out.mp4"])
def test_unwritable_folder(clip: Path, where: str) -> None:
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
def test_broken_weights(clip: Path, tmp_path: Path, content: bytes, fragment: str) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(content)
    assert_one_line_error(run("enhance", clip, "--model", weights), fragment, "mine.safetensors")
    assert not (tmp_path / "clip.enhanced.mp4").exists()


def _small_disk() -> None:
    import resource  # Windows lacks it.

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_full_disk_leaves_nothing(clip: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "enhance", clip, *QUICK[:2], "--codec", "ffv1", "-o", clip.with_name("out.mkv")],
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
    """A run that has begun to write."""
    process = subprocess.Popen(
        [*PROGRAM, "enhance", clip, "--json", *QUICK[:2], "--preset", "veryslow", "--scale", "4"],
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(
    running: subprocess.Popen[str], clip: Path, number: signal.Signals
) -> None:
    running.send_signal(number)
    _, told = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert f"stopped by {number.name}" in told
    assert "Traceback" not in told
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4"]


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
def test_closed_streams_do_no_harm(clip: Path, closed: str) -> None:
    words = " ".join([*PROGRAM, "enhance", str(clip), "--duration", "0.1", *QUICK])
    done = subprocess.run(
        ["sh", "-c", f"exec {words} {closed}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with av.open(str(clip.with_name("clip.enhanced.mp4"))) as file:
        assert sum(1 for _ in file.decode(video=0)) == 3
