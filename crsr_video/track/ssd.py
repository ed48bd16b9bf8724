"""What MediaPipe's face detectors answer, read without MediaPipe: anchors, boxes, suppression.

Both are single-shot detectors: at every anchor, a fixed point of the input, they say how far a face
is to be believed there, and where its box and its features lie from it.
Source: MediaPipe's published graphs `face_detection_short_range` and `face_detection_full_range`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import FaceModelError
from crsr_video.track.litert import LiteRtModel

Array = NDArray[np.float64]

_CLIP = 100.0
"""Logits beyond are as good as infinite."""
_SAME = 0.3
"""Overlap from which two answers are of one face."""
_MOST = 256
"""Answers above the floor that are looked into, best first: a face has about ten."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Anchors of one detector."""

    side: int
    """Of its input in pixels."""
    layers: tuple[tuple[int, int], ...]
    """For each output layer: pixels between anchors, and how many share a point."""

    @property
    def anchors(self) -> Array:
        """All of them, (N, 2): x and y in pixels of the input, counted from its edge."""
        points = []
        for stride, shared in self.layers:
            line = (np.arange(-(-self.side // stride)) + 0.5) * stride
            y, x = np.meshgrid(line, line, indexing="ij")
            points.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), shared, 0))
        return np.concatenate(points)


# Two anchors a point at stride 8; three layers with two each at stride 16, interleaved.
SHORT_RANGE = Grid(128, ((8, 2), (16, 6)))
FULL_RANGE = Grid(192, ((4, 1),))


class SingleShot:
    """One detection model on LiteRT."""

    def __init__(self, path: Path, grid: Grid) -> None:
        """Load it.

        Raises: FaceModelError: it cannot be run, or its answer is not one for that grid.
        """
        self.grid = grid
        self._anchors = grid.anchors
        self._model = LiteRtModel(path)
        count = len(self._anchors)
        self._boxes, self._logits = (1, count, 16), (1, count, 1)
        if not {self._boxes, self._logits} <= self._model.output_shapes:
            raise FaceModelError(f"the face model {path.name} is not what its name says")

    def __call__(self, pixels: NDArray[np.float32], floor: float) -> tuple[Array, Array]:
        """Faces in a picture, float32 (side, side, 3) RGB in [-1, 1], as `decode` returns them."""
        self._model.run(pixels)
        boxes = self._model.output(self._boxes)[0]
        logits = self._model.output(self._logits).reshape(-1)
        return decode(boxes, logits, self._anchors, floor)


def decode(
    raw: NDArray[np.float32], logits: NDArray[np.float32], anchors: Array, floor: float
) -> tuple[Array, Array]:
    """Faces in a detector's answer, best first, each once.

    Args:    raw: (N, 16), for each anchor x, y, width, height of a box and x, y of six features,
             all in pixels of the input from the anchor. logits: (N,). floor: least score.
    Returns: boxes (M, 16): as in `raw`, but from the input's edge; scores (M,) in [0, 1].
    """
    least = np.log(floor / (1 - floor))
    likely = np.flatnonzero(logits >= least)
    likely = likely[np.argsort(-logits[likely], kind="stable")[:_MOST]]
    scores = 1 / (1 + np.exp(-np.clip(logits[likely].astype(np.float64), -_CLIP, _CLIP)))
    found = raw[likely].astype(np.float64)
    found[:, :2] += anchors[likely]
    found[:, 4:] += np.tile(anchors[likely], 6)
    return merge(found, scores)


def merge(found: Array, scores: Array) -> tuple[Array, Array]:
    """One answer for each face: the mean of those that overlap the best one, weighted by score.

    Args: found: (N, 16), x, y, width, height and more. scores: (N,), falling.
    """
    kept: list[Array] = []
    best: list[float] = []
    while len(found):
        same = overlap(found[0], found) > _SAME
        same[0] = True
        kept.append(np.average(found[same], axis=0, weights=scores[same]))
        best.append(float(scores[0]))
        found, scores = found[~same], scores[~same]
    return np.array(kept).reshape(-1, found.shape[1]), np.array(best)


def overlap(box: Array, others: Array) -> Array:
    """Shared over joint area of one box with each of the others; centre, width and height."""
    low = np.maximum(box[:2] - box[2:4] / 2, others[:, :2] - others[:, 2:4] / 2)
    high = np.minimum(box[:2] + box[2:4] / 2, others[:, :2] + others[:, 2:4] / 2)
    shared = np.clip(high - low, 0, None).prod(-1)
    joint = box[2:4].prod() + others[:, 2:4].prod(-1) - shared
    ratio: Array = shared / np.maximum(joint, 1e-9)
    return ratio
