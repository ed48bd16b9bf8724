"""``crsr-video tracks``, ``preview`` and ``compare``: show people, and what enhancement changes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crsr_video.cli import options, process
from crsr_video.cli.commands import Common, command, option, section
from crsr_video.cli.reporting import EXIT_PARTIAL, Reporter
from crsr_video.cli.summaries import damage_text, stage_line, timing_facts, timing_line
from crsr_video.cli.values import NamedFile, Time, Value, WholeNumber
from crsr_video.config import EnhancerConfig
from crsr_video.formatting import format_count, format_time
from crsr_video.parsing import parse_share

if TYPE_CHECKING:
    from crsr_video.inspection.analysis import Analysis
    from crsr_video.track.tracks_file import Person

_MOST_LISTED = 20
"""Maximum number of people who are printed one by one. The tracks file contains all of them."""


@command(short_help="Find and number the people of a video.")
@options.SOURCE
@section(
    "Options",
    options.OUTPUT.but(help="Write the tracks here.  [default: NAME.tracks.json]"),
    option(
        "--sheet",
        metavar="PICTURE",
        type=NamedFile(),
        help="Write a .png or .jpg with a picture and the number of every person.",
    ),
    option(
        "--draw",
        metavar="VIDEO",
        type=NamedFile(),
        help="Write a video with boxes, landmarks and numbers of people drawn in.",
    ),
    options.MIN_FACE.but(help="Mark faces narrower than this many pixels as left unchanged."),
    options.START,
    options.END,
    options.DURATION,
    options.OVERWRITE,
    options.JSON_EVENTS,
)
@click.pass_obj
def tracks(
    common: Common,
    /,
    source: Path,
    output: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Find every face of INPUT and number the people, without enhancing anything.

    \b
    crsr-video tracks party.mp4 --sheet people.png
    crsr-video enhance party.mp4 --tracks party.tracks.json --face 2=off --face 3=0.5
    crsr-video tracks party.mp4 -o tracks.json --draw overlay.mp4
    """
    options.replace_end(choices)
    with _TracksReporter(common, as_json=as_json) as reporter:
        # Imported here because wrong options should fail at once.
        from crsr_video.inspection import analysis
        from crsr_video.io.sources import opening
        from crsr_video.track import litert

        reporter.start(source)
        opening.check_path(source)
        litert.prepare_process()
        found = analysis.analyse(
            source,
            output,
            on_progress=reporter.progress,
            on_notice=reporter.notice,
            **choices,
        )
        reporter.end(found)
    if found.partial:
        sys.exit(EXIT_PARTIAL)


class _TracksReporter(Reporter):
    """Reports an analysis."""

    def __init__(self, common: Common, *, as_json: bool) -> None:
        super().__init__(common, as_json=as_json)
        self._bar_label = "finding faces"

    def end(self, found: "Analysis") -> None:
        """Report the end of the analysis."""
        self.close_bar()
        self.event("summary", **_tracks_facts(found))
        for line in _tracks_lines(found):
            self.say(line)
        self.say_more(
            timing_line(found, found.frames), *stage_line(found.frames, found.stage_seconds)
        )
        if found.partial:
            self.warn(f"{found.source} is {damage_text(found)}: the readable frames were analysed")


def _tracks_facts(found: "Analysis") -> dict[str, Any]:
    return {
        "output": str(found.output),
        "drawing": None if found.drawing is None else str(found.drawing),
        "sheet": None if found.sheet is None else str(found.sheet),
        "frames": found.frames,
        "faces": found.faces,
        "tracks": sum(len(person.tracks) for person in found.people),
        "scenes": found.scenes,
        "skipped": found.skipped,
        "concealed": found.concealed,
        "damaged": found.damaged,
        "truncated": found.truncated,
        **timing_facts(found, found.stage_seconds),
        "people": [
            {
                "id": person.id,
                "tracks": person.tracks,
                "first_seconds": person.first_seconds,
                "last_seconds": person.last_seconds,
                "frames": person.frames,
                "size": person.size,
            }
            for person in found.people
        ],
        "notices": list(found.notices),
    }


def _tracks_lines(found: "Analysis") -> list[str]:
    people = found.people
    if people:
        appearances = format_count(found.faces, "appearance")
        scenes = format_count(found.scenes, "scene")
        first = f"Found {format_count(len(people), 'person')} with {appearances} in {scenes}"
    else:
        first = "No face was found"
    longest = sorted(people, key=lambda p: (-p.frames, p.id))[:_MOST_LISTED]
    lines = [
        first,
        *(_person_line(person) for person in sorted(longest, key=lambda p: p.id)),
    ]
    if len(people) > len(longest):
        others = format_count(len(people) - len(longest), "person")
        lines.append(f"... and {others} with less screen time")
    lines += [f"Would be left unchanged: {n} x {why}" for why, n in sorted(found.skipped.items())]
    written = (found.output, found.drawing, found.sheet)
    return [*lines, *(f"Wrote {path}" for path in written if path is not None)]


