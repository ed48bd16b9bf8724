"""The sample clip of the benchmark: a moving camera, a textured scene, and known faces before it.

The face is Eileen Collins's, from NASA's portrait of her (public domain), made as soft as faces are
that one would want to enhance: it holds about 60 pixels of detail to a side of its crop, whatever
its size. The scene is made of shapes and noise at every scale, with grain over it, so that an
encoder has about as much to do as with real footage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
"""Width and height by name."""

RATE = 25
_FACE_WIDTH = 95.0
"""Of the face in its picture, pixels."""
_SHARE = 0.13
"""Width of a face over the frame's height."""
_NOSE = (164.0, 118.0)
_HEAD = ((164.0, 112.0), (82.0, 118.0))
"""Centre and radii of what is shown of the picture: head, hair and collar; pixels."""
_PLACES = ((0.50, 0.46), (0.17, 0.62), (0.80, 0.60), (0.36, 0.80))
"""Of the faces in the frame, as shares of width and height."""
_ROOM = 0.06
"""Share of the frame by which the scene is wider on each side: the camera's room."""
_SOFTNESS = 1.2
"""Deviation of the blur over the face, in pixels of its picture."""
_GRAIN = 2.2
"""Deviation in 8-bit codes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the clip is to be."""

    width: int
    height: int
    faces: int
    """0 to 4."""
    frames: int


def write(path: Path, sample: Sample) -> None:
    """Write the clip as H.264; the same sample gives the same pictures.

    Raises: ValueError: more faces than there are places.
    """
    if not 0 <= sample.faces <= len(_PLACES):
        raise ValueError(f"{sample.faces} faces: there is room for {len(_PLACES)}")
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "18"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = sample.width, sample.height, "yuv420p"
        for index, picture in enumerate(pictures(sample)):
            planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pictures(sample: Sample) -> Iterator[Bytes]:
    """Draw the clip: uint8 (H, W, 3), BGR."""
    rng = np.random.default_rng(7)
    room = round(_ROOM * sample.width)
    scene = _scene(sample.width + 2 * room, sample.height + 2 * room, rng)
    head, alpha = _head()
    margin = 64
    shape = (sample.height + margin, sample.width + margin, 1)
    grain = (_GRAIN * rng.standard_normal(shape)).round().astype(np.int16).repeat(3, 2)
    for index in range(sample.frames):
        seconds = index / RATE
        picture = _seen(scene, sample, room, seconds)
        for number in range(sample.faces):
            _draw(picture, head, alpha, _pose(sample, number, seconds))
        x, y = rng.integers(margin, size=2)
        part = grain[y : y + sample.height, x : x + sample.width]
        yield cv2.add(picture, part, dtype=cv2.CV_8U)


def _scene(width: int, height: int, rng: np.random.Generator) -> Bytes:
    """Something to stand before: soft and hard shapes, and texture at every scale."""
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 9):
        cells = (2**octave * width // height, 2**octave)
        noise = rng.standard_normal((cells[1], cells[0], 3)).astype(np.float32)
        noise = 0.2 * noise + 0.8 * noise[..., :1]  # things differ more in light than in colour
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


def _seen(scene: Bytes, sample: Sample, room: int, seconds: float) -> Bytes:
    """What the camera sees: it pans slowly and is held by hand."""
    x = room * (1 - 0.8 * np.cos(0.5 * seconds)) + 1.5 * np.sin(7 * seconds)
    y = room * (1 + 0.5 * np.sin(0.4 * seconds)) + 1.5 * np.sin(9 * seconds + 1)
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen: Bytes = cv2.warpAffine(scene, matrix, (sample.width, sample.height), flags=flags)
    return seen


def _head() -> tuple[Floats, Floats]:
    """The picture of the face, (h, w, 3) BGR, and how much of each pixel is shown, (h, w, 1)."""
    data = resources.files("crsr_video.bench").joinpath("face.jpg").read_bytes()
    sharp: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    picture = cv2.GaussianBlur(sharp.astype(np.float32), (0, 0), _SOFTNESS)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    (cx, cy), (rx, ry) = _HEAD
    radius = np.hypot((x - cx) / rx, (y - cy) / ry)
    return picture, np.clip((1 - radius) / 0.08, 0, 1).astype(np.float32)[..., None]


def _pose(sample: Sample, number: int, seconds: float) -> NDArray[np.float64]:
    """Frame pixels from the picture's; 2x3. Each face sways, nods and tilts in its own time."""
    phase = 1.7 * number
    scale = _SHARE * sample.height / _FACE_WIDTH * (1 + 0.04 * np.sin(0.9 * seconds + phase))
    tilt = np.radians(5) * np.sin(1.1 * seconds + phase)
    place = np.array(_PLACES[number]) * (sample.width, sample.height)
    sway = np.array([np.sin(1.3 * seconds + phase), np.sin(2.1 * seconds + phase) / 3])
    c, s = scale * np.cos(tilt), scale * np.sin(tilt)
    linear = np.array([[c, -s], [s, c]])
    shift = place + 0.04 * sample.height * sway - linear @ _NOSE
    return np.hstack([linear, shift[:, None]])


def _draw(picture: Bytes, head: Floats, alpha: Floats, matrix: NDArray[np.float64]) -> None:
    """Put the head into a picture."""
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
