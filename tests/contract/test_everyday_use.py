"""Everyday use of ``crsr-video enhance``: names, times, sizes, people, and second runs."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.io import images
from tests.support.cli import QUICK, run
from tests.support.paths import CLIPS
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")


def error_of(*words: object) -> str:
    """Return the one line of a usage error."""
    result = run(*words)
    assert result.exit_code == 2, result.stderr
    (line,) = result.stderr.splitlines()
    return line.removeprefix("crsr-video: error: ")


def duration(path: Path) -> float:
    with av.open(str(path)) as file:
        return file.streams.video[0].frames / 25


# Names --------------------------------------------------------------------------------------------


def test_a_second_name_is_taken_for_a_forgotten_option(clip: Path) -> None:
    output = clip.with_name("out.mp4")
    assert (
        error_of("enhance", clip, output)
        == f"{output}: does not exist: did you mean '-o {output}'?"
    )


def test_a_file_or_a_misspelt_word_in_place_of_a_command_gets_a_suggestion(clip: Path) -> None:
    message = error_of(clip)
    assert message.startswith(f"'{clip}' is not a command: did you mean '")
    assert f" enhance {clip}'?" in message
    assert " enhance'?" in error_of("enhanse", clip)
    assert error_of("zip").startswith("there is no command 'zip' (")


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="HEIC can be written here")
def test_a_missing_package_for_photos_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"photo")
    result = run("enhance", tmp_path / "a.heic")
    assert "HEIC needs the package pillow-heif: install it, or write .jpg" in result.stderr


@pytest.mark.parametrize("words", [[], ["plugin"]])
def test_a_group_without_a_command_prints_its_help(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) > 10


def test_a_folder_needs_recursive(tmp_path: Path) -> None:
    assert "add --recursive" in error_of("enhance", tmp_path)


def test_an_output_without_ending_can_be_a_file_or_a_folder(clip: Path) -> None:
    output = clip.with_name("better")
    message = error_of("enhance", clip, "-o", output)
    assert f"use {output}.mp4 for a file, or {output}/ for a folder" in message
    result = run("enhance", clip, "-o", f"{output}/", "--duration", "0.2", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert (output / "clip.mp4").is_file()


@pytest.mark.parametrize("words", [["-y"], ["--overwrite"]])
def test_overwriting_is_chosen_before_or_after_the_command(clip: Path, words: list[str]) -> None:
    output = clip.with_name("clip.enhanced.mp4")
    for before, after in ((words, []), ([], words)):
        output.write_text("older")
        result = run(*before, "enhance", clip, *after, "--duration", "0.2", *QUICK)
        assert result.exit_code == 0, result.stderr
        assert output.stat().st_size > 1000


# Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--start", "0:02", "--end", "00:00:02.4"],
        ["--start", "2", "--duration", "400ms"],
    ],
)
def test_times_are_written_as_ffmpeg_takes_them(clip: Path, words: list[str]) -> None:
    result = run("enhance", clip, *words, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert duration(clip.with_name("clip.enhanced.mp4")) == pytest.approx(0.4)


def test_a_time_and_its_unit_belong_together(clip: Path) -> None:
    apart = error_of("enhance", clip, "--duration", "5", "seconds")
    assert apart == "'seconds' is not a file: write times as 5, 0:05 or 1:02:03"


def test_an_end_before_the_start_is_refused(clip: Path) -> None:
    assert "--end must be after --start" in error_of("enhance", clip, "--start", "2", "--end", "1")
    words = ["--end", "2", "--duration", "1"]
    assert "--end and --duration exclude each other" in error_of("enhance", clip, *words)


# Sizes --------------------------------------------------------------------------------------------


def test_the_summary_is_one_sentence_with_both_sizes(clip: Path) -> None:
    result = run("enhance", clip, "--duration", "0.4", *QUICK)
    output = clip.with_name("clip.enhanced.mp4")
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"crsr-video: Enhanced 1 person in 10 of 10 frames: wrote {output}, ")
    assert first.endswith(f" kB (source: {clip.stat().st_size / 1000:.0f} kB)")
    assert not [line for line in rest if "note:" not in line]
    again = run("enhance", clip, "--duration", "0.4", *QUICK, "-y", "-v")
    assert "Time per frame in ms: decode" in again.stderr


def test_a_much_larger_result_says_how_to_get_a_smaller_one(short_clip: Path) -> None:
    result = run("enhance", short_clip, *QUICK, "--crf", "10")
    assert "times as large as its source: --for share, or a higher --crf than 10" in result.stderr


@pytest.mark.parametrize(
    ("purpose", "suffix", "codec"),
    [("share", ".mp4", "h264"), ("edit", ".mov", "prores"), ("archive", ".mkv", "ffv1")],
)
def test_purposes_choose_codec_and_container(
    clip: Path, purpose: str, suffix: str, codec: str
) -> None:
    words = ["--for", purpose, "--model", "identity", "--duration", "0.2"]
    result = run("enhance", clip, *words)
    assert result.exit_code == 0, result.stderr
    with av.open(str(clip.with_name(f"clip.enhanced{suffix}"))) as file:
        assert file.streams.video[0].codec_context.name == codec


def test_a_video_for_sharing_is_not_larger_than_its_source(clip: Path) -> None:
    result = run("enhance", clip, "--for", "share", "--model", "identity", "--precision", "fp32")
    assert result.exit_code == 0, result.stderr
    assert clip.with_name("clip.enhanced.mp4").stat().st_size < 1.1 * clip.stat().st_size


@pytest.mark.parametrize(("name", "codec"), [("h265", "hevc"), ("h264", "h264"), ("ffv1", "ffv1")])
def test_codecs_have_their_usual_names(clip: Path, name: str, codec: str) -> None:
    output = clip.with_name("out.mkv")
    words = ["--codec", name, "--model", "identity", "--duration", "0.2", "-o", output]
    result = run("enhance", clip, *words)
    assert result.exit_code == 0, result.stderr
    with av.open(str(output)) as file:
        assert file.streams.video[0].codec_context.name == codec


# Nothing to do ------------------------------------------------------------------------------------


def test_a_person_who_does_not_exist_is_named_in_a_warning(short_clip: Path) -> None:
    result = run("-q", "enhance", short_clip, "--only", "99", "--model", "identity")
    assert result.exit_code == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"crsr-video: warning: No face was enhanced in {short_clip}: ")
    assert "person 99 was not found: the video has person 1" in line
    assert short_clip.with_name("clip.enhanced.mp4").read_bytes() == short_clip.read_bytes()


def test_a_person_who_is_never_enhanced_is_named_in_a_warning(short_clip: Path) -> None:
    tracks = short_clip.with_name("clip.tracks.json")
    assert run("tracks", short_clip).exit_code == 0
    words = ["--tracks", tracks, "--only", "1", "--min-face", "100", "--model", "identity"]
    result = run("enhance", short_clip, *words)
    assert result.exit_code == 0, result.stderr
    assert f"warning: No face was enhanced in {short_clip}: smaller than 100 px" in result.stderr
    assert "person 1 was left alone in every frame: smaller than 100 px" in result.stderr


def test_a_finished_resumable_run_is_done_already(short_clip: Path) -> None:
    words = ["enhance", short_clip, "--resume", *QUICK]
    assert run(*words).exit_code == 0
    before = short_clip.with_name("clip.enhanced.mp4").read_bytes()
    again = run(*words)
    assert again.exit_code == 0, again.stderr
    assert "already done" in again.stderr
    assert short_clip.with_name("clip.enhanced.mp4").read_bytes() == before


# Many files ---------------------------------------------------------------------------------------


def test_files_that_are_left_out_are_listed_with_the_reason(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=3)
    make_video(tmp_path / "a.enhanced.mp4", frames=3)
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "song.ogg").write_bytes(b"OggS no video")
    result = run("enhance", "--recursive", tmp_path, *QUICK)
    names = f"{tmp_path / 'notes.txt'}, {tmp_path / 'song.ogg'}"
    assert f"left out because they are no videos or pictures: {names}" in result.stderr
    assert f"left out as results of earlier runs: {tmp_path / 'a.enhanced.mp4'}" in result.stderr


@pytest.mark.processes
def test_an_overview_links_to_the_reports_of_single_files(tmp_path: Path) -> None:
    for name in ("a.mp4", "sub/b c.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(tmp_path / "in" / name, frames=3)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"junk")
    page = tmp_path / "report.html"
    words = ["enhance", "--recursive", tmp_path / "in", "-o", tmp_path / "out", *QUICK]
    for _ in range(2):
        result = run(*words, "--report", page, "--report", tmp_path / "all.json")
        assert result.exit_code == 1, result.stderr
        text = page.read_text()
        assert 'href="report_files/a.mp4.html"' in text
        assert 'href="report_files/sub/b%20c.mp4.html"' in text
        assert (tmp_path / "report_files" / "sub" / "b c.mp4.html").is_file()
        rows = json.loads((tmp_path / "all.json").read_text())["files"]
        assert [row["state"] for row in rows][1] == "failed"
        assert "bad.mp4" in rows[1]["message"]


@pytest.mark.processes
def test_a_file_that_kills_the_interpreter_does_not_kill_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, frames=3)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, crsr_video.jobs.picture_file as module\n"
        "module.enhance_picture = lambda *_: os.abort()\n"
    )
    (tmp_path / "c.png").write_bytes((CLIPS / "before_after.jpg").read_bytes())
    monkeypatch.setenv("PYTHONPATH", f"{site}:{CLIPS.parent}")
    result = run("enhance", tmp_path / "c.png", tmp_path / "a.mp4", tmp_path / "b.mp4", *QUICK)
    assert result.exit_code == 1
    assert "c.png: the worker process ended unexpectedly: SIGABRT" in result.stderr
    assert "3 files: 0 enhanced, 2 unchanged, 0 skipped, 1 failed" in result.stderr


def test_pictures_of_a_video_are_upright_and_keep_its_depth(tmp_path: Path) -> None:
    codes = (301, 600, 400)
    shape = {"pix_fmt": "yuv420p10le", "flat": codes, "rotation": 90, "frames": 2}
    video = make_video(tmp_path / "a.mkv", codec="ffv1", colour=(1, 1, 1, 1), **shape)
    words = ["--model", "identity"]
    result = run("enhance", video, "-o", tmp_path / "a_%d.png", *words)
    assert result.exit_code == 0, result.stderr
    found = np.stack(images.read(tmp_path / "a_1.png").frame.components, -1)
    assert found.dtype == np.uint16
    assert found.shape == (64, 48, 3)
    red = (301 - 64) / 876 + 1.5748 * (400 - 512) / 896
    green = (301 - 64) / 876 - 0.1873 * (600 - 512) / 896 - 0.4681 * (400 - 512) / 896
    blue = (301 - 64) / 876 + 1.8556 * (600 - 512) / 896
    expected = 65535 * np.array([red, green, blue])
    assert np.abs(found - expected).max() < 4
    rounded = run("enhance", video, "-o", tmp_path / "b_%d.jpg", *words)
    assert "note: JPEG has 8 bits per channel here: 16 bits are rounded" in rounded.stderr
    refused = run("enhance", video, "-o", tmp_path / "c_%d.jpg", "--strict", *words)
    assert refused.exit_code == 1
    assert not list(tmp_path.glob("*c_*"))


def test_tracks_and_compare_take_times_too(clip: Path) -> None:
    output = Path(shutil.copy(clip, clip.with_name("out.mp4")))
    part = clip.with_name("part.mp4")
    result = run("compare", clip, output, "-o", part, "--start", "0:01", "--end", "0:01.4")
    assert result.exit_code == 0, result.stderr
    assert duration(part) == pytest.approx(0.4, abs=0.05)
    tracks = clip.with_name("t.json")
    result = run("tracks", clip, "-o", tracks, "--start", "1", "--duration", "0:00.4")
    assert result.exit_code == 0, result.stderr
    assert "Found 1 person with 10 appearances" in result.stderr
    words = ["--tracks", tracks, "--start", "1", "--duration", "0.4", "-y", *QUICK]
    again = run("enhance", clip, "-o", output, *words)
    assert again.exit_code == 0, again.stderr
    assert "Enhanced 1 person in 10 of 10 frames" in again.stderr


def test_similar_names_are_suggested(clip: Path) -> None:
    clip.rename(clip.with_name("my film.mp4"))
    unquoted = run("enhance", clip.with_name("my"), "film.mp4")
    assert "did you mean '" in unquoted.stderr
    for wrong in ("my film", "my flim.mp4"):
        result = run("enhance", clip.with_name(wrong))
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            f"crsr-video: error: {clip.with_name(wrong)}: no such file: "
            f"did you mean {clip.with_name('my film.mp4')}?"
        ]
    late = run("enhance", clip.with_name("my film.mp4"), "--start", "2:00")
    assert "is only 3.0 s long and cannot be read from 120.0 s on" in late.stderr


@pytest.mark.parametrize(
    ("codec", "option"), [("h264", "x264-params=foo=1"), ("h265", "x265-params=foo=1")]
)
def test_parameters_that_an_encoder_would_ignore_are_refused(
    clip: Path, codec: str, option: str
) -> None:
    words = ["--codec", codec, "-x", option, "--model", "identity"]
    key = option.partition("=")[0]
    assert f"{key} has no parameter 'foo'" in error_of("enhance", clip, *words)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]
