"""Compile the effect with what this machine has."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crsr_video.errors import PluginError

_NAMES = ("cc", "gcc", "clang")
_FLAGS = (
    *("-std=c11", "-O2", "-fPIC", "-shared", "-pthread"),
    *("-Wall", "-Werror=implicit-function-declaration"),
)
_SECONDS = 120.0
_NO_COMPILER = (
    "there is no C compiler: install gcc (Debian, Ubuntu: apt install gcc; "
    "Fedora: dnf install gcc; macOS: xcode-select --install)"
)
_NO_HEADER = (
    "frei0r.h is missing: install it (Debian, Ubuntu: apt install frei0r-plugins-dev; "
    "Fedora: dnf install frei0r-devel; Homebrew: brew install frei0r)"
)
_INCLUDES = ("/opt/homebrew/include", "/usr/local/include", "/opt/local/include")
"""Where package managers put headers that a compiler may not look for itself."""


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler that was tried."""

    command: tuple[str, ...]
    """Perhaps with options, as $CC may have them."""
    includes: tuple[str, ...] = ()
    """Folders that it must be told of."""

    def run(self, arguments: Sequence[str]) -> str:
        """Run it; returns what it says.

        Raises: PluginError: it failed, with its first error.
        """
        words = [*self.command, *(f"-I{folder}" for folder in self.includes), *arguments]
        done = _run(words)
        if done.returncode:
            raise PluginError(f"{self.command[0]}: {_first_error(done.stdout)}")
        return done.stdout


def find() -> Compiler:
    """The compiler of $CC, else one of the usual names; it finds frei0r's header.

    Raises: PluginError: there is none, or no header, and which package has it.
    """
    try:
        asked = tuple(shlex.split(os.environ.get("CC", "")))
    except ValueError as error:
        raise PluginError(f"$CC is no command: {error}") from error
    if asked and shutil.which(asked[0]) is None:
        raise PluginError(f"there is no C compiler {asked[0]!r}, as $CC names it")
    name = next((name for name in _NAMES if shutil.which(name)), None)
    if not asked and name is None:
        raise PluginError(_NO_COMPILER)
    command = asked or (str(name),)
    for includes in ((), *((folder,) for folder in _INCLUDES)):
        if not _failure(Compiler(command, includes), "#include <frei0r.h>\n"):
            return Compiler(command, includes)
    failure = _failure(Compiler(command), "#include <stdlib.h>\n")
    raise PluginError(f"no C program can be compiled: {failure}" if failure else _NO_HEADER)


def build(source: Path, target: Path, *, command: Path, compiler: Compiler | None = None) -> None:
    """Compile the effect.

    Args:   command: the ``crsr-video`` that the effect starts its server with.
    Raises: PluginError: it does not compile here.
    """
    words = shlex.quote(str(command))  # The effect gives it to a shell.
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    define = f'-DCRSR_COMMAND="{quoted}"'
    (compiler or find()).run([*_FLAGS, define, str(source), "-o", str(target), "-ldl"])


def _failure(compiler: Compiler, program: str) -> str:
    """What is wrong with compiling a program; nothing, if it works."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.c"
        source.write_text(program)
        try:
            compiler.run(["-c", str(source), "-o", str(source.with_suffix(".o"))])
        except PluginError as error:
            return str(error)
    return ""


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=os.environ | {"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"{words[0]} did not finish within {_SECONDS:g} s") from error
    except OSError as error:
        raise PluginError(f"{words[0]} cannot be run: {error.strerror}") from error


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    marked = [line for line in lines if "error" in line]
    return (marked or lines or ["failed without a word"])[0]
