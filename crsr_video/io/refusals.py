"""Why an encoder refuses its settings: FFmpeg says so only in its log, which is silent else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from av import logging
from av.codec import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from crsr_video.errors import EncoderError
from crsr_video.io import encoders, pyav

_RANGE = re.compile(r"Value (\S+) for parameter '(\S+)' out of range \[(\S+) - (\S+)\]")
_VALUE = re.compile(r"Unable to parse \"(\S+)\" option value \"(.*)\"")


@contextmanager
def explained(context: VideoCodecContext) -> Iterator[None]:
    """Around the opening of an encoder: what is wrong with its settings is told in one line.

    Raises: EncoderError: it does not open.
    """
    name = context.name
    options = dict(context.options)
    try:
        yield
    except (FFmpegError, OSError, ValueError, OverflowError) as error:
        device = encoders.needs_device(name)
        why = "finds no device here" if device else "refuses its settings"
        if told := _reason(context, options):
            raise EncoderError(f"{name}: {told}") from error
        raise EncoderError(f"{name} {why}: {pyav.reason(error)}") from error


def _reason(context: VideoCodecContext, options: dict[str, str]) -> str | None:
    """Let a twin of an encoder fail once more, and listen."""
    twin = CodecContext.create(context.name, "w")
    assert isinstance(twin, VideoCodecContext)
    twin.width, twin.height, twin.pix_fmt = context.width, context.height, context.pix_fmt
    twin.time_base, twin.options = context.time_base, options
    before = logging.get_level()
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture(local=False) as heard:
            twin.open()
    except (FFmpegError, OSError, ValueError, OverflowError):
        pass
    finally:
        logging.set_level(before)
    return next(filter(None, (_worded(line) for _, _, line in heard)), None)


def _worded(line: str) -> str | None:
    """A line of FFmpeg's as one of ours; None: it tells nothing to a user."""
    if found := _RANGE.search(line):
        value, name, least, most = found.groups()
        least = "0" if name == "crf" else least  # Below it is FFmpeg's word for none.
        number = f"{float(value):.10g}"
        return f"{name} must lie between {least} and {most}, but is {number}"
    if found := _VALUE.search(line):
        name, value = found.groups()
        return f"{name} cannot be {value!r}"
    return None
