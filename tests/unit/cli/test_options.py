"""Types of option values, and help texts in sections."""

from fractions import Fraction

import click
import pytest
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.cli.options import (
    BitRate,
    FrameRate,
    FrameSize,
    NameList,
    NumberList,
    SectionCommand,
    option,
    refuse_standard_output,
    section,
)
from crsr_video.cli.reporting import count, people_text, printable


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (BitRate(), "800k", 800_000),
        (BitRate(), " 4M ", 4_000_000),
        (BitRate(), "1500000", 1_500_000),
        (FrameSize(), "1280X720", (1280, 720)),
        (FrameRate(), "30000/1001", Fraction(30000, 1001)),
        (FrameRate(), "29.97", Fraction(2997, 100)),
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
        (NumberList(range(5), "a number from 0 to 4"), "5", "'5' is not a number from 0 to 4"),
        (NumberList(range(5), "a number"), "9" * 5000, "is not a number"),
        (NameList(("a", "b")), "c", "'c' is not one of a, b"),
    ],
)
def test_errors_name_the_value_and_what_is_allowed(kind, text, message):
    with pytest.raises(click.BadParameter) as raised:
        kind.convert(text, None, None)
    assert message in raised.value.message


@pytest.mark.parametrize("words", [["-o", "-"], ["--out", "-"], ["-o-"], ["--output=-"]])
def test_arguments_that_are_passed_on_cannot_write_to_standard_output(words):
    with pytest.raises(click.UsageError, match="Invalid value for '-o'"):
        refuse_standard_output(["x", *words])


def test_other_arguments_are_passed_on():
    refuse_standard_output(["-", "-o", "./-"])


def test_help_lists_options_by_section():
    @click.command(cls=SectionCommand)
    @section("First", option("--one"), option("--two"))
    @section("Second", option("--three"))
    def command():
        """Do something."""

    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    titles = ["First:", "Second:", "Other options:"]
    assert [line for line in lines if line.endswith(":")] == titles
    names = [line.split()[0] for line in lines if line.startswith("  --")]
    assert names == ["--one", "--two", "--three", "--help"]


def commands(group, *path):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=str)
def test_every_command_has_a_short_help(path, command):
    assert command.hidden or command.get_short_help_str(), path


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=str)
def test_every_option_has_a_help_text(path, command):
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    assert [p.opts for p in options if not p.help] == [], path


@pytest.mark.parametrize(
    ("number", "thing", "text"),
    [
        (1, "frame", "1 frame"),
        (0, "face", "0 faces"),
        (1, "person", "1 person"),
        (2, "person", "2 people"),
    ],
)
def test_counts_have_the_right_plural(number, thing, text):
    assert count(number, thing) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((112, 118, 1), "Enhanced 1 person in 112 of 118 frames"),
        ((300, 340, 3), "Enhanced 3 people in 300 of 340 appearances"),
        ((0, 0, 0), "No face was found: the picture is unchanged"),
    ],
)
def test_summaries_name_people_and_frames(counts, text):
    assert people_text(*counts) == text


def test_unprintable_characters_are_escaped():
    assert printable("a\nb\x1b[2Jc.mp4") == "a\\nb\\x1b[2Jc.mp4"
