"""Scenes become frames, one at a time, and the truth about each.

The truth is computed, never measured: every head is drawn through one transform, and its landmarks
go through the same one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.tracking.backdrops import Backdrops
from crsr_video.evaluation.tracking.layers import Layer, Truth, opaque, placed, truths
from crsr_video.evaluation.tracking.people import Person
from crsr_video.evaluation.tracking.scenes import Occluder, Scene, camera
from crsr_video.imaging.geometry import apply, bounds, compose, invert
from crsr_video.imaging.warping import warp
from crsr_video.types import Frame, PixelLayout

Bytes = NDArray[np.uint8]
Noise = NDArray[np.int16]

RATE = 30
_LAYOUT = PixelLayout("yuv420p", "yuv", 8, 1, 1, "bt601", x_cosited=True, y_cosited=True)
"""What OpenCV's conversion makes: it takes chroma from the first pixel of four."""
_SKIN = np.array([205.0, 158.0, 132.0])
_OTHER_PART = (0.37, 0.23)
"""How far, in frames, the part of the background is off that a board shows."""
_MARGIN = 96
"""Pixels by which the noise is larger than a frame, so that it can be shifted about."""


@dataclass(frozen=True)
class Shown:
    """One frame and its faces."""

    index: int
    frame: Frame
    faces: tuple[Truth, ...]
    begins: bool
    """It is the first of a shot."""


def render(
    scene: Scene,
    cast: Sequence[Person],
    backdrops: Backdrops,
    *,
    seed: int = 0,
    frames: int | None = None,
) -> Iterator[Shown]:
    """Draw a scene, frame by frame; the same arguments give the same pixels.

    Args: cast: whom to show, counted round. frames: leave off those after so many.
    """
    rng = np.random.default_rng([seed, *scene.name.encode()])
    width, height = scene.size
    grain = _grain(scene, rng)
    for index in range(min(frames or scene.frames, scene.frames)):
        shot = scene.shot(index)
        drawn = [placed(layer, shot, index, cast) for layer in shot.layers]
        backdrop = backdrops.picture(shot.backdrop, width, height)
        picture = _draw(backdrop, drawn, camera(shot, index))
        if scene.blur > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), scene.blur)
        if grain is not None:
            x, y = rng.integers(_MARGIN, size=2)
            picture = cv2.add(picture, grain[y : y + height, x : x + width], dtype=cv2.CV_8U)
        yield Shown(
            index, _frame(picture, index), truths(drawn, width, height), shot.start == index
        )


def _draw(backdrop: Bytes, drawn: Sequence[Layer], moved: tuple[float, float]) -> Bytes:
    height, width = backdrop.shape[:2]
    if moved == (0, 0):
        picture = backdrop.copy()
    else:
        shift = np.array([[1, 0, moved[0]], [0, 1, moved[1]]])
        picture = cv2.warpAffine(
            backdrop, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    for layer in drawn:
        if layer.person is not None:
            _draw_head(picture, layer, layer.person)
        else:
            _draw_occluder(picture, layer, backdrop)
    return picture


def _draw_head(picture: Bytes, layer: Layer, person: Person) -> None:
    area = _area(bounds(layer.matrix, person.size), picture)
    if area is None:
        return
    x0, y0, x1, y1 = area
    level = person.level_for(layer.where.width)
    frame_from_level = compose(layer.matrix, invert(level.level_from_crop))
    matrix = compose([[1, 0, -x0], [0, 1, -y0]], frame_from_level)
    head = warp(level.pixels, matrix, x1 - x0, y1 - y0)
    _blend(picture[y0:y1, x0:x1], head[..., :3], head[..., 3:].clip(0, 255) / 255)


def _draw_occluder(picture: Bytes, layer: Layer, backdrop: Bytes) -> None:
    assert isinstance(layer.what, Occluder)
    x, y = apply(layer.matrix, [[-1, -1], [1, -1], [1, 1], [-1, 1]]).T
    area = _area((x.min() - 1, y.min() - 1, x.max() + 1, y.max() + 1), picture)
    if area is None:
        return
    x0, y0, x1, y1 = area
    points = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float64)
    own = apply(invert(layer.matrix), points.reshape(-1, 2)).reshape(points.shape)
    alpha = opaque(layer.what, own, layer.where.width)[..., None]
    if layer.what.look == "hand":
        colour = _SKIN * (0.85 - 0.15 * own[..., 1:])
    else:
        height, width = picture.shape[:2]
        part = apply([[1, 0, -layer.where.x], [0, 1, -layer.where.y]], points.reshape(-1, 2))
        part = part.reshape(points.shape) + np.array(_OTHER_PART) * (width, height)
        columns, rows = np.moveaxis(np.rint(part).astype(np.intp), -1, 0)
        colour = backdrop[rows % height, columns % width].astype(np.float64)
    _blend(picture[y0:y1, x0:x1], colour * alpha, alpha)


def _blend(region: Bytes, premultiplied: NDArray[np.floating], alpha: NDArray[np.floating]) -> None:
    region[...] = np.clip(np.rint(region * (1 - alpha) + premultiplied), 0, 255)


def _area(
    box: tuple[float, float, float, float], picture: Bytes
) -> tuple[int, int, int, int] | None:
    """Whole pixels of a picture that a box touches; None: it lies outside."""
    height, width = picture.shape[:2]
    x0, y0 = (max(0, int(np.floor(v))) for v in box[:2])
    x1, y1 = min(width, int(np.ceil(box[2])) + 1), min(height, int(np.ceil(box[3])) + 1)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _grain(scene: Scene, rng: np.random.Generator) -> Noise | None:
    """Noise larger than a frame; None: there is to be none."""
    if scene.noise <= 0:
        return None
    shape = (scene.size[1] + _MARGIN, scene.size[0] + _MARGIN, 3)
    grain: Noise = np.rint(scene.noise * rng.standard_normal(shape, np.float32)).astype(np.int16)
    return grain


def _frame(picture: Bytes, index: int) -> Frame:
    """As a decoder would give it."""
    height, width = picture.shape[:2]
    codes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).ravel()
    luma, quarter = width * height, width * height // 4
    chroma = codes[luma:].reshape(2, height // 2, width // 2)
    assert chroma.size == 2 * quarter
    planes = (codes[:luma].reshape(height, width), chroma[0], chroma[1])
    return Frame(planes, _LAYOUT, index, Fraction(1, RATE))
