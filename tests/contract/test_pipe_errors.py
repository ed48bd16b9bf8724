"""Standard input that is cut off, damaged or no video, and wrong options for pipes."""

import os
from pathlib import Path

import pytest

from crsr_video.config import OutputSettings, ReadSettings
from crsr_video.errors import ConfigError, InputError, OutputError
from crsr_video.io import pipes
from crsr_video.io.destinations.byte_streams import StandardOutput
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from tests.support.paths import PORTRAIT
from tests.support.standard_streams import Swapped, enhanced, posix, run
from tests.support.video import make_video

pytestmark = [pytest.mark.usefixtures("face_models"), posix]


# Input that is cut off, damaged or empty ---------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "words"),
    [("nut", []), ("y4m", []), ("rawvideo", ["--input-format", "rawvideo", "--size", "64x48"])],
)
def test_input_that_is_cut_off_gives_exit_code_3(
    pipe_clips: Path, form: str, words: list[str]
) -> None:
    """All frames before the end are written."""
    whole = enhanced((pipe_clips / "plain.mkv").read_bytes(), "--format", form).data
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


@pytest.mark.parametrize("name", ONE_LINE)
def test_bad_input_is_reported_in_one_line(name: str) -> None:
    data, words, fragment = ONE_LINE[name]
    done = run(data, *words)
    assert (done.code, done.data) == (2 if name in WRONG_USAGE else 1, b"")
    lines = done.told.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("crsr-video: error:")
    assert fragment in lines[0]


def test_a_pipe_is_for_one_video(pipe_clips: Path) -> None:
    for words in (["--recursive"], [pipe_clips / "a.mp4"]):
        done = run(b"", *words)
        assert (done.code, done.data) == (2, b"")
        assert "with several inputs, '-' cannot be used" in done.told


@pytest.mark.parametrize(
    "words",
    [["--size", "64"], ["--rate", "fast"], ["--format", "avi"], ["--input-format", "concat"]],
)
def test_wrong_usage_gives_exit_code_2(words: list[str]) -> None:
    assert run(b"", *words).code == 2


def test_settings_that_need_a_file_are_refused_for_pipes(pipe_clips: Path, tmp_path: Path) -> None:
    data = (pipe_clips / "a.nut").read_bytes()
    with Swapped(data), Reader("-") as decoder:
        with pytest.raises(ConfigError, match="use -o to name the result"):
            plan_output(decoder.source, None)
        with pytest.raises(ConfigError, match="which a pipe does not contain"):
            plan_output(decoder.source, tmp_path / "a.mp4", OutputSettings(codec="copy-like"))
        with pytest.raises(ConfigError, match="suffix selects its format"):
            plan_output(decoder.source, tmp_path / "a.mp4", OutputSettings(container="nut"))
    with pytest.raises(ConfigError, match="for standard input only"):
        Reader(pipe_clips / "a.nut", settings=ReadSettings(format="nut"))
    with pytest.raises(ConfigError, match="must be one of"):
        Reader("-", settings=ReadSettings(format="hls"))


def test_chapters_of_a_pipe_are_limited(tmp_path: Path) -> None:
    """FFmpeg would need an hour to read them."""
    clip = make_video(tmp_path / "a.mkv", chapters=True)
    data = bytearray(clip.read_bytes())
    at = data.rfind(b"\x10\x43\xa7\x70", 0, data.find(b"\x1f\x43\xb6\x75", 2000))
    assert at > 0
    giant = b"\x10\x43\xa7\x70" + b"\x10\x20\x00\x00" + bytes(1 << 21)
    with Swapped(bytes(data[:at]) + giant), pytest.raises(InputError, match="too many chapters"):
        Reader("-")


def test_terminals_are_refused() -> None:
    terminal, other = os.openpty()
    before = os.dup(1)
    try:
        with pytest.raises(InputError, match="standard input is a terminal"):
            pipes.InputPipe(other)
        os.dup2(other, 1)
        try:
            with pytest.raises(OutputError, match="standard output is a terminal"):
                StandardOutput()
        finally:
            os.dup2(before, 1)
    finally:
        for number in (before, terminal, other):
            os.close(number)
