"""Show a video and its enhanced copy side by side, or the faces of both on a contact sheet."""

from dataclasses import replace
from pathlib import Path

from crsr_video.errors import ConfigError
from crsr_video.inspection import contact_sheet
from crsr_video.inspection.alignment import Alignment, FramePairs, Pair, align
from crsr_video.inspection.drawing import (
    Planes,
    UprightCanvas,
    draw_vertical_line,
    make_label,
    playable_settings,
    upright_size,
)
from crsr_video.io.containers import BY_SUFFIX
from crsr_video.io.output_file import check_output
from crsr_video.io.source import RecordedSource
from crsr_video.io.sources.opening import check_path
from crsr_video.io.writer import Writer
from crsr_video.types import Frame

_UNTAGGED = (0, 2)
"""Colour matrix codes that do not identify a YUV matrix: RGB and unspecified."""


def compare(
    before: str | Path,
    after: str | Path,
    output: str | Path | None = None,
    *,
    split: bool = False,
    faces: int = 12,
    start: float = 0.0,
    duration: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Show a video and its enhanced copy in one video, or their faces on one contact sheet.

    Args:
        before: The source.
        after: Its enhanced copy, which may be enlarged or a part of the source.
        output: Path of a video or a contact sheet (.png, .jpg). Defaults to
            ``NAME.compare.EXT`` beside `after`.
        split: Show the left half of the source and the right half of the copy in one picture,
            instead of both side by side.
        faces: Maximum number of close-ups on a contact sheet.
        start: Seconds of the copy to skip.
        duration: Seconds of the copy to show. Defaults to the rest of the copy.
        overwrite: Replace an existing result.

    Returns:
        Path of the result.

    Raises:
        InputError: A video cannot be read, or shows no face for a contact sheet.
        ConfigError: The videos do not show the same content, or the options contradict each other.
        OutputError: The result cannot be written. In that case, no partial file is left.
        FaceModelError: The face models are missing.
    """
    source, copy = Path(before), Path(after)
    path = _default_output(copy) if output is None else Path(output)
    is_sheet = path.suffix.lower() in contact_sheet.SUFFIXES
    if faces < 1:
        raise ConfigError(f"`faces` must be at least 1, but is {faces}")
    if split and is_sheet:
        raise ConfigError(f"{path.name}: a split view is a video, not a picture")
    for video in (source, copy):
        check_path(video)
        check_output(path, video, overwrite)
    alignment = align(source, copy)
    if start > 0 or duration is not None:
        alignment = alignment.of_part(start, duration)
    if is_sheet:
        # Imported here because the tracker loads face models, which only a contact sheet needs.
        from crsr_video.inspection.close_ups import write_close_ups

        write_close_ups(source, copy, alignment, path, count=faces)
    else:
        _write_video(source, copy, alignment, path, split=split, overwrite=overwrite)
    return path


def _default_output(after: Path) -> Path:
    suffix = after.suffix if after.suffix.lower() in BY_SUFFIX else ".mp4"
    return after.with_suffix(f".compare{suffix}")


def _write_video(
    before: Path, after: Path, alignment: Alignment, output: Path, *, split: bool, overwrite: bool
) -> None:
    """Write a video that shows both videos, with the source's audio and the copy's timestamps."""
    with FramePairs(before, after, alignment) as videos:
        canvas = _ComparisonCanvas(videos, split=split)
        settings = playable_settings(output, canvas.bits)
        target = _described(videos, canvas.draw(videos.first))
        with Writer(output, target, settings, overwrite=overwrite) as encoder:
            for pair in videos.pairs(encoder.push_packet):
                encoder.push(canvas.draw(pair))


def _described(videos: FramePairs, first: Frame) -> RecordedSource:
    """Return the source's description with the copy's timing and the size of the drawn frame."""
    source, copy = videos.before.source, videos.after.info
    info = replace(
        source.info,
        width=first.width,
        height=first.height,
        time_base=copy.time_base,
        rate=copy.rate,
    )
    return replace(source, first=first, info=info, shift=videos.offset)


class _ComparisonCanvas:
    """Draws pairs of frames at the size of the copy."""

    def __init__(self, videos: FramePairs, *, split: bool) -> None:
        before, after = videos.first
        self._scale, self._split = videos.scale, split
        (width, height, _), (wide, high, aspect) = upright_size(before), upright_size(after)
        size = min(width * self._scale, wide), min(height * self._scale, high), aspect
        # An enlarged copy without a matrix tag still has the colours of its source.
        tagged = int(after.native.colorspace) not in _UNTAGGED
        self._matrices = before.layout.matrix, (after if tagged else before).layout.matrix
        self.bits = 10 if after.layout.bits > 8 else 8
        self._canvas = UprightCanvas(
            size,
            bits=self.bits,
            matrix=self._matrices[1],
            full_range=after.layout.full_range and after.layout.family == "yuv",
        )
        labels = (
            make_label(t, self._canvas.width, self._canvas.height) for t in ("before", "after")
        )
        self._before_label, self._after_label = labels

    def draw(self, pair: Pair) -> Frame:
        """Return one frame that shows both frames, with the timestamp of the copy's frame."""
        before, after = pair
        width = self._canvas.width * (1 if self._split else 2)
        picture, planes = self._canvas.blank(width)
        middle = width // 4 * 2
        left = self._canvas.planes(before, matrix=self._matrices[0], scale=self._scale)
        right = self._canvas.planes(after, matrix=self._matrices[1])
        for plane, one, other in zip(planes, left, right, strict=True):
            x = round(plane.shape[1] * middle / width)
            plane[:, :x] = one[:, :x]
            plane[:, x:] = other[:, x:] if self._split else other
        self._draw_labels(planes, middle, width)
        return self._canvas.finish(picture, planes, after)

    def _draw_labels(self, planes: Planes, middle: int, width: int) -> None:
        margin = max(4, self._canvas.height // 80 * 2)
        self._before_label.draw(planes, margin, margin, self.bits)
        if self._split:
            draw_vertical_line(planes, middle, self.bits)
            x = width - margin - self._after_label.width
        else:
            x = middle + margin
        self._after_label.draw(planes, x, margin, self.bits)
