"""The layers of a frame: where each lies, how opaque it is, and so what is to be seen of a face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.tracking.people import OVAL, Person, head_alpha
from crsr_video.evaluation.tracking.scenes import (
    Actor,
    Occluder,
    Pose,
    Shot,
    frame_from_crop,
    pose,
)
from crsr_video.imaging.geometry import Matrix, Points, apply, invert

Floats = NDArray[np.float64]


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
    """One face in one frame, as it really is."""

    id: int
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1: hairline to chin."""
    points: Points
    """(5, 2) in frame pixels, in the order of `geometry.TEMPLATE`."""
    width: float
    """Of the face, pixels: the side of its canonical crop over 1.9."""
    visible: float
    """Share of the face that is in the frame and not covered."""
    inside: float
    """Share of the face that is in the frame, covered or not."""


@dataclass(frozen=True)
class Layer:
    """One head or occluder in one frame."""

    what: Actor | Occluder
    where: Pose
    matrix: Matrix
    """From the crop's pixels, or from an occluder's own half axes, to the frame."""
    person: Person | None = None

    def alpha(self, points: Points) -> Floats:
        """How opaque it is at points (N, 2) of the frame."""
        own = apply(invert(self.matrix), points)
        if self.person is not None:
            return head_alpha(own, self.person.size)
        assert isinstance(self.what, Occluder)
        return opaque(self.what, own, self.where.width)

    def near(self, other: "Layer") -> bool:
        """Whether the two might overlap at all."""
        apart = np.hypot(self.where.x - other.where.x, self.where.y - other.where.y)
        return bool(apart < 1.5 * (self.reach + other.reach))

    @property
    def reach(self) -> float:
        """Radius of a circle around it, about."""
        tall = self.what.height if isinstance(self.what, Occluder) else 1.0
        return self.where.width * max(1.0, tall)


def truths(drawn: Sequence[Layer], width: int, height: int) -> tuple[Truth, ...]:
    """What is to be seen of every face of a frame."""
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
    # The box around a turned ellipse.
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


def placed(layer: Actor | Occluder, shot: Shot, index: int, cast: Sequence[Person]) -> Layer:
    """Where a layer of a shot lies in one frame. Args: cast: whom to show, counted round."""
    where = pose(layer, shot, index)
    if isinstance(layer, Actor):
        person = cast[layer.person % len(cast)]
        return Layer(layer, where, frame_from_crop(where, person.size), person)
    c, s = np.cos(np.radians(where.tilt)), np.sin(np.radians(where.tilt))
    a, b = where.width / 2, where.width * layer.height / 2
    return Layer(layer, where, np.array([[c * a, -s * b, where.x], [s * a, c * b, where.y]]))


def opaque(what: Occluder, own: Floats, width: float) -> Floats:
    """An occluder's alpha at points in its half axes; the edge is one pixel wide."""
    halves = np.array([width / 2, width * what.height / 2])
    if what.look == "hand":
        inwards = (1 - np.hypot(own[..., 0], own[..., 1])) * halves.min()
    else:
        inwards = ((1 - np.abs(own)) * halves).min(-1)
    alpha: Floats = np.clip(inwards + 0.5, 0, 1)
    return alpha
