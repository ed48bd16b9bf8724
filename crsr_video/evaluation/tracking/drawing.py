"""Draw the frames of a scene, and compute the ground truth of each frame.

The ground truth is exact, because the transform that draws a head also maps its landmarks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.scenes import (
    OVAL,
    Actor,
    DrawnHead,
    Occluder,
    Pose,
    Scene,
    Shot,
    camera,
    frame_from_crop,
    head_alpha,
    pose,
)
from crsr_video.imaging.geometry import Matrix, Points, apply, bounds, compose, invert
from crsr_video.imaging.warping import warp
from crsr_video.io.pictures import as_rgb
from crsr_video.io.reader import Reader
from crsr_video.training.prepare import SUFFIXES, read_picture
from crsr_video.types import Bytes, Frame, PixelLayout

Noise = NDArray[np.int16]
Floats = NDArray[np.float64]

# Layers and ground truth --------------------------------------------------------------------------


def _disc(count: int) -> Floats:
    """Points spread evenly over the unit disc, (N, 2)."""
    side = np.linspace(-1, 1, count)
    points = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    inside: Floats = points[np.hypot(*points.T) <= 1]
    return inside


_OVAL = np.array(OVAL[2:]) * _disc(25) + np.array(OVAL[:2])
"""Points of a face, (N, 2), as fractions of its crop."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of one face in one frame."""

    id: int
    box: tuple[float, float, float, float]
    """Box (x0, y0, x1, y1) from hairline to chin."""
    points: Points
    """(5, 2) in frame pixels, in the order of `geometry.TEMPLATE`."""
    width: float
    """Face width in pixels: the side of the canonical crop divided by 1.9."""
    visible: float
    """Share of the face that is inside the frame and not covered."""
    inside: float
    """Share of the face that is inside the frame, covered or not."""


@dataclass(frozen=True)
class Layer:
    """One head or occluder in one frame."""

    what: Actor | Occluder
    where: Pose
    matrix: Matrix
    """2x3 matrix to frame pixels, from pixels of the crop or units of an occluder's half axes."""
    person: DrawnHead | None = None

    def alpha(self, points: Points) -> Floats:
        """Opacity at points (N, 2) of the frame."""
        own = apply(invert(self.matrix), points)
        if self.person is not None:
            return head_alpha(own, self.person.size)
        assert isinstance(self.what, Occluder)
        return opaque(self.what, own, self.where.width)

    def near(self, other: "Layer") -> bool:
        """Whether the two layers might overlap."""
        apart = np.hypot(self.where.x - other.where.x, self.where.y - other.where.y)
        return bool(apart < 1.5 * (self.reach + other.reach))

    @property
    def reach(self) -> float:
        """Approximate radius of a circle around the layer."""
        tall = self.what.height if isinstance(self.what, Occluder) else 1.0
        return self.where.width * max(1.0, tall)


def truths(drawn: Sequence[Layer], width: int, height: int) -> tuple[Truth, ...]:
    """Ground truth of every face of a frame."""
    found = []
    for n, layer in enumerate(drawn):
        if layer.person is None:
            continue
        covers = [other for other in drawn[n + 1 :] if layer.near(other)]
        found.append(_truth(layer, covers, width, height))
    return tuple(found)


def _truth(layer: Layer, covers: Sequence[Layer], width: int, height: int) -> Truth:
    assert layer.person is not None and isinstance(layer.what, Actor)
    size = layer.person.size
    face = apply(layer.matrix, _OVAL * size - 0.5)
    inside = ((face >= -0.5) & (face <= np.array([width, height]) - 0.5)).all(1)
    clear = np.ones(len(face))
    for cover in covers:
        clear *= 1 - cover.alpha(face)
    middle = np.array([layer.where.x, layer.where.y])
    # The box around a rotated ellipse.
    c, s = layer.matrix[:, 0], layer.matrix[:, 1]
    half = np.hypot(c * OVAL[2] * size, s * OVAL[3] * size)
    x0, y0, x1, y1 = np.concatenate([middle - half, middle + half])
    return Truth(
        id=layer.what.id,
        box=(float(x0), float(y0), float(x1), float(y1)),
        points=apply(layer.matrix, layer.person.points),
        width=layer.where.width,
        visible=float((clear * inside).mean()),
        inside=float(inside.mean()),
    )


