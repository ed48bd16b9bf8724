"""Whether a file is a whole video, by a look that decodes nothing."""

from fractions import Fraction
from pathlib import Path

from crsr_video.errors import InputError
from crsr_video.io.integrity import HEAD, TAIL, overruns
from crsr_video.io.source import check_path, main_video, open_container

_SLACK = (Fraction(2), Fraction(1, 50))
"""Seconds, and share of the longer one, by which lengths may differ: sound may end later."""


def length(path: Path) -> Fraction | None:
    """Seconds that a video file says it lasts; None: it does not say.

    Raises: InputError: it is no video, or points behind its own end.
    """
    check_path(path)
    container = open_container(path)
    try:
        video = main_video(container, path)
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(0, size - TAIL))
            ends = head, file.read(TAIL)
        if overruns(container, video, ends, size, size):
            raise InputError(f"{path}: is cut off")
        return Fraction(container.duration, 1_000_000) if container.duration else None
    finally:
        container.close()


def is_as_long(path: Path, other: Path) -> bool:
    """Whether two videos last equally long, as far as they tell.

    Raises: InputError: one of them is no video.
    """
    seconds, others = length(path), length(other)
    if seconds is None or others is None:
        return True
    return abs(seconds - others) <= max(_SLACK[0], _SLACK[1] * max(seconds, others))
