"""``crsr-video doctor``: says whether everything is there, and how fast it is."""

import json
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import click

from crsr_video import __version__
from crsr_video.errors import CrsrError

_PACKAGES = ("torch", "av", "ai-edge-litert", "numpy", "opencv-contrib-python")


class _NotYetError(CrsrError):
    """Not there yet, but it will be."""


@click.command(short_help="Check the installation and measure its speed.")
@click.option(
    "--device",
    metavar="auto|cpu|cuda[:N]|mps",
    default="auto",
    show_default=True,
    help="The device to check.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def doctor(device: str, as_json: bool) -> None:
    """Check versions, device, weights, face models and encoders, and run a short self-test.

    Exits with 1 if something is missing that enhance needs and cannot fetch by itself.
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
    failed = False
    for name, check in checks:
        try:
            text, state = check(), "ok"
        except _NotYetError as todo:
            text, state = str(todo), "todo"
        except CrsrError as error:
            text, state = str(error), "FAIL"
        failed |= state == "FAIL"
        results[name] = {"state": state, "text": text}
        if not as_json:
            click.echo(f"{state:<4}  {name:<12} {text}")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    sys.exit(1 if failed else 0)


def _versions() -> str:
    found = [f"{name} {_version(name)}" for name in _PACKAGES]
    return f"crsr-video {__version__}, Python {platform.python_version()}, {', '.join(found)}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _device(name: str) -> str:
    from crsr_video import pipeline
    from crsr_video.config import EnhancerConfig

    placement = pipeline.placed(EnhancerConfig.from_options(device=name))
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
    lost = [s.model.name for s in states if s.own and not s.present]
    if lost:
        raise FaceModelError(f"your own folder of face models lacks {', '.join(lost)}")
    missing = [s.model.name for s in states if not (s.own or s.verified)]
    if missing:
        raise _NotYetError(
            f"{', '.join(missing)}: fetched on first use, or now by 'crsr-video models --fetch'"
        )
    return f"{', '.join(s.model.name for s in states)}: present and verified"


def _encoders() -> str:
    from crsr_video.io.encode import available_encoders

    return ", ".join(available_encoders())


def _self_test(device: str) -> str:
    """Run both networks for a second, and see that they return a picture."""
    import numpy as np

    from crsr_video import pipeline
    from crsr_video.config import EnhancerConfig

    loaded = pipeline.load_networks(EnhancerConfig.from_options(device=device))
    pair = loaded.pair
    networks = [loaded.predictor(pair.consistifier), loaded.predictor(pair.superresolver)]
    crop = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    count, begin = 0, 0.0
    while count < 2 or time.perf_counter() - begin < 1.0:
        if count == 1:
            begin = time.perf_counter()  # the first run only warms up
        result = networks[1](networks[0](crop))
        count += 1
    if result.shape != (1, 3, 256, 256) or not np.isfinite(result).all():
        raise CrsrError("the networks returned nonsense")
    rate = (count - 1) / (time.perf_counter() - begin)
    ways = " and ".join(dict.fromkeys(network.way for network in networks))
    return f"{rate:.0f} frames a second through both networks, one face of 64 pixels each ({ways})"
