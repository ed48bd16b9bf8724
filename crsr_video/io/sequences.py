"""Image sequences: numbered pictures, named by a pattern such as ``frame_%04d.png``."""

import os
import re
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError

from crsr_video.errors import InputError
from crsr_video.io import pyav
from crsr_video.io.still_files import FORMATS

_NUMBER = re.compile(r"%(?:0([1-9]))?d")


def is_sequence(path: str | Path | None) -> bool:
    """Return whether a path is the pattern of a sequence, and not an existing file."""
    if path is None:
        return False
    place = Path(path)
    is_pattern = len(_NUMBER.findall(place.name)) == 1 and place.suffix.lower() in FORMATS
    return is_pattern and not os.path.lexists(place)


def file_of(pattern: Path, number: int) -> Path:
    """Return the path of the picture with this number."""
    return pattern.with_name(_NUMBER.sub(lambda m: f"{number:0{m[1] or 1}d}", pattern.name))


def files_of(pattern: Path) -> dict[int, Path]:
    """Return the pictures of a sequence by number, in order.

    Raises:
        InputError: There are no pictures, or a number is missing between them.
    """
    before, after = (re.escape(part) for part in _split(pattern.name))
    wanted = re.compile(rf"{before}(\d+){after}")
    try:
        names = [path.name for path in pattern.parent.iterdir()]
    except OSError as error:
        raise InputError(f"{pattern.parent}: {pyav.reason(error)}") from error
    numbers = sorted(int(found[1]) for name in names if (found := wanted.fullmatch(name)))
    files = {number: file_of(pattern, number) for number in numbers}
    files = {number: path for number, path in files.items() if path.is_file()}
    if not files:
        raise InputError(f"{pattern}: there is no picture of this sequence")
    gap = next((number for number in files if number - 1 not in files and number != min(files)), 0)
    if gap:
        raise InputError(f"{file_of(pattern, gap - 1)}: is missing in the sequence {pattern}")
    return files


def _split(name: str) -> tuple[str, str]:
    found = _NUMBER.search(name)
    assert found is not None
    return name[: found.start()], name[found.end() :]


def join(pattern: Path, target: Path, rate: Fraction) -> None:
    """Copy the pictures of a sequence into one QuickTime file without re-encoding them.

    Args:
        pattern: The pattern of the sequence.
        target: The file, which must not exist.
        rate: Frames per second.

    Raises:
        InputError: The pictures cannot be read, or a QuickTime file cannot hold their format.
    """
    first = next(iter(files_of(pattern)))
    options = {"framerate": str(rate), "start_number": str(first), "protocol_whitelist": "file"}
    try:
        with (
            av.open(str(pattern), format="image2", container_options=options) as source,
            av.open(str(target), "w", format="mov") as output,
        ):
            stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    except (FFmpegError, ValueError, OSError) as error:
        raise InputError(f"{pattern}: cannot be read: {pyav.reason(error)}") from error
