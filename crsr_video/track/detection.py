"""Face detection with MediaPipe's two detectors, on the whole frame and on tiles of it.

Both are single-shot detectors: for every anchor, a fixed point of the input, they give the score of
a face there, and the positions of its box and its features relative to the anchor. Their answers
are decoded as in MediaPipe's published graphs `face_detection_short_range` and
`face_detection_full_range`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.errors import FaceModelError
from crsr_video.imaging.geometry import (
    Matrix,
    Points,
    apply,
    intersection_over_union,
    invert,
    scale_of,
)
from crsr_video.track.face_models import resolve
from crsr_video.track.litert import LiteRtModel
from crsr_video.track.region_pictures import model_input
from crsr_video.track.regions import Region, UprightView, square, view_of
from crsr_video.types import FloatPicture, Frame

Array = NDArray[np.float64]
DetectorName = Literal["full_range", "short_range"]

MIN_SCORE = 0.4
"""Lower scores are noise."""
MAX_DETECTIONS = 128
"""Largest number of detections per frame. The best ones are kept."""
_MAX_LOGIT = 100.0
_MAX_ANSWERS = 256
"""Largest number of answers that are decoded, best first. A face has about ten answers."""
_SAME_ANSWER_IOU = 0.3
_SAME_FACE_IOU = 0.35
_FLAT_RANGE = 0.15
"""Range of brightness, out of 2, below which a patch cannot show a part of a face."""
_PATCHES = 8
"""Patches per side of the input for this test. They are not much wider than the smallest faces."""
_REGION_PER_BOX = 1.6
"""Side of the landmark model's region divided by that of a detector's box. The mesh reaches from
the chin to the hairline, but the box only to the brows."""
_TILTED = 0.6
"""Angle in radians, relative to the input, from which a face is detected again with level eyes."""
_CLOSE_UP_PER_BOX: dict[DetectorName, float] = {"full_range": 6.0, "short_range": 4.0}
"""Side of a close-up of one face divided by that of its box, at which each model best distinguishes
faces from other objects. Measured: the other model's score is then 0.5 or more for 99 of 100 faces,
for 92 of 100 faces that are 16 pixels wide, and for one in ten of the objects that the first model
mistook for a face."""
_UPRIGHT_SCORE = 0.8
"""Score from which the detected orientation of a face is certain. Measured on 240 photographs:
faces score 0.68 or more, with a median of 0.9. Seen upside down, they score 0.6, and the eyes are
detected at the mouth."""
_MAX_CLOSE_UPS = 4
"""Largest number of close-ups after which the angle of a face must have settled."""


@dataclass(frozen=True, slots=True)
class AnchorGrid:
    """The anchors of one detector."""

    side: int
    """Side of the detector's input in pixels."""
    layers: tuple[tuple[int, int], ...]
    """For each output layer, the pixels between points and the number of anchors at each point."""

    @property
    def anchors(self) -> Array:
        """All anchors, (N, 2): x and y in pixels of the input, counted from its edge."""
        points = []
        for stride, shared in self.layers:
            line = (np.arange(-(-self.side // stride)) + 0.5) * stride
            y, x = np.meshgrid(line, line, indexing="ij")
            points.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), shared, 0))
        return np.concatenate(points)


ANCHOR_GRIDS: dict[DetectorName, AnchorGrid] = {
    "full_range": AnchorGrid(192, ((4, 1),)),
    # Two anchors a point at stride 8; three layers with two each at stride 16, interleaved.
    "short_range": AnchorGrid(128, ((8, 2), (16, 6))),
}
"""The full-range model is for small faces, the short-range model for large ones."""


class SingleShotDetector:
    """One of the detectors."""

    def __init__(self, path: Path, grid: AnchorGrid) -> None:
        """Load a model file.

        Raises:
            FaceModelError: The file cannot be run, or its outputs do not fit the anchors.
        """
        self.grid = grid
        self.model = LiteRtModel(path)
        self._anchors = grid.anchors
        count = len(self._anchors)
        self._boxes, self._logits = (1, count, 16), (1, count, 1)
        if not {self._boxes, self._logits} <= self.model.output_shapes:
            raise FaceModelError(f"the face model {path.name} is another model than its name says")

    def detect(self, pixels: FloatPicture, min_score: float) -> tuple[Array, Array]:
        """Detect faces.

        Args:
            pixels: float32 (side, side, 3), RGB in [-1, 1].
            min_score: The minimum score.

        Returns:
            Boxes and scores as from `decode_answers`.
        """
        self.model.run(pixels)
        boxes = self.model.output(self._boxes)[0]
        logits = self.model.output(self._logits).reshape(-1)
        return decode_answers(boxes, logits, self._anchors, min_score)


