"""The generated clip of the benchmarks: a moving camera, a textured scene and some faces.

The face is Eileen Collins's, from NASA's portrait (public domain), blurred to about 60 pixels of
detail per side of a crop, so that it resembles a face that a user would want to enhance. The scene
is made of shapes and noise at every scale, with grain over it, so that an encoder has about as much
to do as with real footage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.types import Bytes

Floats = NDArray[np.float32]

SIZES = {"360p": (640, 360), "480p": (640, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
"""Width and height by name."""
FRAME_RATE = 25

# Geometry of face.jpg, in its pixels.
_FACE_WIDTH = 95.0
_NOSE = (164.0, 118.0)
_CROP_CENTRE, _CROP_RADIUS = (164.0, 112.0), 100.0
_HEAD_CENTRE, _HEAD_RADII = (164.0, 112.0), (82.0, 118.0)
"""Ellipse that contains the head, the hair and the collar."""
_BLUR_SIGMA = 1.2

# Geometry of the scene, as fractions of the frame.
_FACE_SHARE = 0.13
"""Width of a face, as a fraction of the frame's height."""
_PLACES = ((0.50, 0.46), (0.17, 0.62), (0.80, 0.60), (0.36, 0.80))
_MARGIN_SHARE = 0.06
"""The scene extends beyond the frame by this share on each side, so that the camera can move."""
_GRAIN_SIGMA = 2.2
"""Standard deviation of the grain in 8-bit codes."""


@dataclass(frozen=True, slots=True)
class ClipProperties:
    """Properties of a generated clip."""

    width: int
    height: int
    faces: int
    """Number of faces, from 0 to 4."""
    frames: int


def write(path: Path, sample: ClipProperties) -> None:
    """Write a clip as H.264. The same sample gives the same pictures.

    Raises:
        ValueError: If there are more than four faces.
    """
    if not 0 <= sample.faces <= len(_PLACES):
        raise ValueError(f"cannot draw {sample.faces} faces: use 0 to {len(_PLACES)}")
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "18"}
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = sample.width, sample.height, "yuv420p"
        for index, picture in enumerate(pictures(sample)):
            planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pictures(sample: ClipProperties) -> Iterator[Bytes]:
    """Draw the frames of a clip: uint8 (H, W, 3), BGR."""
    rng = np.random.default_rng(7)
    margin = round(_MARGIN_SHARE * sample.width)
    scene = _draw_scene(sample.width + 2 * margin, sample.height + 2 * margin, rng)
    head, alpha = _head()
    spare = 64  # The grain is shifted by up to this many pixels from frame to frame.
    shape = (sample.height + spare, sample.width + spare, 1)
    grain = (_GRAIN_SIGMA * rng.standard_normal(shape)).round().astype(np.int16).repeat(3, 2)
    for index in range(sample.frames):
        seconds = index / FRAME_RATE
        picture = _view(scene, sample, margin, seconds)
        for number in range(sample.faces):
            _draw_head(picture, head, alpha, _pose(sample, number, seconds))
        x, y = rng.integers(spare, size=2)
        part = grain[y : y + sample.height, x : x + sample.width]
        yield cv2.add(picture, part, dtype=cv2.CV_8U)


def face_crops(count: int, size: int) -> Floats:
    """Return crops of the face, each with its own rotation, shift, brightness and noise.

    Returns:
        float32 (count, 3, size, size), RGB in [0, 1]; the same in every call.
    """
    rng = np.random.default_rng(5)
    x, y = _CROP_CENTRE
    face = _soft_face()[..., ::-1] / np.float32(255)
    crops = []
    for _ in range(count):
        scale = size / (2 * _CROP_RADIUS) * rng.uniform(0.95, 1.05)
        matrix = cv2.getRotationMatrix2D((x, y), rng.uniform(-8, 8), scale)
        matrix[:, 2] += (size - 1) / 2 - np.array([x, y]) + rng.uniform(-1, 1, 2)
        crops.append(cv2.warpAffine(face, matrix, (size, size), flags=cv2.INTER_LINEAR))
    lit = np.stack(crops).transpose(0, 3, 1, 2) * rng.uniform(0.7, 1.1, (count, 1, 1, 1))
    noisy = lit + rng.normal(0, 0.01, lit.shape)
    return np.ascontiguousarray(noisy.clip(0, 1), np.float32)


