"""``crsr-video serve``: the enhancement server for editors' effects and other programs."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from crsr_video.cli import process


@click.command(short_help="Run the server that effects in editors and FFmpeg talk to.")
@click.option(
    "--socket",
    "place",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Where to listen.  [default: server.sock in your runtime folder]",
)
@click.option(
    "--idle",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="End after so long without a client, or ten times as long without a frame; 0: never.",
)
@click.option("--model", metavar="NAME", default="fast", show_default=True, help="Load it now.")
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=max(1, min(4, (os.cpu_count() or 1) // 2)),
    show_default=True,
    help="Frames worked on at the same time.",
)
@click.pass_obj
def serve(quiet: bool, place: Path | None, idle: float, model: str, threads: int) -> None:
    """Enhance frames for other programs of this user, until nobody wants any more.

    Effects start it by themselves; there is one for each user. Ctrl-C or SIGTERM ends it.
    """
    from crsr_video.server.places import Place, socket_path

    with Place(socket_path(place)) as held:
        # The socket is there before the heavy libraries are: nobody starts a second server.
        from crsr_video.server.service import Server

        process.limit_library_threads("auto")
        process.finish_loading()
        with Server(held, idle=idle, threads=threads) as server, _stopped_by_signals(server.stop):
            if not quiet:
                click.echo(f"crsr-video: serving at {held.path}", err=True)
            server.preload(model)
            server.run()


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM be the normal end."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