def _person_line(person: "Person") -> str:
    parts = f"in {len(person.tracks)} parts, " if len(person.tracks) > 1 else ""
    return (
        f"Person {person.id}: {format_time(person.first_seconds)} to "
        f"{format_time(person.last_seconds)}, {parts}"
        f"{format_count(person.frames, 'frame')}, face {person.size:.0f} px wide"
    )


class _Place(Value):
    """A time, or a share of the duration such as 50%."""

    name = "TIME|%"

    def parse(self, text: str) -> dict[str, float]:
        """Return the place as an argument of `single_frame.preview`."""
        return {"share": parse_share(text)} if text.endswith("%") else {"at": Time().parse(text)}


@command(short_help="Show one frame before and after.")
@options.SOURCE
@section(
    "Output",
    option(
        "--at",
        "place",
        type=_Place(),
        default="0",
        show_default="the first frame",
        help="Show the frame at this time, such as 12.5 or 0:12.5, or at this share, such as 50%.",
    ),
    options.OUTPUT.but(
        metavar="PICTURE", help="Write a .png or .jpg here.  [default: NAME.preview.png]"
    ),
    options.OVERWRITE,
    options.SCALE,
    options.PRESET_NAME,
)
@options.face_options
@options.network_options
@options.speed_options
@click.pass_obj
def preview(
    common: Common,
    /,
    source: Path,
    place: dict[str, float],
    output: Path | None,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Write a picture of one frame of INPUT before and after, to try settings in seconds.

    \b
    crsr-video preview holiday.mp4 --at 0:12.5
    crsr-video preview holiday.mp4 --at 75 --strength 0.6 -o look.png
    """
    config = EnhancerConfig.from_options(**choices)
    # Imported here because torch takes seconds, and wrong options should fail at once.
    from crsr_video.inspection import single_frame
    from crsr_video.track import litert

    process.limit_library_threads(config.networks.device)
    litert.prepare_process()
    done = single_frame.preview(source, output, **place, config=config, overwrite=overwrite)
    if not common.quiet:
        found, moment = done.statistics, format_time(done.seconds)
        text = f"{found.enhanced} of {format_count(found.faces, 'face')} enhanced"
        click.echo(f"crsr-video: {text if found.faces else 'No face'} at {moment}", err=True)
        click.echo(f"crsr-video: Wrote {done.output}", err=True)


@command(short_help="Show a video before and after, side by side.")
@options.SOURCE
@click.argument("enhanced", metavar="ENHANCED", type=click.Path(path_type=Path))
@section(
    "Options",
    options.OUTPUT.but(
        help="Write a video, or a .png or .jpg with close-ups of faces, here."
        "  [default: NAME.compare.EXT]",
    ),
    option("--split", is_flag=True, help="Show the left half before and the right half after."),
    option(
        "--faces",
        type=WholeNumber(1),
        default=12,
        help="Show at most this many close-ups in a .png or .jpg.",
    ),
    options.START.but(help="Start at this time of ENHANCED, such as 12.5 or 0:12.5."),
    options.END.but(help="Stop at this time of ENHANCED."),
    options.DURATION.but(help="Take only this much of ENHANCED."),
    options.OVERWRITE,
)
@click.pass_obj
def compare(
    common: Common,
    /,
    source: Path,
    enhanced: Path,
    output: Path | None,
    **choices: Any,
) -> None:
    """Show INPUT and ENHANCED in one video, or their faces in one picture.

    \b
    crsr-video compare holiday.mp4 holiday.enhanced.mp4
    crsr-video compare holiday.mp4 holiday.enhanced.mp4 --split -o half.mp4
    crsr-video compare holiday.mp4 holiday.enhanced.mp4 -o faces.png
    """
    options.replace_end(choices)
    # Imported here because wrong options should fail at once.
    from crsr_video.inspection import comparison, contact_sheet

    if output is not None and output.suffix.lower() in contact_sheet.SUFFIXES:
        from crsr_video.track import litert

        litert.prepare_process()
    path = comparison.compare(source, enhanced, output, **choices)
    if not common.quiet:
        click.echo(f"crsr-video: Wrote {path}", err=True)
