"""Separate people from the background with MediaPipe's selfie segmentation model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.closing import Closing
from crsr_video.imaging.geometry import Matrix, compose
from crsr_video.track.face_models import resolve
from crsr_video.track.litert import LiteRtModel
from crsr_video.track.region_pictures import square_picture
from crsr_video.types import FloatPicture, Frame

_SIDE = 256
"""Side of the model's input in pixels."""


class PersonModel(Closing):
    """The person segmentation model. Close it after use, or use it as a context manager."""

    def __init__(self, models: Path | None = None) -> None:
        """Load the model.

        Args:
            models: Folder with the model files. Defaults to the folder that `face_models` finds.

        Raises:
            FaceModelError: The model is not on this machine, or cannot be run. It is never
                downloaded here.
        """
        self._model = LiteRtModel(resolve("person", directory=models, fetch=False))
        (self._shape,) = self._model.output_shapes

    def close(self) -> None:
        """Free the model."""
        self._model.close()

    def segment(self, frame: Frame, square_from_frame: Matrix) -> NDArray[np.float32]:
        """Return the probability of a person for each pixel of a square part of a frame.

        Args:
            frame: The frame.
            square_from_frame: 2x3 matrix from frame pixels to fractions of the square.

        Returns:
            The probabilities, (256, 256) in [0, 1].
        """
        picture_from_square = [[_SIDE, 0.0, -0.5], [0.0, _SIDE, -0.5]]
        matrix = compose(picture_from_square, square_from_frame)
        half = np.float32(0.5)
        picture = square_picture(frame, matrix, _SIDE, for_landmarks=True)
        pixels: FloatPicture = half * picture + half
        self._model.run(pixels)
        return self._model.output(self._shape)[0, ..., 0]
