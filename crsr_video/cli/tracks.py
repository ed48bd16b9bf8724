"""``crsr-video tracks``: who is in a video, where and when."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from crsr_video.cli import reporting
from crsr_video.cli.files import NamedFile

if TYPE_CHECKING:
    from crsr_video.inspection.analysis import Analysis
    from crsr_video.progress import Progress
    from crsr_video.track.tracks_file import Person

EXIT_PARTIAL = 3
_LISTED = 20
"""Persons that are told of by name; the others are in the file."""


@click.command(short_help="Find the faces of a video, and write down who is where.")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="OUTPUT",
    type=NamedFile(),
    help="Where the tracks go.  [default: NAME.tracks.json]",
)
@click.option(
    "--draw",
    metavar="VIDEO",
    type=NamedFile(),
    help="Write this video too: boxes, landmarks and numbers drawn in.",
)
@click.option(
    "--sheet",
    metavar="PICTURE",
    type=NamedFile(),
    help="Write this .png or .jpg too: a picture of every person, with numbers.",
)
@click.option(
    "--min-face",
    type=click.FloatRange(min=0),
    default=16.0,
    show_default=True,
    metavar="PX",
    help="Mark faces narrower than this as left alone.",
)
@click.option("--overwrite", is_flag=True, help="Replace the results if they exist.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable events, a line each.")
@click.pass_context
def tracks(
    context: click.Context,
    /,
    source: Path,
    output: Path | None,
    draw: Path | None,
    sheet: Path | None,
    min_face: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Find every face of INPUT and number the persons; nothing is enhanced.

    \b
    crsr-video tracks party.mp4 --sheet people.png
    crsr-video enhance party.mp4 --tracks party.tracks.json --face 2=off --face 3=strength:0.5
    crsr-video tracks party.mp4 -o tracks.json --draw overlay.mp4
    """
    reporter = _Reporter(quiet=context.obj, as_json=as_json)
    with reporter:
        # Imported only now: wrong options should be told at once.
        from crsr_video.inspection import analysis
        from crsr_video.io import source as sources
        from crsr_video.track import litert

        reporter.start(source)
        sources.check_path(source)
        litert.prepare_process(reporter.fetching)
        found = analysis.analyse(
            source,
            output,
            draw=draw,
            sheet=sheet,
            min_face=min_face,
            overwrite=overwrite,
            on_progress=reporter.progress,
            on_notice=reporter.notice,
        )
        reporter.found(found)
    if found.partial:
        sys.exit(EXIT_PARTIAL)


class _Reporter(reporting.Reporter):
    """The same events as of `enhance`, and who was found."""

    def progress(self, state: "Progress") -> None:
        """A frame is finished."""
        if self._show_bar and self._bar is None:
            self._bar = reporting.bar(state.total, "looking for faces", " frames")
        super().progress(state)

    def found(self, found: "Analysis") -> None:
        """The run is done."""
        self._close_bar()
        self._event("summary", **_facts(found))
        for line in _lines(found):
            self._say(line)
        if found.partial:
            harm = reporting.harm(cast("Any", found))
            self._warn(f"{found.source} is {harm}: what was there is analysed")


def _facts(found: "Analysis") -> dict[str, Any]:
    return {
        "output": str(found.output),
        "drawing": None if found.drawing is None else str(found.drawing),
        "sheet": None if found.sheet is None else str(found.sheet),
        "frames": found.frames,
        "faces": found.faces,
        "tracks": len(found.people),
        "scenes": found.scenes,
        "skipped": found.skipped,
        "concealed": found.concealed,
        "damaged": found.damaged,
        "truncated": found.truncated,
        "seconds": round(found.seconds, 3),
        "startup_seconds": round(found.startup_seconds, 3),
        "fps": round(found.fps, 2),
        "stage_seconds": {name: round(s, 3) for name, s in found.stage_seconds.items()},
        "peak_memory_mib": reporting.peak_memory(),
        "people": [
            {
                "id": person.id,
                "first_seconds": person.first_seconds,
                "last_seconds": person.last_seconds,
                "frames": person.frames,
                "size": person.size,
            }
            for person in found.people
        ],
        "notices": list(found.notices),
    }


def _lines(found: "Analysis") -> list[str]:
    count = reporting.count
    lines = [
        f"{count(found.frames, 'frame')}, {count(len(found.people), 'face')} followed "
        f"({count(found.faces, 'picture')} of them) in {count(found.scenes, 'scene')}, "
        f"{found.seconds:.1f} s ({found.startup_seconds:.1f} of them to start), "
        f"{found.fps:.1f} fps"
    ]
    if found.frames:
        stages = [f"{n} {s / found.frames * 1e3:.1f}" for n, s in found.stage_seconds.items()]
        lines.append(f"milliseconds a frame: {', '.join(stages)}")
    longest = sorted(found.people, key=lambda p: (-p.frames, p.id))[:_LISTED]
    lines += [_told(person) for person in sorted(longest, key=lambda p: p.id)]
    if len(found.people) > _LISTED:
        lines.append(f"and {count(len(found.people) - _LISTED, 'face')} seen for less time")
    lines += [f"to be left alone: {n} x {why}" for why, n in sorted(found.skipped.items())]
    if not found.people:
        lines.append("no face was found")
    written = [found.output, found.drawing, found.sheet]
    return [*lines, *(f"wrote {path}" for path in written if path is not None)]


def _told(person: "Person") -> str:
    from crsr_video.formatting import format_time

    return (
        f"face {person.id}: {format_time(person.first_seconds)} to "
        f"{format_time(person.last_seconds)}, "
        f"{reporting.count(person.frames, 'frame')}, {person.size:.0f} px wide"
    )