def decode_answers(
    raw: NDArray[np.float32], logits: NDArray[np.float32], anchors: Array, min_score: float
) -> tuple[Array, Array]:
    """Return the faces in a detector's answer, best first, each once.

    Args:
        raw: (N, 16), for each anchor x, y, width and height of a box, and x and y of six
            features, all in pixels of the input, counted from the anchor.
        logits: (N,) scores before the logistic function.
        anchors: (N, 2) positions of the anchors.
        min_score: The minimum score.

    Returns:
        Boxes (M, 16) as in `raw`, but counted from the edge of the input, and scores (M,).
    """
    least = np.log(min_score / (1 - min_score))
    likely = np.flatnonzero(logits >= least)
    likely = likely[np.argsort(-logits[likely], kind="stable")[:_MAX_ANSWERS]]
    clipped = np.clip(logits[likely].astype(np.float64), -_MAX_LOGIT, _MAX_LOGIT)
    found = raw[likely].astype(np.float64)
    found[:, :2] += anchors[likely]
    found[:, 4:] += np.tile(anchors[likely], 6)
    return merge_answers(found, 1 / (1 + np.exp(-clipped)))


def merge_answers(found: Array, scores: Array) -> tuple[Array, Array]:
    """Return one answer per face: the score-weighted mean of those that overlap the best one.

    Args:
        found: (N, 16), beginning with x, y, width and height.
        scores: (N,), in descending order.
    """
    corners = np.hstack([found[:, :2] - found[:, 2:4] / 2, found[:, :2] + found[:, 2:4] / 2])
    merged: list[Array] = []
    best: list[float] = []
    while len(found):
        same = intersection_over_union(corners[:1], corners)[0] > _SAME_ANSWER_IOU
        same[0] = True
        merged.append(np.average(found[same], axis=0, weights=scores[same]))
        best.append(float(scores[0]))
        found, scores, corners = found[~same], scores[~same], corners[~same]
    return np.array(merged).reshape(-1, found.shape[1]), np.array(best)


@dataclass(frozen=True, slots=True)
class DetectorRun:
    """A part of a frame, and the detector to run on it."""

    region: Region
    """The detector sees a square of the region's longer side, black beyond the frame."""
    detector: DetectorName = "full_range"


@dataclass(frozen=True, slots=True)
class Detection:
    """One detected face in upright coordinates."""

    box: Array
    """x0, y0, x1, y1: a square about the middle of the face, from brows to chin, at any tilt."""
    eyes: Points
    """(2, 2): right eye, left eye."""
    score: float

    @property
    def angle(self) -> float:
        """Angle of the eye line in radians, from +x towards +y."""
        across = self.eyes[1] - self.eyes[0]
        return float(np.arctan2(across[1], across[0]))

    @property
    def centre(self) -> Array:
        """The centre of the box, (x, y)."""
        middle: Array = self.box.reshape(2, 2).mean(0)
        return middle

    @property
    def region(self) -> Region:
        """The region for the landmark model: a square, level with the eyes."""
        x, y = self.centre
        side = _REGION_PER_BOX * float((self.box[2:] - self.box[:2]).max())
        return square(float(x), float(y), side, self.angle)


