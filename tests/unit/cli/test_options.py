"""Types of option values, and help texts in sections."""

from fractions import Fraction

import click
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.cli.commands import command, option, section
from crsr_video.cli.reporting import printable
from crsr_video.cli.summaries import people_text
from crsr_video.cli.values import (
    BitRate,
    FaceWidth,
    FrameRate,
    FrameSize,
    NameList,
    Number,
    NumberList,
    ScaleFactor,
    Share,
    Time,
    TrackIds,
    WholeNumber,
)
from crsr_video.types import RunStatistics


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (BitRate(), "800k", 800_000),
        (BitRate(), " 4M ", 4_000_000),
        (BitRate(), "1500000", 1_500_000),
        (BitRate(), "4 Mbit/s", 4_000_000),
        (BitRate(), "2,5 mbps", 2_500_000),
        (FrameSize(), "1280X720", (1280, 720)),
        (FrameSize(), "1280 x 720", (1280, 720)),
        (FrameSize(), "1280*720", (1280, 720)),
        (FrameRate(), "30000/1001", Fraction(30000, 1001)),
        (FrameRate(), "29.97", Fraction(2997, 100)),
        (FrameRate(), "29,97 fps", Fraction(2997, 100)),
        (Time(), "2.5", 2.5),
        (Time(), "0:02", 2.0),
        (Time(), "00:00:02.5", 2.5),
        (Time(), "1:02:03", 3723.0),
        (Time(), "200ms", 0.2),
        (Time(), "1:02,5", 62.5),
        (Time(), "1m30s", 90.0),
        (Time(), "1h 2min 3.5 sec", 3723.5),
        (Time(), "5 seconds", 5.0),
        (Share(), "0.6", 0.6),
        (Share(), "60%", 0.6),
        (Share(), "0,6", 0.6),
        (Share(), ".5", 0.5),
        (Share(), "100 %", 1.0),
        (Share(), "1e-05", 1e-5),
        (ScaleFactor(), "2", 2),
        (ScaleFactor(), "2x", 2),
        (ScaleFactor(), "x4", 4),
        (ScaleFactor(), "200%", 2),
        (Number(0), "18,5", 18.5),
        (Number(5, 60, units={"ms": 1.0}), "40ms", 40.0),
        (WholeNumber(1), "3", 3),
        (WholeNumber(1), "3.0", 3),
        (FaceWidth(), "20px", 20.0),
        (TrackIds(), "1, 4", frozenset((1, 4))),
        (TrackIds(), "1 4;6 - 8", frozenset((1, 4, 6, 7, 8))),
        (NumberList(range(5), "a number"), "4,0, 4", (4, 0)),
        (NameList(("a", "b")), "b, a", ("b", "a")),
    ],
)
def test_values_are_converted(kind, text, value):
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (BitRate(), "fast", "invalid bit rate 'fast': use a number such as 800k or 4M"),
        (BitRate(), "0", "invalid bit rate '0'"),
        (BitRate(), "nan", "invalid bit rate 'nan'"),
        (FrameSize(), "0x48", "invalid frame size '0x48': use WxH, such as 640x480"),
        (FrameSize(), "640", "invalid frame size '640'"),
        (FrameRate(), "1/0", "invalid frame rate '1/0': use 30 or 30000/1001, up to 1000"),
        (FrameRate(), "1001", "invalid frame rate '1001'"),
        (Time(), "soon", "invalid time 'soon': use seconds such as 12.5, minutes such as 0:12.5"),
        (Time(), "0:75", "invalid time '0:75'"),
        (Time(), "1:60:00", "invalid time '1:60:00'"),
        (Time(), "-1", "invalid time '-1'"),
        (Time(above_zero=True), "0", "it must be above zero"),
        (Time(), "1m30", "invalid time '1m30'"),
        (Share(), "60", "60 is not between 0 and 1: did you mean 60%?"),
        (Share(), "high", "'high' is not a number: use a number such as 0.6 or 60%"),
        (Share(), "150%", "150% is not between 0 and 1: use a number such as 0.6 or 60%"),
        (Share(), "-0.1", "-0.1 is not between 0 and 1"),
        (ScaleFactor(), "3", "use 1, 2 or 4"),
        (ScaleFactor(), "1080p", "use 1, 2 or 4"),
        (Number(0, example="18", hint="lower is better"), "high", "such as 18 (lower is better)"),
        (Number(0), "nan", "'nan' is not a number"),
        (Number(0), "9" * 5000, "is not a number"),
        (Number(0), "-1", "-1 is not 0 or more"),
        (Number(above=0), "0", "0 is not above 0"),
        (WholeNumber(1, 64), "65", "65 is not between 1 and 64"),
        (WholeNumber(1), "1.5", "1.5 is not a whole number: use a whole number such as 2"),
        (FaceWidth(), "5%", "'5%' is not a number: use a number such as 20 (pixels)"),
        (TrackIds(), "all", "invalid track ID 'all'"),
        (NumberList(range(5), "a number from 0 to 4"), "5", "'5' is not a number from 0 to 4"),
        (NumberList(range(5), "a number"), "9" * 5000, "is not a number"),
        (NameList(("a", "b")), "c", "'c' is not one of a, b"),
    ],
)
def test_errors_name_the_value_and_what_is_allowed(kind, text, message):
    with pytest.raises(click.BadParameter) as raised:
        kind.convert(text, None, None)
    assert message in raised.value.message


