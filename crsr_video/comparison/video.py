"""Before and after in one video, side by side or half and half."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from crsr_video.comparison.labels import Planes, label, line
from crsr_video.comparison.matching import Match, Pair
from crsr_video.comparison.place import Place
from crsr_video.comparison.shape import upright
from crsr_video.config import OutputSettings
from crsr_video.errors import InputError
from crsr_video.imaging.colour import MATRIX_CODES
from crsr_video.io import pyav
from crsr_video.io.encode import Encoder
from crsr_video.io.plan import BY_SUFFIX, takes
from crsr_video.io.source import Source
from crsr_video.types import Frame

_UNTAGGED = (0, 2)
"""Codes that name no matrix: RGB, and unknown."""


def write_video(
    before: Path, after: Path, place: Place, output: Path, *, split: bool, overwrite: bool
) -> None:
    """Write both in one picture, with the source's sound and the copy's times.

    Raises: InputError, ConfigError: see `Match`.
            OutputError: the video cannot be written.
    """
    with Match(before, after, place) as match:
        canvas = Canvas(match, split=split)
        settings = _settings(output, canvas.bits)
        with Encoder(output, _Target(match, canvas), settings, overwrite=overwrite) as encoder:
            for pair in match.pairs(encoder.push_packet):
                encoder.push(canvas.draw(pair))


def _settings(output: Path, bits: int) -> OutputSettings:
    """What plays almost anywhere, where the container holds it."""
    codec = "libx264" if bits == 8 else "libx265"
    container = BY_SUFFIX.get(output.suffix.lower())
    return OutputSettings(codec=codec if container and takes(container, codec) else None)


class _Target:
    """What the encoder takes for its source: the canvas, and the source's other streams."""

    def __init__(self, match: Match, canvas: "Canvas") -> None:
        first, source, copy = canvas.draw(match.first), match.before.source, match.after.info
        info = replace(
            source.info,
            width=first.width,
            height=first.height,
            time_base=copy.time_base,
            rate=copy.rate,
        )
        self.source: Source = replace(source, first=first, info=info, shift=match.offset)


class Canvas:
    """Draws pairs of frames upright, at the size of the copy, in 4:2:0."""

    def __init__(self, match: Match, *, split: bool) -> None:
        before, after = match.first
        self._scale, self._split = match.scale, split
        # Of an odd picture, the last column or row is left out: 4:2:0 halves the sides.
        (w, h, _), (wide, high, self._aspect) = upright(before), upright(after)
        self._width = min(w * self._scale, wide) // 2 * 2
        self._height = min(h * self._scale, high) // 2 * 2
        if not (self._width and self._height):
            raise InputError("a picture of one pixel is too small to compare")
        self.bits = 10 if after.layout.bits > 8 else 8
        self._format = "yuv420p" if self.bits == 8 else "yuv420p10le"
        # An untagged copy that has been enlarged is of its source's colours, whatever its size.
        tagged = int(after.native.colorspace) not in _UNTAGGED
        self._matrices = before.layout.matrix, (after if tagged else before).layout.matrix
        self._full = after.layout.full_range and after.layout.family == "yuv"
        self._labels = [label(text, self._width, self._height) for text in ("before", "after")]

    def draw(self, pair: Pair) -> Frame:
        """Both frames in one, at the time of the second."""
        width = self._width * (1 if self._split else 2)
        picture = pyav.blank(width, self._height, self._format)
        planes = pyav.views(picture)
        middle = width // 4 * 2
        self._join(planes, self._planes(pair, 0), self._planes(pair, 1), middle / width)
        self._write(planes, middle, width)
        after = pair[1]
        pyav.copy_colour(after.native, picture)
        picture.colorspace = MATRIX_CODES[self._matrices[1]]
        picture.color_range = 2 if self._full else 1
        picture.duration = after.native.duration
        return Frame(
            planes,
            pyav.layout(picture),
            after.pts,
            after.time_base,
            sample_aspect=self._aspect,
            native=picture,
        )

    def _join(self, planes: Planes, before: Planes, after: Planes, share: float) -> None:
        """Fill `share` of the width with one and the rest with the other."""
        for plane, left, right in zip(planes, before, after, strict=True):
            x = round(plane.shape[1] * share)
            plane[:, :x] = left[:, :x]
            plane[:, x:] = right[:, x:] if self._split else right

    def _write(self, planes: Planes, middle: int, width: int) -> None:
        """Say what is what."""
        before, after = self._labels
        margin = max(4, self._height // 80 * 2)
        before.put(planes, margin, margin, self.bits)
        if self._split:
            line(planes, middle, self.bits)
            after.put(planes, width - margin - after.width, margin, self.bits)
        else:
            after.put(planes, middle + margin, margin, self.bits)

    def _planes(self, pair: Pair, which: int) -> Planes:
        """A frame of the pair as the canvas wants it: form, size, colours, upright, even."""
        frame, native = pair[which], pair[which].native
        scale = (self._scale, 1)[which]
        form = (native.format.name, self._matrices[which], frame.layout.full_range)
        if scale > 1 or form != (self._format, self._matrices[1], self._full):
            native = native.reformat(
                frame.width * scale,
                frame.height * scale,
                self._format,
                src_colorspace=MATRIX_CODES[form[1]],
                dst_colorspace=MATRIX_CODES[self._matrices[1]],
                src_color_range=2 if form[2] else 1,
                dst_color_range=2 if self._full else 1,
                interpolation="BICUBIC",
            )
        # Turning moves chroma by half a luma pixel against its siting, alike on both sides.
        turned = [np.rot90(plane, frame.rotation // 90) for plane in pyav.views(native)]
        return tuple(
            plane[: self._height >> bool(i), : self._width >> bool(i)]
            for i, plane in enumerate(turned)
        )