class Detector(Closing):
    """Runs both detectors. It must be closed, or used as a context manager."""

    def __init__(self, models: Path | None = None) -> None:
        """Load the models.

        Args:
            models: Folder with the model files. Defaults to where `face_models` finds them.
        """
        self._detectors = {
            name: SingleShotDetector(resolve(name, directory=models), grid)
            for name, grid in ANCHOR_GRIDS.items()
        }

    @property
    def runs(self) -> int:
        """How often one of the models was run."""
        return sum(detector.model.runs for detector in self._detectors.values())

    def detect(
        self, frame: Frame, runs: Iterable[DetectorRun], tracked: Iterable[Region] = ()
    ) -> list[Detection]:
        """Detect faces in parts of a frame.

        Args:
            frame: The frame.
            runs: Which detectors to run on which parts.
            tracked: Regions of faces that are tracked in this frame. Detections of them are
                accepted without the close-ups that verify a new face.

        Returns:
            At most MAX_DETECTIONS faces, best first, each once.
        """
        candidates = [(face, run) for run in runs for face in self._complete_faces(frame, run)]
        best = suppress([face for face, _ in candidates])[:MAX_DETECTIONS]
        known = list(tracked)
        accepted = [
            face
            if any(_same_pose(face.region, region) for region in known)
            else self._judged(frame, face, run)
            for face, run in (candidates[index] for index in best)
        ]
        faces = [face for face in accepted if face is not None]
        return [faces[index] for index in suppress(faces)]

    def close(self) -> None:
        """Free the models."""
        for detector in self._detectors.values():
            detector.model.close()

    def _complete_faces(self, frame: Frame, run: DetectorRun) -> list[Detection]:
        view = view_of(frame)
        tile = square(run.region.x, run.region.y, run.region.side, run.region.angle)
        faces = self._detect_in_square(frame, tile, run.detector)
        return [face for face in faces if _is_complete(face, tile, view)]

    def _judged(self, frame: Frame, face: Detection, run: DetectorRun) -> Detection | None:
        """Return a candidate as close-ups show it, or None if it is not a face."""
        level = self._levelled(frame, face, run.region.angle)
        judged = level and self._confirmed(frame, level, run.detector)
        if judged is None or judged.score < MIN_SCORE:
            return None
        return judged if judged.score >= _UPRIGHT_SCORE else self._right_way_up(frame, judged)

    def _detect_in_square(self, frame: Frame, tile: Region, name: DetectorName) -> list[Detection]:
        """Return the faces in a square tile, best first."""
        detector = self._detectors[name]
        pixels = model_input(frame, tile, detector.grid.side)
        if _is_flat(pixels):
            return []
        upright_from_picture = invert(tile.picture_from_upright(detector.grid.side))
        found = zip(*detector.detect(pixels, MIN_SCORE), strict=True)
        return [_detection(face, score, upright_from_picture) for face, score in found]

    def _levelled(self, frame: Frame, face: Detection, angle: float) -> Detection | None:
        """Return a tilted face as it is detected with level eyes, or None if it is not found again.

        The short-range model detects faces that lie on their side, but measures their angle badly.
        """
        for _ in range(_MAX_CLOSE_UPS):
            turn = (face.angle - angle + np.pi) % (2 * np.pi) - np.pi
            if abs(turn) < _TILTED:
                return face
            angle = face.angle
            again = self._close_up(frame, face, "short_range")
            if again is None:
                return None
            face = again
        return None

    def _right_way_up(self, frame: Frame, face: Detection) -> Detection:
        """Return a face as it was detected, or turned upside down if it scores higher that way."""
        turned = self._close_up(frame, replace(face, eyes=face.eyes[::-1]), "full_range")
        if turned is None:
            return face
        turned = self._confirmed(frame, turned, "full_range")
        return turned if turned.score > face.score else face

    def _confirmed(self, frame: Frame, face: Detection, by: DetectorName) -> Detection:
        """Return a face with the mean score of both models, which seldom make the same error."""
        other: DetectorName = "short_range" if by == "full_range" else "full_range"
        again = self._close_up(frame, face, other)
        if again is None:
            return replace(face, score=face.score / 2)
        score = (face.score + again.score) / 2
        # The short-range model's input shows the face larger, so it locates the face better.
        return replace(again if other == "short_range" else face, score=score)

    def _close_up(self, frame: Frame, face: Detection, name: DetectorName) -> Detection | None:
        """Return the same face as detected in an input of its own, with level eyes, or None."""
        x, y = face.centre
        side = _CLOSE_UP_PER_BOX[name] * float(face.box[2] - face.box[0])
        region = square(float(x), float(y), side, face.angle)
        found = self._detect_in_square(frame, region, name)
        return next((other for other in found if _overlaps(face.box, other.box[None])), None)


def suppress(found: Sequence[Detection]) -> list[int]:
    """Return the indices of the best detection of each face (non-maximum suppression).

    The best face comes first.
    """
    kept: list[int] = []
    for index in sorted(range(len(found)), key=lambda i: -found[i].score):
        others = np.array([found[i].box for i in kept]).reshape(-1, 4)
        if not _overlaps(found[index].box, others):
            kept.append(index)
    return kept


def _overlaps(box: Array, others: Array) -> bool:
    return bool((intersection_over_union(box[None], others) > _SAME_FACE_IOU).any())


def _is_flat(pixels: FloatPicture) -> bool:
    """Return whether no patch of a square picture has detail that could be part of a face."""
    green = pixels[..., 1].reshape(_PATCHES, len(pixels) // _PATCHES, _PATCHES, -1)
    return bool((green.max((1, 3)) - green.min((1, 3))).max() < _FLAT_RANGE)


def _same_pose(face: Region, tracked: Region) -> bool:
    """Return whether a detected face is a tracked one: in its place, and the same way up."""
    is_level = np.cos(face.angle - tracked.angle) > np.cos(_TILTED)
    return bool(is_level) and _overlaps(face.box, tracked.box[None])


def _detection(answer: Array, score: float, upright_from_picture: Matrix) -> Detection:
    # The models count from the edge of the picture, so the first pixel's centre is at one half.
    moved = apply(upright_from_picture, answer[[0, 1, 4, 5, 6, 7]].reshape(3, 2) - 0.5)
    half = scale_of(upright_from_picture) * max(answer[2], answer[3]) / 2
    corners = np.concatenate([moved[0] - half, moved[0] + half])
    return Detection(corners, moved[1:], float(score))


def _is_complete(face: Detection, tile: Region, view: UprightView) -> bool:
    """Return whether a tile shows all of a face, or as much of it as the frame shows.

    If the tile cuts off a part of a face, another tile shows more of it.
    """
    x, y = face.centre
    half = (face.box[2] - face.box[0]) / 2
    # The distances to the tile's centre along its own axes.
    c, s = np.cos(tile.angle), np.sin(tile.angle)
    across, down = np.array([[c, s], [-s, c]]) @ (x - tile.x, y - tile.y)
    if max(abs(across), abs(down)) + 0.8 * half <= tile.side / 2:
        return True
    inside_frame = (
        half * 0.8 <= x <= view.width - 1 - half * 0.8
        and half * 0.8 <= y <= view.height - 1 - half * 0.8
    )
    return not inside_frame and max(abs(across), abs(down)) <= tile.side / 2
