"""Habits from other programs, and usual mistakes, get a result or one line that says what to do."""

from pathlib import Path

import pytest

from tests.support.cli import QUICK, assert_one_line_error, run
from tests.support.video import make_video


@pytest.mark.parametrize(
    "words",
    [
        ["--strength", "60%", "--texture", "50%"],
        ["--strength", "0,6", "--scale", "2x", "--min-face", "20px"],
        ["--bitrate", "4 Mbit/s", "--codec", "H.264", "--duration", "0.2 seconds"],
        ["--region", "FACE", "--face", "1=50%", "--face", "2=off"],
    ],
)
def test_natural_spellings_are_accepted(words: list[str], tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=6)
    result = run("enhance", source, *words, *QUICK)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--strength", "60"], "60 is not between 0 and 1: did you mean 60%?"),
        (["--strength", "full"], "'full' is not a number: use a number such as 0.6 or 60%"),
        (["--crf", "high"], "use a number such as 18 (lower is better and larger)"),
        (["--scale", "1080p"], "use 1, 2 or 4"),
        (["--bitrate", "8"], "8 bits per second are too few: did you mean 8M?"),
        (["--jobs", "auto"], "use a whole number such as 2"),
        (["--max-faces", "1.5"], "1.5 is not a whole number"),
        (["--face", "1=loud"], "use ID=off, ID=on, or ID=STRENGTH such as 2=0.5"),
        (["-ss", "1"], "did you mean '--start'?"),
        (["--to", "0:02"], "did you mean '--end'?"),
        (["-t", "2"], "did you mean '--duration'?"),
        (["-r"], "did you mean '--recursive'?"),
        (["--quality", "high"], "did you mean '--crf'?"),
        (["--resolution", "1080p"], "did you mean '--scale'?"),
        (["-i", "other.mp4"], "leave out '-i'"),
    ],
)
def test_other_values_and_names_of_options_get_advice(words: list[str], advice: str) -> None:
    assert_one_line_error(run("enhance", "in.mp4", *words), advice, code=2)


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (["in.mp4", "better"], "did you mean '-o {folder}/better.mp4'?"),
        (["*.mp4"], "leave out the quotes, or use --pattern"),
    ],
)
def test_names_that_look_like_mistakes_get_advice(
    names: list[str], advice: str, tmp_path: Path
) -> None:
    make_video(tmp_path / "in.mp4", frames=3)
    result = run("enhance", *(tmp_path / name for name in names))
    assert_one_line_error(result, advice.format(folder=tmp_path), code=2)


def test_an_address_is_not_taken_for_a_file() -> None:
    result = run("enhance", "https://example.org/film.mp4")
    assert_one_line_error(result, "is an address, not a file: download it first", code=2)


def test_an_option_that_the_encoder_lacks_can_be_left_out(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    result = run("enhance", source, "--for", "edit", "--preset", "fast")
    assert_one_line_error(result, "has no option preset: leave it out", code=2)


def test_an_ending_selects_files_of_a_folder(tmp_path: Path) -> None:
    make_video(tmp_path / "in.mp4", frames=3)
    make_video(tmp_path / "in.mkv", frames=3)
    result = run("enhance", "--recursive", tmp_path, "--pattern", ".mp4", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "in.mkv", "in.enhanced.mp4"}


def test_help_is_also_a_word() -> None:
    assert run("help").output == run("-h").output
    assert run("help", "preview").output == run("preview", "-h").output
    assert run("help", "plugin", "install").output == run("plugin", "install", "-h").output
