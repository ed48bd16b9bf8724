"""Draw what the tracker found into the picture: boxes, landmarks, numbers, and how sure it is."""

import colorsys
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.comparison.labels import Label, Planes, label
from crsr_video.comparison.shape import upright
from crsr_video.config import OutputSettings
from crsr_video.errors import InputError
from crsr_video.imaging.colour import MATRICES, MATRIX_CODES
from crsr_video.imaging.geometry import Matrix, apply
from crsr_video.io import pyav
from crsr_video.io.plan import BY_SUFFIX, takes
from crsr_video.io.reader import Reader
from crsr_video.io.source import Source
from crsr_video.track.view import view_of
from crsr_video.types import Face, Frame, TrackedFrame

_GOLDEN = 0.381966
"""Of the circle of hues, between one number and the next: neighbours never look alike."""
_GREY = 0.6
"""Luma of a face that is left alone, white being 1."""
_FINE = 3
"""Bits after the point in the coordinates that OpenCV draws at."""


def settings(path: str) -> OutputSettings:
    """What plays almost anywhere, where the container holds it.

    Args: path: of the video to be written.
    """
    container = BY_SUFFIX.get(f".{path.rsplit('.', 1)[-1].lower()}")
    fits = container is not None and takes(container, "libx264")
    return OutputSettings(codec="libx264", preset="veryfast") if fits else OutputSettings()


class Target:
    """What the encoder takes for its source: drawn frames, and the video's other streams."""

    def __init__(self, decoder: Reader, overlay: "Overlay") -> None:
        first = overlay.draw(TrackedFrame(decoder.source.first))
        info = replace(decoder.info, width=first.width, height=first.height)
        self.source: Source = replace(decoder.source, first=first, info=info)


