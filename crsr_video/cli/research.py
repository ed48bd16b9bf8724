"""``crsr-video prepare``, ``harvest``, ``train`` and ``evaluate``: the method's own tools.

Their options live with their code; here they are only passed on, since that code imports torch.
"""

import click

from crsr_video.cli.files import refuse_dash

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def _passed_on(name: str, words: str) -> click.Command:
    """A command of `training`, under its own name."""

    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        refuse_dash(arguments)
        from crsr_video.training.__main__ import main

        main.commands[name].main(
            args=list(arguments), prog_name=f"crsr-video {name}", standalone_mode=False
        )

    command.__doc__ = words
    return click.command(name, short_help=words, context_settings=_PASS_ON)(command)


prepare = _passed_on("prepare", "Pack the faces of a folder of pictures for training.")
harvest = _passed_on("harvest", "Cut genuine low-resolution faces out of videos.")
train = _passed_on("train", "Train the networks, and export weights.")


@click.command(
    short_help="Measure weights: stills, genuine faces, video.", context_settings=_PASS_ON
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Measure weights on faces that they were not trained on."""
    refuse_dash(arguments)
    from crsr_video.evaluation.__main__ import main

    main(args=list(arguments), prog_name="crsr-video evaluate", standalone_mode=False)
