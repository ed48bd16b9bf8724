"""How the tracker sees a frame: upright and with square pixels.

Everything inside this package is in *upright coordinates*: the frame's own pixels (as many to a
height as the frame has rows), stretched in x by the sample aspect and turned as a player would.
So "left" is left, a circle is a circle, and only the tracker's last step goes back to the frame.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix
from crsr_video.imaging.resampling import sample
from crsr_video.types import Frame

FloatPicture = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """One shape of frames."""

    width: float
    """Of the upright picture, in its square pixels."""
    height: float
    upright_from_frame: Matrix
    """2x3."""
    frame_from_upright: Matrix
    """2x3."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rotated rectangle in upright coordinates."""

    x: float
    """Centre."""
    y: float
    width: float
    height: float
    angle: float = 0.0
    """Of its upper edge, radians, from +x towards +y."""

    @property
    def side(self) -> float:
        """The longer one."""
        return max(self.width, self.height)

    @property
    def box(self) -> NDArray[np.float64]:
        """x0, y0, x1, y1, disregarding the angle."""
        x, y = self.width / 2, self.height / 2
        return np.array([self.x - x, self.y - y, self.x + x, self.y + y])

    def moved(self, dx: float, dy: float) -> "Region":
        """The same shape elsewhere."""
        return Region(self.x + dx, self.y + dy, self.width, self.height, self.angle)

    def picture_size(self, longest: int) -> tuple[int, int]:
        """Width and height of a picture of the region whose longer side is `longest` pixels."""
        scale = longest / self.side
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    def picture_from_upright(self, longest: int) -> Matrix:
        """Pixels of that picture from upright coordinates; 2x3."""
        width, height = self.picture_size(longest)
        c, s = np.cos(self.angle), np.sin(self.angle)
        turned = np.array([[c, s, -c * self.x - s * self.y], [-s, c, s * self.x - c * self.y]])
        # The region's centre comes to lie in the picture's middle, between pixels if even.
        fx, fy = width / self.width, height / self.height
        return compose([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2]], turned)


def view_of(frame: Frame) -> View:
    """How the tracker sees this frame."""
    return _view(frame.width, frame.height, float(frame.sample_aspect), frame.rotation // 90 % 4)


@lru_cache(maxsize=16)
def _view(frame_width: int, frame_height: int, aspect: float, turns: int) -> View:
    matrix = resize_matrix(aspect, 1.0)
    width, height = frame_width * aspect, float(frame_height)
    for _ in range(turns):
        # A quarter turn counter-clockwise brings the right edge to the top.
        matrix = compose(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1.0]]), matrix)
        width, height = height, width
    return View(width, height, matrix, invert(matrix))


def picture(frame: Frame, region: Region, longest: int) -> FloatPicture:
    """What a region shows: float32 (H, W, 3) RGB, clipped to [0, 1].

    Args: longest: longer side of the picture in pixels.
    """
    matrix = compose(region.picture_from_upright(longest), view_of(frame).upright_from_frame)
    shown: FloatPicture = sample(frame, matrix, *region.picture_size(longest))
    return shown.clip(0, 1)
