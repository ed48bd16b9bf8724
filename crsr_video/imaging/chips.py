"""Chips: aligned faces of 150 pixels, which dlib's face-recognition network takes as input."""

import numpy as np

from crsr_video.imaging.geometry import Matrix, similarity

CHIP = 150
"""Side of the network's input in pixels."""

# dlib aligns a face by five points: the corners of both eyes and the base of the nose. These are
# their positions as fractions of a chip without padding (dlib, image_transforms/interpolation.h,
# get_face_chip_details). A padding of 0.25 on each side turns u into (u + 0.25) / 1.5.
_CHIP_POINTS = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
_PADDING = 0.25
# Positions of the same points in canonical crops, as fractions of the side: the mean of dlib's own
# predictor (shape_predictor_5_face_landmarks) over 57 photographs, made symmetric.
_CROP_POINTS = np.array(
    [[0.663, 0.484], [0.571, 0.488], [0.337, 0.484], [0.429, 0.488], [0.500, 0.663]]
)


def chip_from_crop(size: int = 1, scale: float = 1.0, dy: float = 0.0) -> Matrix:
    """Return the 2x3 transform from the pixels of a picture to those of the network's input.

    One transform serves every face, because crops are already aligned.

    Args:
        size: Side of the picture in pixels.
        scale: Side of the picture, as a multiple of the side of the canonical crop.
        dy: Distance of the picture's centre below the centre of the crop, as a multiple of the side
            of the crop.
    """
    corner = np.array([0.5, 0.5 + dy]) - scale / 2
    points = (_CROP_POINTS - corner) / scale
    chip = (_CHIP_POINTS + _PADDING) / (1 + 2 * _PADDING) * CHIP
    return similarity(points * size - 0.5, chip)
