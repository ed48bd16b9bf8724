"""``crsr-video doctor``, ``models`` and ``completion``: what is installed, and whether it works."""

import json
import platform
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crsr_video import __version__
from crsr_video.cli import process
from crsr_video.cli.reporting import Reporter
from crsr_video.errors import CrsrError

if TYPE_CHECKING:
    from crsr_video.track.face_models import ModelStatus


class _NotFetchedError(CrsrError):
    """Something is missing that the first run fetches."""


@click.command(short_help="Check the installation and measure its speed.")
@click.option(
    "--device",
    metavar="auto|cpu|cuda[:N]|mps",
    default="auto",
    show_default=True,
    help="Check this device.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(device: str, as_json: bool) -> None:
    """Check versions, device, weights, face models and encoders, and run a short self-test.

    Exits with 1 if something is missing that enhance needs and cannot fetch itself.
    """
    checks: list[tuple[str, Callable[[], str]]] = [
        ("versions", _versions),
        ("device", lambda: _device(device)),
        ("weights", _weights),
        ("face models", _face_models),
        ("encoders", _encoders),
        ("self-test", lambda: _self_test(device)),
    ]
    results: dict[str, Any] = {}
    for name, check in checks:
        try:
            text, state = check(), "ok"
        except _NotFetchedError as error:
            text, state = str(error), "todo"
        except CrsrError as error:
            text, state = str(error), "FAIL"
        results[name] = {"state": state, "text": text}
        if not as_json:
            click.echo(f"{state:<4}  {name:<12} {text}")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    failed = any(result["state"] == "FAIL" for result in results.values())
    sys.exit(1 if failed else 0)


def _versions() -> str:
    from crsr_video.versions import library_versions

    libraries = [f"{name} {version}" for name, version in library_versions().items()]
    return f"crsr-video {__version__}, Python {platform.python_version()}, {', '.join(libraries)}"


def _device(name: str) -> str:
    from crsr_video.config import EnhancerConfig
    from crsr_video.runtime import loading

    placement = loading.resolve_placement(EnhancerConfig.from_options(device=name))
    return f"{placement.device}, {placement.reason}"


def _weights() -> str:
    from crsr_video import weights

    pairs = [weights.load(item.name) for item in weights.shipped()]
    names = [f"{pair.name}{' (measured for int8)' * pair.eight_bits}" for pair in pairs]
    return f"{', '.join(names)}: present and verified"


def _face_models() -> str:
    from crsr_video.errors import FaceModelError
    from crsr_video.track import face_models

    states = face_models.status()
    missing_own = [s.model.name for s in states if s.own and not s.present]
    if missing_own:
        raise FaceModelError(f"your own folder of face models lacks {', '.join(missing_own)}")
    missing = [s.model.name for s in states if not (s.own or s.verified)]
    if missing:
        raise _NotFetchedError(
            f"{', '.join(missing)}: fetched on first use, or now by 'crsr-video models --fetch'"
        )
    return f"{', '.join(s.model.name for s in states)}: present and verified"


def _encoders() -> str:
    from crsr_video.io.encoders import available_encoders

    return ", ".join(available_encoders())


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
            begin = time.perf_counter()  # The first run only warms up.
        result = networks[1](networks[0](crop))
        runs += 1
    if result.shape != (1, 3, 256, 256) or not result.isfinite().all():
        raise CrsrError("the networks returned an invalid picture")
    rate = (runs - 1) / (time.perf_counter() - begin)
    ways = " and ".join(dict.fromkeys(network.method for network in networks))
    return f"{rate:.0f} frames a second through both networks with one 64-pixel face ({ways})"


@click.command(short_help="List weights and face models, or fetch face models.")
@click.option("--fetch", is_flag=True, help="Fetch missing face models now.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def models(quiet: bool, fetch: bool, as_json: bool) -> None:
    """List the weights of the networks and MediaPipe's face models.

    The weights come with the package. The face models (Apache-2.0) are fetched once from the
    package index and kept for each user; --fetch does so ahead of time.

    \b
    crsr-video models
    crsr-video models --fetch
    """
    from crsr_video.track import face_models

    if fetch:
        with Reporter(quiet=quiet, as_json=as_json) as reporter:
            face_models.fetch_all(reporter.fetching)
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
    for item in weights.shipped():
        state = "missing"
        if item.path.is_file():
            state = "verified" if weights.digest(item.path) == item.sha256 else "damaged"
        rows.append(
            {
                "name": item.name,
                "kind": "weights",
                "state": state,
                "purpose": "consistifier and super-resolver",
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


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
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
