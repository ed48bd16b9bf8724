"""The command line: the only part of the package that prints, exits and configures the process.

Exit codes:

- 0: done
- 1: failed
- 2: wrong usage: an option, its value or their combination
- 3: done, but the source was cut off or damaged
- 70: a defect of this program
- 130, 143: stopped by Ctrl-C or SIGTERM
- 141: the program that read the result from a pipe has ended, as after SIGPIPE

Commands import heavy modules when they run, so that ``--help`` answers at once.
"""

import logging
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from crsr_video import __version__
from crsr_video.cli import (
    benchmarks,
    enhance,
    evaluation,
    installation,
    live,
    plugins,
    process,
    research,
    review,
    studio,
    training,
)
from crsr_video.cli.commands import Group, group
from crsr_video.cli.reporting import EXIT_FAILED, printable
from crsr_video.errors import ConfigError, CrsrError, EncoderError, ReaderGoneError

EXIT_USAGE = 2
EXIT_DEFECT = 70
EXIT_READER_GONE = 141


class App(Group):
    """A command group that turns every exception into one line and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, print its error if it fails, and exit."""
        is_program = kwargs.pop("standalone_mode", True)
        kwargs["standalone_mode"] = False
        with process.configured_process():
            try:
                code = super().main(*args, **kwargs)
                if is_program:
                    sys.exit(code)
                return code
            except click.exceptions.Abort:
                sys.exit(EXIT_FAILED)
            except click.ClickException as error:
                _fail(f"{error.format_message()}{_help_hint(error)}", error.exit_code)
            except ReaderGoneError as error:
                logging.getLogger("crsr_video").info("%s", error)  # Other filters end silently.
                sys.exit(EXIT_READER_GONE)
            except (ConfigError, EncoderError) as error:
                _fail(str(error), EXIT_USAGE)
            except CrsrError as error:
                _fail(str(error), EXIT_FAILED)
            except process.Interrupted as stop:
                _fail(f"stopped by {signal.Signals(stop.number).name}", 128 + stop.number)
            except BrokenPipeError:
                process.discard_standard_output()
                sys.exit(EXIT_FAILED)
            except OSError as error:
                _fail(error.strerror or str(error), EXIT_FAILED)
            except Exception as error:
                lines = str(error).strip().splitlines()
                text = ": ".join([type(error).__name__, *lines[:1]])
                _fail(f"internal error, please report it: {text} (-v shows more)", EXIT_DEFECT)


def _help_hint(error: click.ClickException) -> str:
    """How to get help on the command whose usage was wrong."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return "" if context is None else f" ('{context.command_path} -h' shows the options)"


def _fail(message: str, code: int) -> NoReturn:
    """Print an error on one line, with a traceback before it if -v was given, and exit."""
    if logging.getLogger("crsr_video").isEnabledFor(logging.INFO):
        traceback.print_exc()
    click.echo(f"crsr-video: error: {printable(message.strip())}", err=True)
    sys.exit(code)


@group(
    App,
    headings={
        "Enhance": (enhance.enhance, review.preview, studio.studio),
        "Look": (review.tracks, review.compare),
        "Live": (live.live,),
        "Editors and FFmpeg": (plugins.plugin, plugins.ffmpeg_args, plugins.serve),
        "Installation": (
            installation.doctor,
            installation.config,
            installation.models,
            installation.completion,
        ),
        "Research": (
            benchmarks.bench,
            training.prepare,
            training.harvest,
            training.train,
            evaluation.evaluate,
            evaluation.evaluate_results,
            evaluation.evaluate_background,
            evaluation.evaluate_paper,
            evaluation.evaluate_tracking,
            research.export,
        ),
    },
)
@click.version_option(__version__, "-V", "--version", prog_name="crsr-video")
def main() -> None:
    """Enhance the faces in a video, and leave the rest of the picture as it is.

    Faces that are small, soft, noisy or badly compressed are found, tracked and restored. Sound,
    subtitles, timing and every pixel outside the faces are kept.

    \b
    crsr-video enhance interview.mp4             # writes interview.enhanced.mp4
    crsr-video compare interview.mp4 interview.enhanced.mp4 -o faces.png
    crsr-video doctor                            # checks the installation
    """
    logging.basicConfig(format="crsr-video: %(message)s")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # We report damaged pictures.