def test_help_lists_options_by_section():
    @command()
    @section("First", option("--one"), option("--two"), option("--seldom", rare=True))
    @section("Second", option("--three"))
    def sample():
        """Do something."""

    def titles_and_names(word):
        lines = CliRunner().invoke(sample, [word]).output.splitlines()
        titles = [line for line in lines if line.endswith(":")]
        return titles, [line.split()[0] for line in lines if line.startswith("  --")]

    titles, names = titles_and_names("-h")
    assert titles == ["First:", "Second:", "General:"]
    assert names == ["--one", "--two", "--three", "--help-all"]
    titles, names = titles_and_names("--help-all")
    assert names == ["--one", "--two", "--seldom", "--three", "--help-all"]


def commands(group, *path):
    for name, found in group.commands.items():
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=str)
def test_every_command_has_a_short_help(path, command):
    assert command.hidden or command.get_short_help_str(), path


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=str)
def test_every_option_has_a_help_text(path, command):
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    assert [p.opts for p in options if not p.help] == [], path


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((112, 118, 1), "Enhanced 1 person in 112 of 118 frames"),
        ((300, 340, 3), "Enhanced 300 of 340 appearances of 3 people"),
        ((340, 340, 3), "Enhanced 3 people in all 340 appearances"),
        ((300, 340, 0), "Enhanced 300 of 340 faces in 200 frames"),
        ((340, 340, 0), "Enhanced all 340 faces in 200 frames"),
    ],
)
def test_summaries_name_people_and_frames(counts, text):
    enhanced, faces, people = counts
    found = RunStatistics(frames=200, faces=faces, enhanced=enhanced, people=people)
    assert people_text(found) == text


def test_the_summary_of_a_photo_counts_faces():
    assert people_text(RunStatistics(frames=1, faces=1, enhanced=1, people=1)) == "Enhanced 1 face"
    assert people_text(RunStatistics(frames=1, faces=3, enhanced=2)) == "Enhanced 2 of 3 faces"


def test_unprintable_characters_are_escaped():
    assert printable("a\nb\x1b[2Jc.mp4") == "a\\nb\\x1b[2Jc.mp4"


@pytest.mark.parametrize("path", [path for path, _ in commands(main)], ids=" ".join)
@pytest.mark.parametrize("word", ["-q", "-v", "-y"])
def test_common_options_stand_before_and_after_every_command(path, word):
    after = CliRunner().invoke(main, [*path, word, "-h"])
    before = CliRunner().invoke(main, [word, *path, "-h"])
    assert (after.exit_code, before.exit_code) == (0, 0)
    assert after.output == before.output
    assert " -h, --help" in after.output


@pytest.mark.parametrize("path", [path for path, _ in commands(main)], ids=" ".join)
def test_help_is_the_same_before_and_after_every_command(path):
    after = CliRunner().invoke(main, [*path, "-h"])
    before = CliRunner().invoke(main, ["-h", *path])
    assert (after.exit_code, before.exit_code) == (0, 0)
    assert after.output == before.output
