"""``crsr-video tracks``, and the options of ``enhance`` that choose people."""

import json
import shutil

import av
import click
import pytest
from click.testing import CliRunner, Result

from crsr_video.cli.options import face_options
from crsr_video.config import Config, PersonSettings
from tests.support.cli import run
from tests.support.paths import CLIPS, PORTRAIT
from tests.support.video import make_video

pytestmark = pytest.mark.usefixtures("face_models")

QUICK = ["--model", "identity", "--preset", "ultrafast"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a clip of two scenes, with one person and with two, and its tracks."""
    place = tmp_path_factory.mktemp("tracks")
    shutil.copy(CLIPS / "two_faces_cut.mp4", place / "clip.mp4")
    result = run("tracks", place / "clip.mp4", "--sheet", place / "people.png")
    (place / "printed.txt").write_text(f"{result.exit_code}\n{result.stdout}{result.stderr}")
    return place


def summary_of(result: Result) -> dict:
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "summary", result.stderr
    return events[-1]


def test_the_result_has_a_default_name_and_is_summed_up(folder):
    printed = (folder / "printed.txt").read_text()
    assert printed.startswith("0\n")
    assert {p.name for p in folder.iterdir()} >= {"clip.tracks.json", "people.png"}
    assert "Found 2 people with 180 appearances in 2 scenes" in printed
    assert "Person 1: 0:00.0 to 0:04.0, in 2 parts, 120 frames" in printed
    assert "Person 3: 0:02.0 to 0:04.0, 60 frames" in printed
    assert f"Wrote {folder / 'clip.tracks.json'}" in printed
    assert f"Wrote {folder / 'people.png'}" in printed


def test_json_events_describe_the_result(tmp_path):
    clip = shutil.copy(PORTRAIT, tmp_path / "clip.mp4")
    result = run("tracks", clip, "--draw", tmp_path / "drawn.mp4", "--json")
    assert result.exit_code == 0, result.stderr
    summary = summary_of(result)
    assert (summary["frames"], summary["faces"], summary["tracks"]) == (75, 75, 1)
    parts = {"cuts", "detect", "landmarks", "associate", "smooth"}
    assert set(summary["stage_seconds"]) == {"decode", *parts, "recognise", "record", "draw"}
    (person,) = summary["people"]
    assert person["frames"] == 75
    with av.open(str(tmp_path / "drawn.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 75
        assert len(file.streams.audio) == 1


def test_quiet_prints_nothing(tmp_path):
    result = run("-q", "tracks", make_video(tmp_path / "clip.mp4", frames=5))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_people_are_chosen_by_number(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "CRSR_VIDEO_FACE_MODELS", str(tmp_path)
    )  # There are none, and none are needed.
    result = run(
        *("enhance", folder / "clip.mp4", "-o", tmp_path / "out.mp4", "--json", *QUICK),
        *("--tracks", folder / "clip.tracks.json", "--face", "3=off", "--face", "9=strength:0.5"),
        *("--start", 1.6, "--duration", 0.8),
    )
    assert result.exit_code == 0, result.stderr
    summary = summary_of(result)
    # 12 frames of person 1, then 12 of persons 1 and 3.
    assert (summary["faces"], summary["tracks"]) == (36, 3)
    assert summary["skipped"] == {"turned off by the user": 12}
    assert "person 9 was not found: the video has people 1 and 3" in summary["notices"]


def test_only_and_max_faces_skip_the_others(folder, tmp_path):
    words = ["enhance", folder / "clip.mp4", "--json", "--tracks", folder / "clip.tracks.json"]
    words += [*QUICK, "--start", 2, "--duration", 0.4]
    result = run(*words, "-o", tmp_path / "1.mp4", "--only", "1")
    assert summary_of(result)["skipped"] == {"turned off by the user": 12}
    result = run(*words, "-o", tmp_path / "2.mp4", "--max-faces", 1)
    assert summary_of(result)["skipped"] == {"not the largest": 12}


def test_numbers_are_the_same_without_a_tracks_file(folder, tmp_path):
    result = run(
        *("enhance", folder / "clip.mp4", "-o", tmp_path / "out.mp4", "--json", *QUICK),
        *("--duration", 0.4, "--face", "1=off"),
    )
    assert summary_of(result)["skipped"] == {"turned off by the user": 12}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--face", "2"], "invalid face setting '2': use ID=off"),
        (["--face", "x=off"], "invalid track ID 'x'"),
        (["--face", "0=off"], "invalid track ID '0'"),
        (["--face", "-1=off"], "invalid track ID '-1'"),
        (["--face", "²=off"], "invalid track ID '²'"),
        (["--face", "2="], "invalid face setting ''"),
        (["--face", "2=texture:1"], "invalid face setting 'texture:1'"),
        (["--face", "2=off:1"], "invalid face setting 'off:1'"),
        (["--face", "2=strength"], "invalid face setting 'strength'"),
        (["--face", "2=strength:7"], "7 is not between 0 and 1: use a number such as 0.6 or 60%"),
        (["--face", "2=strength:nan"], "'nan' is not a number"),
        (["--face", "2=strength:"], "'' is not a number"),
        (["--face", "2=off", "--face", "2=on"], "face 2 has two settings"),
        (["--face", "2-1=off"], "invalid range of faces '2-1'"),
        (["--face", "1,x=off"], "invalid track ID 'x'"),
        (["--face", "1-2=off", "--face", "2=on"], "face 2 has two settings"),
        (["--only", "1-999999999"], "invalid range of faces"),
        (["--only", "1-"], "invalid track ID ''"),
        (["--only", ""], "invalid track ID ''"),
        (["--only", "1,,2"], "invalid track ID ''"),
        (["--max-faces", "0"], "0 is not 1 or more"),
    ],
)
def test_usage_errors_name_the_wrong_part(folder, words, part):
    result = run("enhance", folder / "clip.mp4", *words)
    assert result.exit_code == 2
    assert f"Invalid value for '{words[0]}'" in result.stderr
    assert part in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--face", "2=off", "--face", " 3 = strength:0.5", "--face", "4=on"],
            {
                2: PersonSettings(enabled=False),
                3: PersonSettings(strength=0.5),
                4: PersonSettings(),
            },
        ),
        (["--face", "2,5-7=off"], dict.fromkeys((2, 5, 6, 7), PersonSettings(enabled=False))),
    ],
)
def test_face_options_become_settings(words, expected):
    assert parsed(words).faces.people == expected


@pytest.mark.parametrize(
    ("words", "expected"), [("4, 1", {1, 4}), ("1,6-9", {1, 6, 7, 8, 9}), (None, None)]
)
def test_only_becomes_a_set_of_track_ids(words, expected):
    assert parsed([] if words is None else ["--only", words]).faces.only == expected


def parsed(words):
    """Return the configuration that the face options of a command give."""
    found = []

    @click.command()
    @face_options
    def command(**values):
        found.append(Config.from_options(**values))

    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    return found[0]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "cut off"),
        ('{"format": "crsr-video tracks", "version": 3}', "version: expected 1"),
        ("not json", "not a valid JSON object"),
    ],
)
def test_a_damaged_tracks_file_is_reported_in_one_line(folder, tmp_path, content, part):
    (tmp_path / "t.json").write_text(content)
    output = tmp_path / "out.mp4"
    result = run("enhance", folder / "clip.mp4", "-o", output, "--tracks", tmp_path / "t.json")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if "error:" in line]
    assert line.startswith("crsr-video: error: ")
    assert "t.json: " in line
    assert part in line
    assert not output.exists()


def test_a_tracks_file_of_another_video_is_reported_in_one_line(folder, tmp_path):
    result = run(
        *("enhance", PORTRAIT, "-o", tmp_path / "out.mp4"),
        *("--tracks", folder / "clip.tracks.json"),
    )
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if "error:" in line]
    assert "made from another video than portrait.mp4: video.bytes is" in line
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_video_is_reported(tmp_path):
    (tmp_path / "x.mp4").write_text("no video " * 100)
    result = run("tracks", tmp_path / "x.mp4")
    assert result.exit_code == 1
    assert "x.mp4" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]


def test_a_damaged_video_is_analysed_as_far_as_possible(tmp_path):
    data = bytearray((PORTRAIT).read_bytes())
    middle = len(data) // 2
    for offset in range(middle, middle + 4000, 7):
        data[offset] ^= 0xFF
    source = tmp_path / "flipped.mp4"
    source.write_bytes(data)
    result = run("tracks", source)
    assert result.exit_code == 3, result.stderr
    assert "the readable frames were analysed" in result.stderr
    assert (tmp_path / "flipped.tracks.json").exists()
