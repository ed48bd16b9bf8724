"""``crsr-video training`` and ``crsr-video evaluate``: the method's own tools.

Their options live with their code; here they are only passed on, since that code imports torch.
"""

import click

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@click.command(
    short_help="Prepare faces, train the networks, export weights.", context_settings=_PASS_ON
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def training(arguments: tuple[str, ...]) -> None:
    """Prepare faces, train the networks, export weights."""
    from crsr_video.training.__main__ import main

    main(args=list(arguments), prog_name="crsr-video training", standalone_mode=False)


@click.command(short_help="Compare weights with bicubic enlargement.", context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Compare weights with bicubic enlargement on prepared faces."""
    from crsr_video.evaluation.__main__ import main

    main(args=list(arguments), prog_name="crsr-video evaluate", standalone_mode=False)
