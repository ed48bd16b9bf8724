"""Find the source files of the frei0r effect, compile the effect, and load it."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crsr_video.errors import PluginError

EFFECT_SOURCE = "frei0r/crsr.c"
"""The effect's C file. The headers that it includes are beside it."""
KDENLIVE_DESCRIPTION = "kdenlive/frei0r_crsr.xml"
SHOTCUT_DESCRIPTION = ("shotcut/crsr/meta.qml", "shotcut/crsr/ui.qml")
SOURCES = (EFFECT_SOURCE, KDENLIVE_DESCRIPTION, *SHOTCUT_DESCRIPTION)
"""Paths of all files that an installation needs, relative to ``plugins``."""
_WHEEL_FOLDER = Path(__file__).parent / "data"
_CLONE_FOLDER = Path(__file__).parents[2] / "plugins"

_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = (
    *("-std=c11", "-O2", "-fPIC", "-shared", "-pthread"),
    *("-Wall", "-Werror=implicit-function-declaration"),
)
_TIMEOUT_SECONDS = 120.0
_NO_COMPILER = (
    "there is no C compiler: install gcc (Debian, Ubuntu: apt install gcc; "
    "Fedora: dnf install gcc; macOS: xcode-select --install)"
)
_NO_HEADER = (
    "frei0r.h is missing: install it (Debian, Ubuntu: apt install frei0r-plugins-dev; "
    "Fedora: dnf install frei0r-devel; Homebrew: brew install frei0r)"
)
_INCLUDE_FOLDERS = ("/opt/homebrew/include", "/usr/local/include", "/opt/local/include")
"""Header folders of package managers. Some compilers do not search them by default."""

# Constants from frei0r.h.
_FILTER = 0
_RGBA = 1
_FREI0R_MAJOR_VERSION = 1
_MAX_PARAMETERS = 64


def source_file(name: str) -> Path:
    """Return the path of one of SOURCES.

    Raises:
        PluginError: This installation lacks the file.
    """
    for folder in (_WHEEL_FOLDER, _CLONE_FOLDER):
        if (folder / name).is_file():
            return folder / name
    raise PluginError(f"{name} is missing from this installation of crsr-video: reinstall it")


def c_sources() -> tuple[Path, ...]:
    """Return all files that the effect is compiled from, the C file first."""
    main = source_file(EFFECT_SOURCE)
    return (main, *sorted(main.parent.glob("*.h")))


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler, with the options and the folders that it needs on this machine."""

    command: tuple[str, ...]
    """The program, followed by the options from $CC."""
    include_folders: tuple[str, ...] = ()
    """Additional folders in which the compiler looks for headers."""

    def run(self, arguments: Sequence[str]) -> str:
        """Run the compiler, and return its output.

        Raises:
            PluginError: The compiler fails. The message contains its first error.
        """
        includes = [f"-I{folder}" for folder in self.include_folders]
        done = _run([*self.command, *includes, *arguments])
        if done.returncode:
            raise PluginError(f"{self.command[0]}: {_first_error(done.stdout)}")
        return done.stdout


def find_compiler() -> Compiler:
    """Return a C compiler, with the options that it needs to find frei0r.h.

    The compiler is the one that $CC names, or else the first of cc, gcc and clang that exists.

    Raises:
        PluginError: There is no compiler or no header. The message names the package to install.
    """
    try:
        wanted = tuple(shlex.split(os.environ.get("CC", "")))
    except ValueError as error:
        raise PluginError(f"$CC is not a valid command: {error}") from error
    if wanted and shutil.which(wanted[0]) is None:
        raise PluginError(f"$CC names the C compiler {wanted[0]!r}, which does not exist")
    name = next((name for name in _COMPILERS if shutil.which(name)), None)
    if not wanted and name is None:
        raise PluginError(_NO_COMPILER)
    command = wanted or (str(name),)
    for includes in ((), *((folder,) for folder in _INCLUDE_FOLDERS)):
        if not _error_of(Compiler(command, includes), "#include <frei0r.h>\n"):
            return Compiler(command, includes)
    error_text = _error_of(Compiler(command), "#include <stdlib.h>\n")
    raise PluginError(f"cannot compile C programs: {error_text}" if error_text else _NO_HEADER)


def build(source: Path, target: Path, *, command: Path, compiler: Compiler | None = None) -> None:
    """Compile the effect.

    Args:
        source: The C file.
        target: The shared library to write.
        command: The ``crsr-video`` program with which the effect starts its server.
        compiler: The compiler. Defaults to the result of `find_compiler`.

    Raises:
        PluginError: The effect cannot be compiled here.
    """
    words = shlex.quote(str(command))  # The effect passes the command to a shell.
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    define = f'-DCRSR_COMMAND="{quoted}"'
    arguments = [*_FLAGS, define, str(source), "-o", str(target), "-ldl"]
    (compiler or find_compiler()).run(arguments)


def _error_of(compiler: Compiler, program: str) -> str:
    """Return the error from compiling a C program, or an empty string if it compiles."""
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
            timeout=_TIMEOUT_SECONDS,
            env=os.environ | {"LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise PluginError(f"{words[0]} did not finish within {_TIMEOUT_SECONDS:g} s") from error
    except OSError as error:
        raise PluginError(f"{words[0]} cannot be run: {error.strerror}") from error


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "error" in line]
    return (marked or lines or ["failed without a message"])[0]


class _PluginInfo(ctypes.Structure):
    """`f0r_plugin_info_t` of frei0r.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("author", ctypes.c_char_p),
        ("plugin_type", ctypes.c_int),
        ("color_model", ctypes.c_int),
        ("frei0r_version", ctypes.c_int),
        ("major_version", ctypes.c_int),
        ("minor_version", ctypes.c_int),
        ("num_params", ctypes.c_int),
        ("explanation", ctypes.c_char_p),
    )


class _ParameterInfo(ctypes.Structure):
    """`f0r_param_info_t` of frei0r.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("explanation", ctypes.c_char_p),
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """A compiled effect's description of itself."""

    name: str
    version: str
    parameters: tuple[str, ...]
    """The names of the parameters, in the order in which FFmpeg takes them."""


def load(path: Path) -> Effect:
    """Load an effect as a host does, without creating an instance.

    Raises:
        PluginError: The file cannot be loaded, or is not a frei0r filter for RGBA frames.
    """
    try:
        library = ctypes.CDLL(str(path))
        library.f0r_init.restype = ctypes.c_int
        if not library.f0r_init():
            raise PluginError(f"{path}: the effect reports that it cannot work here")
        info = _PluginInfo()
        library.f0r_get_plugin_info(ctypes.byref(info))
        count = min(max(info.num_params, 0), _MAX_PARAMETERS)
        names = tuple(_parameter_name(library, index) for index in range(count))
        library.f0r_deinit()
    except OSError as error:
        raise PluginError(f"{path}: cannot be loaded: {error}") from error
    except AttributeError as error:
        raise PluginError(f"{path}: not a frei0r effect") from error
    is_rgba_filter = (info.plugin_type, info.color_model) == (_FILTER, _RGBA)
    if info.frei0r_version != _FREI0R_MAJOR_VERSION or not is_rgba_filter:
        raise PluginError(f"{path}: not a filter for RGBA frames")
    return Effect(_decoded(info.name), f"{info.major_version}.{info.minor_version}", names)


def _parameter_name(library: ctypes.CDLL, index: int) -> str:
    info = _ParameterInfo()
    library.f0r_get_param_info(ctypes.byref(info), ctypes.c_int(index))
    return _decoded(info.name)


def _decoded(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