def placed(layer: Actor | Occluder, shot: Shot, index: int, cast: Sequence[DrawnHead]) -> Layer:
    """Place a layer of a shot in one frame."""
    where = pose(layer, shot, index)
    if isinstance(layer, Actor):
        person = cast[layer.person % len(cast)]
        return Layer(layer, where, frame_from_crop(where, person.size), person)
    c, s = np.cos(np.radians(where.tilt)), np.sin(np.radians(where.tilt))
    a, b = where.width / 2, where.width * layer.height / 2
    return Layer(layer, where, np.array([[c * a, -s * b, where.x], [s * a, c * b, where.y]]))


def opaque(what: Occluder, own: Floats, width: float) -> Floats:
    """Opacity of an occluder at points in units of its half axes. Its edge is one pixel wide."""
    halves = np.array([width / 2, width * what.height / 2])
    if what.look == "hand":
        inwards = (1 - np.hypot(own[..., 0], own[..., 1])) * halves.min()
    else:
        inwards = ((1 - np.abs(own)) * halves).min(-1)
    alpha: Floats = np.clip(inwards + 0.5, 0, 1)
    return alpha


# Backgrounds --------------------------------------------------------------------------------------


_MAX_ENLARGEMENT = 1.5
"""A picture is enlarged by up to this factor to fill a frame, and mirrored beyond that."""
_GENERATED = 4
_SHAPES = 40


@dataclass(frozen=True)
class Backdrops:
    """Backgrounds without faces, in any size."""

    files: Sequence[Path] = ()
    """Pictures and videos. Without any, backgrounds are generated."""
    seed: int = 0
    _cache: dict[tuple[int, int, int], Bytes] = field(default_factory=dict)

    def picture(self, number: int, width: int, height: int) -> Bytes:
        """Background `number`, modulo the number of backgrounds.

        The result is RGB, uint8 (height, width, 3), and must not be changed.
        """
        key = (number % (len(self.files) or _GENERATED), width, height)
        if key not in self._cache:
            if len(self._cache) > 1:
                self._cache.clear()  # A scene needs two at a time.
            self._cache[key] = self._make(*key)
        return self._cache[key]

    def _make(self, number: int, width: int, height: int) -> Bytes:
        if not self.files:
            return generate_backdrop(width, height, np.random.default_rng([self.seed, 1, number]))
        return cover(_read(self.files[number]), width, height)


def find_backdrops(source: Path | None, seed: int) -> Backdrops:
    """Find backgrounds: a picture, a video (its first frame), or a folder of both.

    The backgrounds must not show faces, because a face found in them counts as a false positive.

    Raises:
        ConfigError: If there is no file.
    """
    if source is None:
        return Backdrops(seed=seed)
    files = sorted(p for p in source.iterdir() if p.is_file()) if source.is_dir() else [source]
    if not files or not files[0].exists():
        raise ConfigError(f"no picture or video in {source}")
    return Backdrops(files, seed)


def _read(path: Path) -> Bytes:
    if path.suffix.lower() in SUFFIXES:
        picture = read_picture(path)
        if picture is None:
            raise ConfigError(f"{path} is not a picture")
        return picture
    with Reader(path) as reader:
        return as_rgb(next(islice((item for item in reader if isinstance(item, Frame)), 1)))


def cover(picture: Bytes, width: int, height: int) -> Bytes:
    """Fill a frame with a picture that is shrunk, enlarged a little, or mirrored at its edges."""
    rows, columns = picture.shape[:2]
    scale = min(_MAX_ENLARGEMENT, max(width / columns, height / rows))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    resized = cv2.resize(picture, size, interpolation=how)
    right, down = max(0, width - size[0]), max(0, height - size[1])
    filled: Bytes = np.pad(resized, ((0, down), (0, right), (0, 0)), "symmetric")
    return filled[:height, :width]


