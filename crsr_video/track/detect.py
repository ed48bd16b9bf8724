"""Where there are faces at all: MediaPipe's detectors, run on the frame and on tiles of it.

A detector shrinks whatever it is shown to its own input (192 or 128 pixels), so a face that is
small against the frame is found only in a tile in which it is larger. The models run on LiteRT,
MediaPipe's own runtime, which answers the same in a third of the time of its Tasks API.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.geometry import Matrix, Points, apply, invert, scale_of
from crsr_video.track.face_models import resolve
from crsr_video.track.glimpse import glimpse
from crsr_video.track.ssd import FULL_RANGE, SHORT_RANGE, Grid, SingleShot
from crsr_video.track.view import Region, view_of
from crsr_video.types import Frame

Boxes = NDArray[np.float64]
Model = Literal["full_range", "short_range"]

GRIDS: dict[Model, Grid] = {"full_range": FULL_RANGE, "short_range": SHORT_RANGE}
"""Each model's input and anchors: the first for small faces, the second for large ones."""
FLOOR = 0.4
"""Scores below are noise."""
MOST = 128
"""Faces of one frame that are kept at most, best first."""
_FLAT = 0.15
"""Range of brightness, of 2, up to which there is no face in a patch."""
_PATCHES = 8
"""To the side of a picture, for this: not much wider than the smallest faces."""
# The mesh reaches from chin to hairline, the detectors' boxes only to the brows: side of the mesh
# model's region over theirs.
_REGION_PER_BOX = 1.6
_SAME_FACE = 0.35
_TILTED = 0.6
"""Angle to the look, radians, from which a face is looked at again with its eyes level."""
_GLANCE: dict[Model, float] = {"full_range": 6.0, "short_range": 4.0}
"""Side of a look at one face over its box, at which the model knows faces best from other things.
Measured: the other model's score there is 0.5 or more for 99 of 100 faces, 92 of those 16 pixels
wide, and for one in ten of the things that the first one took for a face."""
_GLANCES = 4
"""Looks in which the angle must settle."""


@dataclass(frozen=True, slots=True)
class Look:
    """One run of a detector: where, and which."""

    region: Region
    """Seen as a square of its longer side, turned by its angle; black beyond the frame."""
    model: Model = "full_range"


@dataclass(frozen=True, slots=True)
class Detection:
    """One face as a detector sees it; upright coordinates."""

    box: NDArray[np.float64]
    """x0, y0, x1, y1: brows to chin; a square about the face's middle, however it is tilted."""
    eyes: Points
    """(2, 2): right, left."""
    score: float

    @property
    def angle(self) -> float:
        """Of the eye line, radians, from +x towards +y."""
        across = self.eyes[1] - self.eyes[0]
        return float(np.arctan2(across[1], across[0]))

    @property
    def region(self) -> Region:
        """Where the mesh model should look: a square, level with the eyes."""
        x, y = self.box.reshape(2, 2).mean(0)
        side = _REGION_PER_BOX * float((self.box[2:] - self.box[:2]).max())
        return Region(float(x), float(y), side, side, self.angle)