def _draw_scene(width: int, height: int, rng: np.random.Generator) -> Bytes:
    """Draw a scene with soft and hard shapes, and with texture at every scale."""
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 9):
        cells = (2**octave * width // height, 2**octave)
        noise = rng.standard_normal((cells[1], cells[0], 3)).astype(np.float32)
        noise = 0.2 * noise + 0.8 * noise[..., :1]  # Real scenes vary more in light than in hue.
        picture += (
            70 * 0.62**octave * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        )
    scene: Bytes = np.clip(picture + 105, 0, 255).astype(np.uint8)
    for _ in range(60):
        x, y, w, h = (rng.random(4) * (width, height, width / 6, height / 4)).astype(int).tolist()
        shape = scene[y : y + h, x : x + w]
        tone = rng.integers(-15, 15, (1, 1, 3)) + rng.integers(-50, 50)
        shape[...] = np.clip(shape * 0.8 + tone + 20, 0, 255)
    return scene


def _view(scene: Bytes, sample: ClipProperties, margin: int, seconds: float) -> Bytes:
    """Return the part of the scene that a slowly panning, hand-held camera shows."""
    x = margin * (1 - 0.8 * np.cos(0.5 * seconds)) + 1.5 * np.sin(7 * seconds)
    y = margin * (1 + 0.5 * np.sin(0.4 * seconds)) + 1.5 * np.sin(9 * seconds + 1)
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view: Bytes = cv2.warpAffine(scene, matrix, (sample.width, sample.height), flags=flags)
    return view


@lru_cache(maxsize=1)
def _soft_face() -> Floats:
    """Return face.jpg after the blur, float32 (h, w, 3), BGR, in codes from 0 to 255."""
    data = resources.files("crsr_video.bench").joinpath("face.jpg").read_bytes()
    sharp: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    soft: Floats = cv2.GaussianBlur(sharp.astype(np.float32), (0, 0), _BLUR_SIGMA)
    return soft


def _head() -> tuple[Floats, Floats]:
    picture = _soft_face()
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    (cx, cy), (rx, ry) = _HEAD_CENTRE, _HEAD_RADII
    radius = np.hypot((x - cx) / rx, (y - cy) / ry)
    return picture, np.clip((1 - radius) / 0.08, 0, 1).astype(np.float32)[..., None]


def _pose(sample: ClipProperties, number: int, seconds: float) -> NDArray[np.float64]:
    """Return the matrix (2x3) from face.jpg to the frame. Each face moves in its own phase."""
    phase = 1.7 * number
    scale = _FACE_SHARE * sample.height / _FACE_WIDTH * (1 + 0.04 * np.sin(0.9 * seconds + phase))
    tilt = np.radians(5) * np.sin(1.1 * seconds + phase)
    place = np.array(_PLACES[number]) * (sample.width, sample.height)
    sway = np.array([np.sin(1.3 * seconds + phase), np.sin(2.1 * seconds + phase) / 3])
    c, s = scale * np.cos(tilt), scale * np.sin(tilt)
    linear = np.array([[c, -s], [s, c]])
    shift = place + 0.04 * sample.height * sway - linear @ _NOSE
    return np.hstack([linear, shift[:, None]])


def _draw_head(picture: Bytes, head: Floats, alpha: Floats, matrix: NDArray[np.float64]) -> None:
    height, width = head.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]])
    placed = corners @ matrix[:, :2].T + matrix[:, 2]
    low = np.clip(np.floor(placed.min(0)), 0, picture.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(placed.max(0)), 0, picture.shape[1::-1]).astype(int)
    moved = matrix - np.hstack([np.zeros((2, 2)), low[:, None]])
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    drawn = cv2.warpAffine(np.dstack([head, alpha]), moved, size, flags=cv2.INTER_LINEAR)
    part = picture[low[1] : high[1], low[0] : high[0]]
    part[...] = part + drawn[..., 3:] * (drawn[..., :3] - part)
