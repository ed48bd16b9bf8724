"""Compare a video with its enhanced copy, for people who would rather look than read.

find          where the copy lies in the source, by pictures (place)
Match         both decoded in step, frame by frame, by time         matching.py
write_video   side by side, or half and half                        video.py
write_sheet   close-ups of faces, before above after                sheet.py
"""

from pathlib import Path

from crsr_video.comparison.place import find
from crsr_video.errors import ConfigError
from crsr_video.io.encode import check_output
from crsr_video.io.plan import BY_SUFFIX
from crsr_video.io.source import check_path

PICTURES = frozenset((".png", ".jpg", ".jpeg"))
"""Suffixes of results that are a contact sheet rather than a video."""


def is_picture(output: str | Path | None) -> bool:
    """Whether a result by this name is a contact sheet."""
    return output is not None and Path(output).suffix.lower() in PICTURES


def compare(
    before: str | Path,
    after: str | Path,
    output: str | Path | None = None,
    *,
    split: bool = False,
    faces: int = 12,
    overwrite: bool = False,
) -> Path:
    """Show a video and its enhanced copy in one video, or their faces on one contact sheet.

    Args:    before: the source. after: its enhanced copy, which may be enlarged or a part of it.
             output: a video, or a picture (.png, .jpg); None: ``NAME.compare.EXT`` beside `after`.
             split: the left half of the picture before, the right half after, in place of both
             side by side.
             faces: close-ups on a contact sheet, at most.
             overwrite: replace an existing result.
    Returns: path of the result, complete; nothing is left under its name after an error.
    Raises:  InputError: a video cannot be read, or shows no face to make a sheet of.
             ConfigError: the two do not show the same, or the options do not fit each other.
             OutputError: the result cannot be written.
             FaceModelError: faces cannot be found, as in `track`.
    """
    first, second = Path(before), Path(after)
    path = _default(second) if output is None else Path(output)
    if faces < 1:
        raise ConfigError(f"faces must be at least 1, but is {faces}")
    if split and is_picture(path):
        raise ConfigError(f"{path.name}: a split view is a video, not a picture")
    for source in (first, second):
        check_path(source)
        check_output(path, source, overwrite)
    place = find(first, second)
    if is_picture(path):
        # Imported only now: the tracker brings MediaPipe, which a video does without.
        from crsr_video.comparison.sheet import write_sheet

        write_sheet(first, second, place, path, faces=faces)
    else:
        from crsr_video.comparison.video import write_video

        write_video(first, second, place, path, split=split, overwrite=overwrite)
    return path


def _default(after: Path) -> Path:
    suffix = after.suffix if after.suffix.lower() in BY_SUFFIX else ".mp4"
    return after.with_suffix(f".compare{suffix}")