class Detector(Closing):
    """Both detection models; to be closed."""

    def __init__(self, models: Path | None = None) -> None:
        """Load them.

        Args:   models: folder with the model files; None: the cache, see `face_models`.
        Raises: FaceModelError: a model is missing or cannot be run.
        """
        self.calls = 0
        self._models = {
            name: SingleShot(resolve(name, directory=models), GRIDS[name]) for name in GRIDS
        }

    def look(
        self, frame: Frame, looks: Iterable[Look], known: Iterable[Region] = ()
    ) -> list[Detection]:
        """Faces in those parts of a frame, best first, each once, `MOST` at most.

        Args: known: the mesh model's regions of faces that are followed in this frame: what is
              seen there is believed without the closer looks that a new face is judged by.
        """
        seen = [(face, look) for look in looks for face in self._candidates(frame, look)]
        by = {id(face): look for face, look in seen}
        likely = suppress([face for face, _ in seen])[:MOST]
        followed = list(known)
        new = [not any(_same_pose(face.region, region) for region in followed) for face in likely]
        sure = [
            self._judged(frame, face, by[id(face)]) if is_new else face
            for face, is_new in zip(likely, new, strict=True)
        ]
        return suppress([face for face in sure if face is not None])

    def close(self) -> None:
        """Release the models."""
        self._models.clear()

    def _candidates(self, frame: Frame, look: Look) -> list[Detection]:
        """What one look takes for faces."""
        view, tile = view_of(frame), _square(look.region)
        faces = self._see(frame, tile, look.model)
        return [face for face in faces if _whole(face, tile, view.width, view.height)]

    def _judged(self, frame: Frame, face: Detection, look: Look) -> Detection | None:
        """A candidate after closer looks; None: it is no face."""
        level = self._levelled(frame, face, look.region.angle)
        sure = level and self._confirmed(frame, level, look.model)
        return sure if sure and sure.score >= FLOOR else None

    def _see(self, frame: Frame, tile: Region, name: Model) -> list[Detection]:
        """What a model answers to a square tile, best first."""
        model = self._models[name]
        pixels = glimpse(frame, tile, model.grid.side)
        if _flat(pixels):
            return []
        self.calls += 1
        upright_from_picture = invert(tile.picture_from_upright(model.grid.side))
        found = zip(*model(pixels, FLOOR), strict=True)
        return [_detection(face, score, upright_from_picture) for face, score in found]

    def _levelled(self, frame: Frame, face: Detection, angle: float) -> Detection | None:
        """A face seen at an angle, as it is seen with level eyes; None: then it is none.

        The short-range model sees faces that lie on their side, but not well how they lie.
        """
        for _ in range(_GLANCES):
            if abs(_turn(face.angle - angle)) < _TILTED:
                return face
            angle = face.angle
            again = self._glance(frame, face, "short_range")
            if again is None:
                return None
            face = again
        return None

    def _confirmed(self, frame: Frame, face: Detection, by: Model) -> Detection:
        """A face with the mean of both models' scores: they are seldom wrong about the same."""
        other: Model = "short_range" if by == "full_range" else "full_range"
        again = self._glance(frame, face, other)
        if again is None:
            return replace(face, score=face.score / 2)
        score = (face.score + again.score) / 2
        # The short-range model has seen it larger, and places it better.
        return replace(again if other == "short_range" else face, score=score)

    def _glance(self, frame: Frame, face: Detection, model: Model) -> Detection | None:
        """The same face in a look of its own, with its eyes level; None: it is not seen there."""
        x, y = face.box.reshape(2, 2).mean(0)
        side = _GLANCE[model] * float(face.box[2] - face.box[0])
        found = self._see(frame, Region(float(x), float(y), side, side, face.angle), model)
        return next((other for other in found if _same(face, other)), None)


def _flat(pixels: NDArray[np.float32]) -> bool:
    """Whether a square picture has no detail anywhere that could be a face's."""
    green = pixels[..., 1].reshape(_PATCHES, len(pixels) // _PATCHES, _PATCHES, -1)
    return bool((green.max((1, 3)) - green.min((1, 3))).max() < _FLAT)


def _square(region: Region) -> Region:
    return Region(region.x, region.y, region.side, region.side, region.angle)


def _turn(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _overlaps(box: NDArray[np.float64], others: Boxes) -> bool:
    return bool((iou(box[None], others) > _SAME_FACE).any())


def _same_pose(face: Region, known: Region) -> bool:
    """Whether a face that is followed is seen as it was: there, and the same way up."""
    level = np.cos(face.angle - known.angle) > np.cos(_TILTED)
    return bool(level) and _overlaps(face.box, known.box[None])


def _same(face: Detection, other: Detection) -> bool:
    return _overlaps(face.box, other.box[None])


def _detection(face: NDArray[np.float64], score: float, upright_from_picture: Matrix) -> Detection:
    """A detector's answer, (16,) as in `ssd.decode`."""
    # The models count from the picture's edge, where a pixel's centre is at one half.
    moved = apply(upright_from_picture, face[[0, 1, 4, 5, 6, 7]].reshape(3, 2) - 0.5)
    half = scale_of(upright_from_picture) * max(face[2], face[3]) / 2
    corners = np.concatenate([moved[0] - half, moved[0] + half])
    return Detection(corners, moved[1:], float(score))


def _whole(face: Detection, tile: Region, width: float, height: float) -> bool:
    """Whether a tile shows all of a face, or all that the frame shows: its neighbour does."""
    x, y = face.box.reshape(2, 2).mean(0)
    half = (face.box[2] - face.box[0]) / 2
    # Where the tile ends, in its own directions; a face cut by the frame's edge is all there is.
    c, s = np.cos(tile.angle), np.sin(tile.angle)
    across, down = np.array([[c, s], [-s, c]]) @ (x - tile.x, y - tile.y)
    if max(abs(across), abs(down)) + 0.8 * half <= tile.side / 2:
        return True
    inside = (
        half * 0.8 <= x <= width - 1 - half * 0.8 and half * 0.8 <= y <= height - 1 - half * 0.8
    )
    return not inside and max(abs(across), abs(down)) <= tile.side / 2


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
        if not _overlaps(face.box, others):
            kept.append(face)
    return kept
