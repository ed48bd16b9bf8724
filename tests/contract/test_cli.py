import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.cli import QUICK, assert_one_line_error, run
from tests.support.paths import PORTRAIT
from tests.support.video import remux

pytestmark = pytest.mark.usefixtures("face_models")
PROGRAM = [sys.executable, "-m", "crsr_video"]


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


def test_strict_refuses_a_result_that_loses_something(short_clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    words = ["enhance", short_clip, "-o", target, *QUICK]
    assert_one_line_error(run(*words, "--strict"), "--strict", "rounded to milliseconds")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4"]
    copied = run("enhance", short_clip, "--strict", "--codec", "copy-like", "--model", "identity")
    assert copied.exit_code == 0, copied.stderr


def test_a_video_without_faces_is_copied_with_a_warning(tmp_path: Path) -> None:
    source = black(tmp_path / "black.mkv", 64, 48)
    result = run("-q", "enhance", source, "--model", "identity")
    assert result.exit_code == 0, result.stderr
    assert f"warning: No face was found in {source}: wrote a copy" in result.stderr
    assert (tmp_path / "black.enhanced.mkv").read_bytes() == source.read_bytes()
    again = run("enhance", source, "--model", "identity", "-y", "--always-encode")
    assert again.exit_code == 0, again.stderr
    assert ": wrote " in again.stderr and "copy" not in again.stderr
    assert (tmp_path / "black.enhanced.mkv").read_bytes() != source.read_bytes()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (8192, 16)])
def test_odd_sizes_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    source = black(tmp_path / "odd.mkv", *size, pixels="yuv444p")
    result = run("enhance", source, "--model", "identity")
    assert result.exit_code == 0, result.stderr
    with av.open(str(tmp_path / "odd.enhanced.mkv")) as file:
        frames = list(file.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [size] * 3


def test_cut_off_file_is_enhanced_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    remux(PORTRAIT, whole, "matroska", 1.0)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run("enhance", cut, *QUICK)
    assert result.exit_code == 3, result.stderr
    assert "cut off" in result.stderr
    with av.open(str(tmp_path / "cut.enhanced.mkv")) as file:
        assert 5 < sum(1 for _ in file.decode(video=0)) < 25


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    whole = bytearray(PORTRAIT.read_bytes())
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