def generate_backdrop(width: int, height: int, rng: np.random.Generator) -> Bytes:
    """Draw clutter: noise of equal strength at every scale, and flat shapes with sharp edges."""
    picture = np.full((height, width, 3), rng.uniform(70, 170, 3), np.float32)
    for cells in (3, 6, 12, 24, 48, 96):
        shape = (cells, cells * width // height + 1)
        rough = rng.normal(0, 12, (*shape, 1)) + rng.normal(0, 3, (*shape, 3))
        picture += cv2.resize(
            rough.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    for _ in range(_SHAPES):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(6, width // 8)), int(rng.integers(6, height // 3)))
        colour = (rng.uniform(40, 200) + rng.uniform(-25, 25, 3)).astype(np.float32)
        box = (middle, axes, float(rng.uniform(0, 180)))
        corners = np.rint(cv2.boxPoints(box)).astype(np.int32)
        low, high = np.clip([corners.min(0), corners.max(0) + 1], 0, (width, height))
        part = picture[low[1] : high[1], low[0] : high[0]]
        alpha = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(alpha, [corners - low.astype(np.int32)], 153, cv2.LINE_AA)
        part += (colour - part) * (alpha[..., None] / np.float32(255))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


# Frames -------------------------------------------------------------------------------------------

FRAME_RATE = 30
_LAYOUT = PixelLayout("yuv420p", "yuv", 8, 1, 1, "bt601", x_cosited=True, y_cosited=True)
"""Layout of OpenCV's conversion, which takes chroma from the first pixel of each 2x2 block."""
_SKIN = np.array([205.0, 158.0, 132.0])
_BOARD_OFFSET = (0.37, 0.23)
"""Offset of the background that a board shows, as a share of the frame."""
_NOISE_MARGIN_PX = 96
"""The noise is larger than a frame by this many pixels, so that it can be shifted."""


@dataclass(frozen=True)
class DrawnFrame:
    """One frame and its ground truth."""

    index: int
    frame: Frame
    faces: tuple[Truth, ...]
    begins_shot: bool


def render(
    scene: Scene,
    cast: Sequence[DrawnHead],
    backdrops: Backdrops,
    *,
    seed: int = 0,
    frames: int | None = None,
) -> Iterator[DrawnFrame]:
    """Draw a scene, frame by frame. The same arguments give the same pixels.

    Args:
        scene: The scene.
        cast: People to show.
        backdrops: Backgrounds.
        seed: Seed of the noise.
        frames: Maximum number of frames. Defaults to all.
    """
    rng = np.random.default_rng([seed, *scene.name.encode()])
    width, height = scene.size
    grain = _grain(scene, rng)
    for index in range(min(frames or scene.frames, scene.frames)):
        shot = scene.shot(index)
        drawn = [placed(layer, shot, index, cast) for layer in shot.layers]
        backdrop = backdrops.picture(shot.backdrop, width, height)
        picture = _draw_picture(backdrop, drawn, camera(shot, index))
        if scene.blur > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), scene.blur)
        if grain is not None:
            x, y = rng.integers(_NOISE_MARGIN_PX, size=2)
            picture = cv2.add(picture, grain[y : y + height, x : x + width], dtype=cv2.CV_8U)
        yield DrawnFrame(
            index, _frame(picture, index), truths(drawn, width, height), shot.start == index
        )


def _draw_picture(backdrop: Bytes, drawn: Sequence[Layer], moved: tuple[float, float]) -> Bytes:
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


def _draw_head(picture: Bytes, layer: Layer, person: DrawnHead) -> None:
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
        part = part.reshape(points.shape) + np.array(_BOARD_OFFSET) * (width, height)
        columns, rows = np.moveaxis(np.rint(part).astype(np.intp), -1, 0)
        colour = backdrop[rows % height, columns % width].astype(np.float64)
    _blend(picture[y0:y1, x0:x1], colour * alpha, alpha)


def _blend(region: Bytes, premultiplied: NDArray[np.floating], alpha: NDArray[np.floating]) -> None:
    region[...] = np.clip(np.rint(region * (1 - alpha) + premultiplied), 0, 255)


def _area(
    box: tuple[float, float, float, float], picture: Bytes
) -> tuple[int, int, int, int] | None:
    """Pixels of a picture that a box touches, or None if it lies outside."""
    height, width = picture.shape[:2]
    x0, y0 = (max(0, int(np.floor(v))) for v in box[:2])
    x1, y1 = min(width, int(np.ceil(box[2])) + 1), min(height, int(np.ceil(box[3])) + 1)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _grain(scene: Scene, rng: np.random.Generator) -> Noise | None:
    if scene.noise <= 0:
        return None
    shape = (scene.size[1] + _NOISE_MARGIN_PX, scene.size[0] + _NOISE_MARGIN_PX, 3)
    grain: Noise = np.rint(scene.noise * rng.standard_normal(shape, np.float32)).astype(np.int16)
    return grain


def _frame(picture: Bytes, index: int) -> Frame:
    """Convert an RGB picture to a frame like those that a decoder returns."""
    height, width = picture.shape[:2]
    codes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).ravel()
    luma, quarter = width * height, width * height // 4
    chroma = codes[luma:].reshape(2, height // 2, width // 2)
    assert chroma.size == 2 * quarter
    planes = (codes[:luma].reshape(height, width), chroma[0], chroma[1])
    return Frame(planes, _LAYOUT, index, Fraction(1, FRAME_RATE))
