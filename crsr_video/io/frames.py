"""Conversions between frames and pictures of other libraries: NumPy arrays and PyAV frames."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import to_rgb
from crsr_video.io import picture_properties, pyav
from crsr_video.io.pictures import own_picture
from crsr_video.types import Frame, PixelLayout

_RGB = PixelLayout("rgb24", "rgb", 8, full_range=True)


def from_rgb(picture: NDArray[np.uint8], index: int) -> Frame:
    """Return a frame that shows an RGB picture and shares its memory.

    Args:
        picture: uint8 (H, W, 3) array.
        index: Number of the picture in its sequence, which becomes the timestamp of the frame.

    Raises:
        ValueError: The array has another shape or type, or is empty.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    if 0 in picture.shape:
        raise ValueError("a picture must not be empty")
    return Frame(
        components=tuple(picture[..., channel] for channel in range(3)),
        layout=_RGB,
        pts=index,
        time_base=Fraction(1, 30),
    )


def as_rgb(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame as a uint8 (H, W, 3) RGB array.

    Chroma planes of lower resolution are enlarged by repeating their samples.
    """
    height, width = frame.height, frame.width
    planes = [
        plane
        if plane.shape == (height, width)
        else np.repeat(
            np.repeat(plane, 1 << frame.layout.y_shift, 0), 1 << frame.layout.x_shift, 1
        )[:height, :width]
        for plane in frame.components
    ]
    stacked = np.stack(planes, -1)
    if frame.layout == _RGB:
        return stacked.astype(np.uint8, copy=False)
    rgb = to_rgb(stacked.astype(np.float32), frame.layout)
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def from_av(picture: Any) -> Frame:
    """Return a frame that shows an ``av.VideoFrame`` and shares its memory.

    Raises:
        ValueError: The pixel format cannot be read without a conversion.
    """
    return Frame(
        components=pyav.views(picture),
        layout=pyav.layout(picture),
        pts=picture.pts or 0,
        time_base=picture.time_base or Fraction(1, 30),
        rotation=round(picture.rotation / 90) * 90 % 360,
        native=picture,
        interlaced=picture_properties.field_order(picture),
    )


def as_av(frame: Frame) -> Any:
    """Return a frame as an ``av.VideoFrame``, with side data and alpha from its native picture."""
    return own_picture(frame)
