"""``crsr-video completion``: shell completion."""

import click


@click.command(short_help="Print the completion script of your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes crsr-video's commands and options.

    \b
    bash:  eval "$(crsr-video completion bash)"            (in ~/.bashrc)
    zsh:   eval "$(crsr-video completion zsh)"             (in ~/.zshrc)
    fish:  crsr-video completion fish | source             (in config.fish)
    """
    from click.shell_completion import get_completion_class

    from crsr_video.cli import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "crsr-video", "_CRSR_VIDEO_COMPLETE").source())
