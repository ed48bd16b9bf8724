"""``crsr-video bench networks``: how fast the networks are by themselves."""

import json

import click

from crsr_video.cli.enhancing import placement_options
from crsr_video.config import Precision

_MOST_FACES = 1024
_SMALLEST, _LARGEST = 16, 512


def _batches(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers of faces, separated by commas."""
    told = f"is no number of faces from 1 to {_MOST_FACES}"
    return _numbers(context, parameter, value, range(1, _MOST_FACES + 1), told)


def _sides(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Sides of crops, separated by commas."""
    told = f"is no multiple of 4 from {_SMALLEST} to {_LARGEST}"
    return _numbers(context, parameter, value, range(_SMALLEST, _LARGEST + 1, 4), told)


def _numbers(
    context: click.Context, parameter: click.Parameter, value: str, known: range, told: str
) -> tuple[int, ...]:
    names = [name.strip() for name in value.split(",")]
    for name in names:
        plain = name.isascii() and name.isdigit() and len(name) <= len(str(known[-1]))
        if not plain or int(name) not in known:
            raise click.BadParameter(f"'{name}' {told}", context, parameter)
    return tuple(dict.fromkeys(int(name) for name in names))


@click.command("networks", short_help="Measure the networks by themselves, in batches.")
@click.option(
    "--model",
    "models",
    metavar="NAME|PATH",
    multiple=True,
    default=("fast",),
    show_default=True,
    help="May be repeated.",
)
@click.option(
    "--batch",
    "batches",
    default="1,8,64",
    show_default=True,
    callback=_batches,
    help="Faces that are computed together.",
)
@click.option(
    "--sides", default="64", show_default=True, callback=_sides, help="Of the crops, in pixels."
)
@placement_options
@click.option(
    "--against",
    type=click.Choice(["onnxruntime", "openvino"]),
    multiple=True,
    help="Let another program compute the exported networks in turns; may be repeated.",
)
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def bench_networks(
    quiet: bool,
    models: tuple[str, ...],
    batches: tuple[int, ...],
    sides: tuple[int, ...],
    device: str,
    precision: Precision,
    against: tuple[str, ...],
    runs: int,
    as_json: bool,
) -> None:
    """Measure how fast both networks make faces, one after the other, as the pipeline runs them.

    Beside it stands the fastest product of matrices in the same arithmetic on the same device; on
    a GPU also what copies take. Let nothing else run meanwhile.

    \b
    crsr-video bench networks
    crsr-video bench networks --sides 32,64,128 --batch 1,4 --model fast --json
    crsr-video bench networks --precision fp32 --against onnxruntime
    """
    from crsr_video.bench import networks
    from crsr_video.bench.machine import machine, version_of
    from crsr_video.bench.network_figures import Wanted, as_dict
    from crsr_video.bench.network_table import as_text

    def say(what: str) -> None:
        if not quiet:
            click.echo(f"measuring {what}", err=True)

    wanted = Wanted(
        models=models,
        batches=batches,
        sides=sides,
        device=device,
        precision=precision,
        runs=runs,
        against=tuple(dict.fromkeys(against)),
    )
    rows = networks.measure(wanted, on_batch=say)
    where = machine() | {name: version_of(name) for name in wanted.against}
    if as_json:
        told = {"machine": where, "networks": [as_dict(row) for row in rows]}
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(as_text(where, rows))
