"""``crsr-video models``: what networks and face models there are, and where."""

import json
from typing import Any

import click

from crsr_video.cli.reporting import Reporter


@click.command(short_help="List weights and face models; fetch them for offline use.")
@click.option("--fetch", is_flag=True, help="Fetch missing face models now.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.pass_obj
def models(quiet: bool, fetch: bool, as_json: bool) -> None:
    """List the networks' weights and MediaPipe's face models.

    Weights come with the package. The face models (Apache-2.0) are fetched once from the
    package index and kept per user; --fetch does so ahead of time.
    """
    from crsr_video.track import face_models

    if fetch:
        with Reporter(quiet=quiet, as_json=as_json) as reporter:
            face_models.fetch_all(reporter.fetching)
    rows = [*_weights(), *_face_models()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']}  ({row['kind']}, {row['state']})")
        for key in ("purpose", "source", "licence", "sha256", "path", "card"):
            if key in row:
                click.echo(f"    {key:<8} {row[key]}")


def _weights() -> list[dict[str, Any]]:
    from crsr_video import weights

    return [
        {
            "name": item.name,
            "kind": "weights",
            "state": _weights_state(item),
            "purpose": "consistifier and super-resolver",
            "source": "comes with the package; see its card",
            "licence": "MIT",
            "sha256": item.sha256,
            "path": str(item.path),
            "card": str(item.card),
        }
        for item in weights.shipped()
    ]


def _weights_state(item: Any) -> str:
    from crsr_video import weights

    if not item.path.is_file():
        return "missing"
    return "verified" if weights.digest(item.path) == item.sha256 else "damaged"


def _face_models() -> list[dict[str, Any]]:
    from crsr_video.track import face_models

    return [
        {
            "name": state.model.name,
            "kind": "face model",
            "state": _face_model_state(state),
            "purpose": state.model.purpose,
            "source": state.model.source,
            "licence": state.model.licence,
            "sha256": state.model.sha256,
            "path": str(state.path),
        }
        for state in face_models.status()
    ]


def _face_model_state(state: Any) -> str:
    if not state.present:
        return "missing: run 'crsr-video models --fetch'"
    if state.own:
        return "your own"
    return "verified" if state.verified else "damaged"
