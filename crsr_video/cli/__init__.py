"""The command line: the only place that prints, and that decides the exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done, but the source was cut off or damaged, 70 a
defect of this program, 130 and 143 interrupted by Ctrl-C and SIGTERM, 141 the program that read the
result from a pipe has gone (what a filter that SIGPIPE ends leaves to a shell).
Heavy modules are imported inside the commands, so that ``--help`` answers at once.
"""

import logging
import os
import re
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from crsr_video import __version__
from crsr_video.cli.process import Interrupted, configured_process
from crsr_video.errors import CrsrError, ReaderGoneError

EXIT_FAILED = 1
EXIT_PARTIAL = 3
EXIT_DEFECT = 70
EXIT_READER_GONE = 141


class App(click.Group):
    """A command group that turns every exception into one line and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, print what went wrong, exit."""
        try:
            with configured_process():
                return super().main(*args, **kwargs)
        except ReaderGoneError as gone:
            logging.getLogger("crsr_video").info("%s", gone)  # As other filters: without a word.
            sys.exit(EXIT_READER_GONE)
        except CrsrError as error:
            _fail(str(error), EXIT_FAILED)
        except Interrupted as stop:
            _fail(f"stopped by {signal.Signals(stop.number).name}", 128 + stop.number)
        except BrokenPipeError:
            # The reader of our output has gone; closing stdout now keeps Python from complaining.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_FAILED)
        except OSError as error:
            _fail(error.strerror or str(error), EXIT_FAILED)
        except Exception as error:
            line = str(error).strip().splitlines()
            told = f"{type(error).__name__}: {line[0]}" if line else type(error).__name__
            _fail(f"internal error, please report it: {told} (-v shows more)", EXIT_DEFECT)


def _fail(message: str, code: int) -> NoReturn:
    """Tell what went wrong on one line, with a traceback before it if -v was given."""
    if logging.getLogger("crsr_video").isEnabledFor(logging.INFO):
        traceback.print_exc()
    from crsr_video.cli.plain import plain

    click.echo(f"crsr-video: error: {plain(_option_names(message.strip()))}", err=True)
    sys.exit(code)


def _option_names(message: str) -> str:
    """Replace the names of settings in Python, between backticks, by those of options."""
    return re.sub("`([a-z_]+)`", lambda name: "--" + name[1].replace("_", "-"), message)


@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="crsr-video")
@click.option("-v", "--verbose", count=True, help="Say more; twice: say everything.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.pass_context
def main(context: click.Context, verbose: int, quiet: bool) -> None:
    """Make the faces in a video better, and leave the rest of the picture alone.

    Small, soft, noisy or badly compressed faces are found, followed and restored; sound,
    subtitles, timing and every pixel outside the faces stay as they are.

    \b
    crsr-video enhance interview.mp4             writes interview.enhanced.mp4
    crsr-video compare interview.mp4 interview.enhanced.mp4 -o faces.png
    crsr-video doctor                            is everything there, how fast is it?
    """
    context.obj = quiet
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    logging.basicConfig(format="crsr-video: %(message)s")
    logging.getLogger("crsr_video").setLevel(logging.ERROR if quiet else level)


def _register() -> None:
    """Attach the commands; each lives in a module of its own."""
    from crsr_video.cli import commands

    for command in commands.ALL:
        main.add_command(command)


_register()
