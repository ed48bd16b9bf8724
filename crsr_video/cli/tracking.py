"""``crsr-video evaluate-tracking``: how well faces are found and kept, against exact truth."""

from pathlib import Path

import click

from crsr_video.cli.files import NamedFile

_FOUND = click.Path(path_type=Path, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = NamedFile(dir_okay=False)


@click.command("evaluate-tracking", short_help="Measure tracking on scenes with known truth.")
@click.option("--scenes", metavar="NAMES", help="Only these, as crossing,cuts.  [default: all]")
@click.option("--list", "listing", is_flag=True, help="Name the scenes and stop.")
@click.option("--frames", type=click.IntRange(min=1), help="Of each scene, at most.")
@click.option(
    "--faces",
    type=_FOUND,
    help="A pack of the prepare command, or the pictures and faces.csv that it is made from."
    "  [default: one portrait of scikit-image, varied]",
)
@click.option(
    "--backgrounds",
    type=_FOUND,
    help="A picture or video without faces, or a folder of such.  [default: made up]",
)
@click.option("--live", is_flag=True, help="Track without looking ahead.")
@click.option(
    "--min-face",
    type=click.FloatRange(min=0),
    default=16.0,
    show_default=True,
    help="Narrower faces are skipped, pixels.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "json_file", type=_FILE, help="Also write all figures here.")
@click.option(
    "--video", "video", type=_FOLDER, help="Write a video of each scene into this folder."
)
@click.pass_obj
def evaluate_tracking(
    quiet: bool,
    scenes: str | None,
    listing: bool,
    frames: int | None,
    faces: Path | None,
    backgrounds: Path | None,
    live: bool,
    min_face: float,
    seed: int,
    json_file: Path | None,
    video: Path | None,
) -> None:
    """Draw scenes with known faces, track them, and say how often and how well that is right.

    \b
    crsr-video evaluate-tracking --faces faces.pack --backgrounds rooms
    crsr-video evaluate-tracking --scenes crossing,occlusion --live --video overlays
    """
    # Imported only now: wrong usage should be told at once.
    from crsr_video.evaluation.tracking import command, suite

    if listing:
        click.echo("\n".join(suite.NAMES))
        return
    chosen = suite.scenes([name for name in (scenes or "").split(",") if name])
    settings = command.Settings(
        faces=faces,
        backgrounds=backgrounds,
        lookahead=0 if live else 8,
        min_face=min_face,
        frames=frames,
        seed=seed,
        video=video,
    )

    def tell(name: str) -> None:
        if not quiet:
            click.echo(f"crsr-video: {name}", err=True)

    report = command.measure(chosen, settings, tell)
    click.echo(report.text)
    if json_file:
        report.save(json_file)
