"""What a tracks file holds.

Positions are whole hundredths of a pixel, so that nothing is lost by writing and reading again, and
a face takes 80 bytes a frame.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from crsr_video.types import Face

FORMAT = "crsr-video tracks"
VERSION = 1

HUNDREDTHS = 100
"""To a pixel."""
SHARES = 10_000
"""To one: confidence and presence are kept with four decimals."""

MAX_BYTES = 256 << 20
"""Of a file: about an hour and a half of ten faces."""
MAX_VALUES = 40_000_000
"""In a file, all lists together."""
MAX_LISTS = 8_000_000
"""And objects."""
VALUES_PER_FACE = 18
"""Numbers a face and frame: time, ten of landmarks, four of the box, confidence, presence, reason.
"""
MAX_FACES = 2_000_000
"""Summed over frames: what fits into those limits."""
FARTHEST = 1_000_000.0
"""Pixels from the corner at which a position cannot be meant."""

Integers = NDArray[np.int64]
Hundredths = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """By what a tracks file knows its video again."""

    width: int
    """Of the frames as coded, in pixels, before any rotation."""
    height: int
    time_base: Fraction
    """Seconds a tick: all times are in ticks."""
    rotation: int
    """Degrees, counter-clockwise, by which a player turns the picture; for information."""
    sample_aspect: Fraction
    """Width of a pixel over its height; for information."""
    bytes: int
    """Size of the file."""
    seconds: float
    """Duration as the container states it; 0 if it does not."""
    sha256: str
    """See `fingerprint.sha256`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the tracker was told."""

    min_face: float = 16.0
    """Width in frame pixels below which faces are marked as skipped."""
    lookahead: int = 8
    """Frames."""


@dataclass(frozen=True, slots=True)
class Person:
    """One face over a scene, in short: for people rather than for programs."""

    id: int
    first_frame: int
    """Number of the frame, from 0, in which it is seen first."""
    last_frame: int
    first_seconds: float
    last_seconds: float
    frames: int
    """In which it is seen."""
    size: float
    """Median width of the face in pixels."""
    thumbnail: str | None
    """``data:`` address of a small JPEG; None: there is none."""


@dataclass(frozen=True, slots=True)
class TrackColumns:
    """One face over its frames, a column for each thing known."""

    id: int
    pts: Integers
    """(N,) ascending, in ticks."""
    landmarks: Hundredths
    """(N, 10) x and y of five points in hundredths of a frame pixel, see `geometry.TEMPLATE`."""
    boxes: Hundredths
    """(N, 4) x0, y0, x1, y1 in hundredths of a frame pixel."""
    confidence: Hundredths
    """(N,) in `SHARES`."""
    presence: Hundredths
    """(N,) in `SHARES`."""
    skipped: Hundredths
    """(N,) 0: enhanced; n: left alone, for reason n - 1 of `Recording.reasons`."""

    def face(self, row: int, reasons: tuple[str, ...]) -> Face:
        """One row as the tracker said it."""
        why = int(self.skipped[row])
        x0, y0, x1, y1 = (self.boxes[row] / HUNDREDTHS).tolist()
        return Face(
            track=self.id,
            landmarks=(self.landmarks[row] / HUNDREDTHS).reshape(5, 2),
            box=(x0, y0, x1, y1),
            confidence=float(self.confidence[row] / SHARES),
            presence=float(self.presence[row] / SHARES),
            skipped=reasons[why - 1] if why else None,
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """All that a tracks file holds."""

    generator: str
    """Program and version that wrote it."""
    video: VideoFacts
    settings: Settings
    people: tuple[Person, ...]
    """By id."""
    times: Integers
    """(frames,) presentation time of every frame, ascending, in ticks."""
    cuts: Integers
    """Times of the frames that begin a scene."""
    reasons: tuple[str, ...]
    """Why faces are left alone."""
    tracks: tuple[TrackColumns, ...]
    """By id, those of `people`."""
    pictures: str = ""
    """A tiny picture of every frame, packed, see `pictures.unpack`; empty: there are none."""