class Overlay:
    """Draws upright frames in 8-bit 4:2:0, at the video's own size.

    Raises: InputError: a side is one pixel only.
    """

    def __init__(self, first: Frame) -> None:
        # Of an odd picture, the last column or row is left out: 4:2:0 halves the sides.
        self._width, self._height, self._aspect = upright(first)
        self._width, self._height = self._width // 2 * 2, self._height // 2 * 2
        if not (self._width and self._height):
            raise InputError("a picture of one pixel is too small to draw on")
        self._full = first.layout.full_range and first.layout.family == "yuv"
        self._matrix = first.layout.matrix
        self._stroke = max(1, round(self._height / 400))
        self._text = max(14, self._height // 36) // 2 * 2

    def draw(self, item: TrackedFrame) -> Frame:
        """A frame with its faces drawn in."""
        frame = item.frame
        shown = pyav.blank(self._width, self._height, "yuv420p")
        planes = pyav.views(shown)
        for plane, source in zip(planes, self._planes(frame), strict=True):
            plane[...] = source
        to_picture = self._picture_from_frame(frame)
        # Those that are left alone come first, so that they hide no other.
        for face in sorted(item.faces, key=lambda f: f.skipped is None):
            self._draw(planes, face, to_picture)
        pyav.copy_colour(frame.native, shown)
        shown.colorspace = MATRIX_CODES[self._matrix]
        shown.duration = frame.native.duration
        return Frame(
            planes,
            pyav.layout(shown),
            frame.pts,
            frame.time_base,
            sample_aspect=self._aspect,
            native=shown,
        )

    def _planes(self, frame: Frame) -> Planes:
        """The frame as it is drawn on: upright, even, 4:2:0."""
        native = frame.native
        full = frame.layout.full_range
        if native.format.name != "yuv420p" or full != self._full:
            native = native.reformat(
                frame.width,
                frame.height,
                "yuv420p",
                src_colorspace=MATRIX_CODES[frame.layout.matrix],
                dst_colorspace=MATRIX_CODES[self._matrix],
                src_color_range=2 if full else 1,
                dst_color_range=2 if self._full else 1,
            )
        turned = [np.rot90(plane, frame.rotation // 90) for plane in pyav.views(native)]
        return tuple(
            plane[: self._height >> bool(i), : self._width >> bool(i)]
            for i, plane in enumerate(turned)
        )

    def _picture_from_frame(self, frame: Frame) -> Matrix:
        """Coordinates in the picture: turned, but with the frame's own pixels."""
        square = replace(frame, sample_aspect=type(frame.sample_aspect)(1))
        return view_of(square).upright_from_frame

    def _draw(self, planes: Planes, face: Face, to_picture: Matrix) -> None:
        corners = apply(to_picture, np.reshape(face.box, (2, 2)))
        points = apply(to_picture, face.landmarks)
        both = np.vstack([corners, points])
        if not np.isfinite(both).all() or np.abs(both).max() > 1e5:
            return
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        region = self._around(np.vstack([[x0, y0], [x1, y1], points]))
        if region is None:
            return
        left, top, right, bottom = region
        alpha = np.zeros((bottom - top, right - left), np.uint8)
        box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - (left, top)
        thick = self._stroke if face.skipped else 2 * self._stroke
        cv2.polylines(alpha, [_fixed(box)], True, 255, thick, cv2.LINE_AA, _FINE)
        radius = round(max(1.0, (x1 - x0) / 40) * (1 << _FINE))
        for point in _fixed(points - (left, top)):
            cv2.circle(alpha, point.tolist(), radius, 255, -1, cv2.LINE_AA, _FINE)
        colour = _colour(0 if face.skipped else face.track, self._matrix, self._full)
        shade = 0.35 + 0.65 * face.presence if face.skipped is None else 0.7
        _blend(planes, alpha, left, top, colour, shade)
        self._write(planes, face, x0, y0, y1)

    def _around(self, points: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
        """Even bounds of what is drawn, within the picture; None: nothing is."""
        margin = 4 * self._stroke + 4
        low = (np.floor(points.min(0)).astype(int) - margin) // 2 * 2
        high = (np.ceil(points.max(0)).astype(int) + margin) // 2 * 2
        left, top = max(0, int(low[0])), max(0, int(low[1]))
        right, bottom = min(self._width, int(high[0])), min(self._height, int(high[1]))
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _write(self, planes: Planes, face: Face, x: float, top: float, bottom: float) -> None:
        """The number and how sure, above the box, or below where there is no room above."""
        text = f"{face.track}  {face.confidence:.2f}"
        if face.skipped is not None:
            text += f"  {face.skipped}"
        elif face.presence < 0.995:
            text += f"  shown {face.presence:.2f}"
        words = _label(text, self._text)
        height = words.fill.shape[0]
        above = int(top) - height - 2
        y = above if above >= 0 else min(int(bottom) + 2, self._height - height)
        left = max(0, min(int(x), self._width - words.width))
        if y >= 0:
            words.put(planes, left // 2 * 2, y // 2 * 2, 8)


def _blend(
    planes: Planes,
    alpha: NDArray[np.uint8],
    left: int,
    top: int,
    colour: tuple[int, int, int],
    shade: float,
) -> None:
    """Mix a colour into the planes as far as `alpha` says; all bounds are even."""
    small = cv2.resize(
        alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA
    )
    for index, (plane, code) in enumerate(zip(planes, colour, strict=True)):
        share = (alpha if index == 0 else small).astype(np.float32) * (shade / 255)
        y, x = top >> bool(index), left >> bool(index)
        part = plane[y : y + share.shape[0], x : x + share.shape[1]]
        share = share[: part.shape[0], : part.shape[1]]
        part[...] = np.rint(part + (code - part.astype(np.float32)) * share)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * (1 << _FINE)).astype(np.int32)
    return fixed


@lru_cache(maxsize=256)
def _label(text: str, height: int) -> Label:
    return label(text, 12 * height, 20 * height)


@lru_cache(maxsize=256)
def _colour(track: int, matrix: str, full: bool) -> tuple[int, int, int]:
    """Codes (Y, Cb, Cr) of a number's colour; 0: grey."""
    hue = (track - 1) * _GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0) if track else (_GREY,) * 3
    kr, kb = MATRICES[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / 2 / (1 - kb), (red - luma) / 2 / (1 - kr)
    span, low, chroma = (255, 0, 255) if full else (219, 16, 224)
    return round(span * luma + low), round(chroma * cb + 128), round(chroma * cr + 128)
