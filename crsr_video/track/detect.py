"""Where there are faces at all: MediaPipe's detectors, run on the frame and on tiles of it.

A detector shrinks whatever it is shown to its own input (192 or 128 pixels), so a face that is
small against the frame is found only in a tile in which it is larger.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import FaceModelError
from crsr_video.face_models import resolve, with_metadata
from crsr_video.geometry import Matrix, Points, apply, invert, scale_of
from crsr_video.track.quiet import quiet
from crsr_video.track.view import Region, picture, view_of
from crsr_video.types import Frame

Boxes = NDArray[np.float64]
Model = Literal["full_range", "short_range"]

INPUT: dict[Model, int] = {"full_range": 192, "short_range": 128}
"""Side of each model's input in pixels: the first for small faces, the second for large ones."""
FLOOR = 0.4
"""Scores below are noise."""
# The mesh reaches from chin to hairline, the detectors' boxes only to the brows: side of the mesh
# model's region over theirs.
_REGION_PER_BOX = 1.6
_SAME_FACE = 0.35


@dataclass(frozen=True, slots=True)
class Look:
    """One run of a detector: where, and which."""

    region: Region
    model: Model = "full_range"


@dataclass(frozen=True, slots=True)
class Detection:
    """One face as a detector sees it; upright coordinates."""

    box: NDArray[np.float64]
    """x0, y0, x1, y1: brows to chin."""
    eyes: Points
    """(2, 2): right, left."""
    score: float

    @property
    def region(self) -> Region:
        """Where the mesh model should look: a square, level with the eyes."""
        x, y = self.box.reshape(2, 2).mean(0)
        across = self.eyes[1] - self.eyes[0]
        side = _REGION_PER_BOX * float((self.box[2:] - self.box[:2]).max())
        return Region(float(x), float(y), side, side, float(np.arctan2(across[1], across[0])))


class Detector:
    """Both detection models; to be closed."""

    def __init__(self, models: Path | None = None) -> None:
        """Load them.

        Args:   models: folder with the model files; None: the cache, see `face_models`.
        Raises: FaceModelError: a model is missing or cannot be run.
        """
        self.calls = 0
        self._tasks: dict[Model, Any] = {}
        try:
            for name in INPUT:
                self._tasks[name] = _task(resolve(name, directory=models))
        except BaseException:
            self.close()
            raise

    def look(self, frame: Frame, looks: Iterable[Look]) -> list[Detection]:
        """Faces in those parts of a frame, best first, each once."""
        return suppress([face for look in looks for face in self._run(frame, look)])

    def close(self) -> None:
        """Release the models; must be called, since MediaPipe fails when left to the exit."""
        while self._tasks:
            with quiet():
                self._tasks.popitem()[1].close()

    def _run(self, frame: Frame, look: Look) -> list[Detection]:
        self.calls += 1
        side = INPUT[look.model]
        pixels = (picture(frame, look.region, side) * 255 + 0.5).astype(np.uint8)
        upright_from_picture = invert(look.region.picture_from_upright(side))
        found = self._tasks[look.model].detect(_image(pixels)).detections
        faces = [_detection(face, pixels.shape, upright_from_picture) for face in found]
        view = view_of(frame)
        return [face for face in faces if _whole(face, look.region, view.width, view.height)]


def _task(path: Path) -> Any:
    from mediapipe.tasks.python import BaseOptions, vision

    model = with_metadata(path.read_bytes(), mean=127.5, std=127.5)
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=model), min_detection_confidence=FLOOR
    )
    try:
        with quiet():
            task = vision.FaceDetector.create_from_options(options)
            task.detect(_image(np.zeros((8, 8, 3), np.uint8)))  # the first run has things to say
        return task
    except (ValueError, RuntimeError) as error:
        raise FaceModelError(f"the face model {path.name} cannot be run: {error}") from error


def _image(rgb: NDArray[np.uint8]) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)


def _detection(found: Any, shape: tuple[int, ...], upright_from_picture: Matrix) -> Detection:
    """MediaPipe's result for a picture of the given shape."""
    box = found.bounding_box
    centre = np.array([box.origin_x + box.width / 2, box.origin_y + box.height / 2])
    eyes = np.array([[eye.x * shape[1], eye.y * shape[0]] for eye in found.keypoints[:2]])
    # MediaPipe counts from the picture's edge, where a pixel's centre is at one half.
    moved = apply(upright_from_picture, np.vstack([centre, eyes]) - 0.5)
    half = scale_of(upright_from_picture) * max(box.width, box.height) / 2
    corners = np.concatenate([moved[0] - half, moved[0] + half])
    return Detection(corners, moved[1:], float(found.categories[0].score))


def _whole(face: Detection, tile: Region, width: float, height: float) -> bool:
    """Whether a tile shows all of a face, or all that the frame shows: its neighbour does."""
    slack = 0.1 * (face.box[2] - face.box[0])
    x0, y0, x1, y1 = tile.box
    low = np.where(np.array([x0, y0]) > 0, (x0 - slack, y0 - slack), -np.inf)
    high = np.where(np.array([x1, y1]) < (width - 1, height - 1), (x1 + slack, y1 + slack), np.inf)
    return bool((face.box[:2] >= low).all() and (face.box[2:] <= high).all())


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Overlap of every box of (N, 4) with every one of (M, 4): shared over joint area; (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    overlap: NDArray[np.float64] = shared / (areas[0][:, None] + areas[1][None] - shared + 1e-9)
    return overlap


def suppress(found: list[Detection]) -> list[Detection]:
    """Keep the best of those that show the same face (non-maximum suppression)."""
    kept: list[Detection] = []
    for face in sorted(found, key=lambda f: -f.score):
        others = np.array([other.box for other in kept]).reshape(-1, 4)
        if not (iou(face.box[None], others) > _SAME_FACE).any():
            kept.append(face)
    return kept
