"""``crsr-video compare``: people would rather look than read."""

from pathlib import Path

import click

from crsr_video.cli.files import NamedFile


@click.command(short_help="Show a video before and after, side by side.")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("enhanced", metavar="ENHANCED", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="OUTPUT",
    type=NamedFile(),
    help="A video, or a .png or .jpg with close-ups of faces.  [default: NAME.compare.EXT]",
)
@click.option("--split", is_flag=True, help="Left half before, right half after, in one picture.")
@click.option(
    "--faces",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Close-ups on a .png or .jpg, at most.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@click.pass_obj
def compare(
    quiet: bool,
    source: Path,
    enhanced: Path,
    output: Path | None,
    split: bool,
    faces: int,
    overwrite: bool,
) -> None:
    """Show what was done: INPUT and ENHANCED in one video, or their faces on one sheet.

    \b
    crsr-video compare holiday.mp4 holiday.enhanced.mp4
    crsr-video compare holiday.mp4 holiday.enhanced.mp4 --split -o half.mp4
    crsr-video compare holiday.mp4 holiday.enhanced.mp4 -o faces.png
    """
    # Imported only now: wrong usage should be told at once.
    from crsr_video.inspection import comparison

    path = comparison.compare(
        source, enhanced, output, split=split, faces=faces, overwrite=overwrite
    )
    if not quiet:
        click.echo(f"crsr-video: wrote {path}", err=True)
