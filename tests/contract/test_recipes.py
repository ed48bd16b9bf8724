"""The program accepts all commands in the README and the guides."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import click
import pytest

from crsr_video.cli import main
from tests.support.paths import PORTRAIT, ROOT

DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *(ROOT / name for name in ("clips/README.md", "examples/README.md", "plugins/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "crsr_video/weights").glob("*.md")),
]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:[a-z]+ )*crsr-video [^`]+)`")
END_OF_COMMAND = {"|", "&&", "||", ";", "<", ">"}


def commands_of(document: Path) -> list[list[str]]:
    """Return the words of every call of the program in shell blocks and sentences.

    The name of the program is left out.
    """
    found = []
    text = document.read_text(encoding="utf-8")
    inline = [" ".join(words.split()) for words in INLINE.findall(BLOCK.sub("", text))]
    for block in [*BLOCK.findall(text), *inline]:
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in END_OF_COMMAND:
                    words.append(word)
                    continue
                if words[:1] == ["crsr-video"]:
                    found.append(words[1:])
                words = []
    return found


def check(words: list[str]) -> None:
    """Parse the words of a call without running it.

    Raises:
        click.UsageError: A command or an option does not exist, or an option lacks its value.
    """
    command: click.Command = main
    while isinstance(command, click.Group):
        if command.invoke_without_command and words[:1] < ["a"]:  # An option, or nothing.
            break
        context = click.Context(command)
        options = [word for word in words if word in ("-q", "-v", "-vv")]
        name, command_or_none, words = command.resolve_command(context, words[len(options) :])
        assert command_or_none is not None, name
        command = command_or_none
    context = click.Context(command)
    command.make_parser(context).parse_args([word for word in words if word != "COMMAND"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_of_a_document_exist(document: Path) -> None:
    for words in commands_of(document):
        if words[0] != "COMMAND":
            check(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_to_files(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (document.parent / target).exists(), target


def test_commands_are_found_in_documents() -> None:
    assert len([words for document in DOCUMENTS for words in commands_of(document)]) > 170


@pytest.mark.processes
def test_the_recipe_for_go2rtc_writes_mpegts_that_begins_with_a_key_frame(moment: Path) -> None:
    text = (ROOT / "docs/cameras.md").read_text(encoding="utf-8")
    recipe = next(line for line in text.splitlines() if "exec:crsr-video" in line)
    words = shlex.split(recipe.partition("exec:crsr-video ")[2])
    words[words.index("rtsp://camera.local/stream")] = str(moment)
    words += ["--model", "identity"]
    command = [sys.executable, "-m", "crsr_video", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        with av.open(program.stdout, format="mpegts") as container:
            video = container.streams.video[0]
            packets = [packet for packet in container.demux(video) if packet.size]
    assert program.returncode == 0
    assert video.codec_context.name == "h264"
    assert packets[0].is_keyframe
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
    assert len(packets) == 12


@pytest.mark.processes
def test_a_reader_that_leaves_ends_the_recipe_for_go2rtc() -> None:
    words = ["live", "-i", str(PORTRAIT), "--realtime", "--loop", "-o", "-"]
    words += ["--output-format", "mpegts", "--model", "identity"]
    command = [sys.executable, "-m", "crsr_video", "-q", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        assert program.stdout.read(188)[0] == 0x47
        program.stdout.close()
        assert program.wait(60) == 0
