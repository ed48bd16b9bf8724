"""One clip, one size of its face: what is fed to the methods, and how they did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crsr_video.evaluation.video_clips import Bytes, Clip, Known, decoded, upright
from crsr_video.evaluation.video_measures import Embeds, Meter, Picture, Reads
from crsr_video.evaluation.video_methods import Methods
from crsr_video.evaluation.video_spoil import draw, far_size, shrink, write_spoilt
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    Matrix,
    compose,
    crop_from_frame,
    invert,
    resize_matrix,
)
from crsr_video.imaging.resampling import sample
from crsr_video.io.frames import from_rgb
from crsr_video.types import Frame

SIDES = (64, 384)
"""Smallest and largest side of the crops that are measured, in pixels."""


@dataclass(frozen=True)
class Case:
    """A degraded clip and its truth."""

    clip: Clip
    known: Known
    spoilt: Path
    group: str
    """Row of the table that it counts for."""
    far: tuple[int, int] | None
    """Width and height to which the truth was shrunk to make the degraded clip; None: a pair."""
    face: float
    """Width of the widest face in the degraded clip, in pixels."""

    def side(self, scale: int) -> int:
        """Of the crops, in pixels: as large as the result's face, or as the truth's if smaller."""
        width = FACE_WIDTHS_PER_CROP * min(self.face * scale, self.known.width)
        return int(np.clip(round(width), *SIDES))

    def truth(self, picture: Bytes, scale: int) -> Bytes:
        """An upright frame of the clip at the size of the results, but never enlarged."""
        return shrink(picture, (self.far[0] * scale, self.far[1] * scale)) if self.far else picture


def cases_of(
    clip: Clip, known: Known, faces: Sequence[int], count: int, seed: int, folder: Path
) -> Iterator[Case]:
    """Degrade a clip once for each width of its face that is smaller than it has.

    Args:   count: frames. folder: for the files that are made; each is gone when the next comes.
    Raises: InputError, OutputError: a file cannot be read, or not be written.
    """
    height, width = next(upright(clip.path, 1)).shape[:2]
    if clip.spoilt is not None:
        given = next(decoded(clip.spoilt, 1))
        yield Case(clip, known, clip.spoilt, clip.name, None, known.width * given.width / width)
        return
    path = folder / "degraded.mkv"
    for face in faces:
        if face < known.width:
            far = far_size(width, height, face / known.width)
            write_spoilt(clip, path, count, far, draw(clip.name, face, seed), seed)
            yield Case(clip, known, path, f"{face} px", far, face)


def measure(
    case: Case, methods: Methods, reader: Reads, embedder: Embeds | None, count: int
) -> list[Meter]:
    """Run every method on a case; one meter for each face."""
    side = case.side(methods.scale)
    meters = {track: Meter(reader, embedder) for track in sorted(case.known.tracks)}
    results = methods.run(decoded(case.spoilt, count))
    # A pair may differ in length: what both have is measured.
    for whole, points, made in zip(
        upright(case.clip.path, count), case.known.points, results, strict=False
    ):
        truth = from_rgb(case.truth(whole, methods.scale), 0)
        for track, meter in meters.items():
            if track in points:
                place = Place(crop_from_frame(points[track], side), whole.shape[1], whole.shape[0])
                crops = {name: place.cut(frame, side) for name, frame in made.items()}
                meter.push(place.cut(truth, side), crops)
            else:
                meter.skip()
    return list(meters.values())


@dataclass(frozen=True)
class Place:
    """Where a face is in a picture, and in any enlarged or shrunk copy of it."""

    crop_from_picture: Matrix
    """2x3."""
    width: int
    """Of the picture, in its pixels."""
    height: int

    def cut(self, frame: Frame, side: int) -> Picture:
        """The face's crop, (side, side, 3) in [0, 1], out of a copy of the picture."""
        copy_from_picture = resize_matrix(frame.width / self.width, frame.height / self.height)
        crop_from_copy = compose(self.crop_from_picture, invert(copy_from_picture))
        crop: Picture = sample(frame, crop_from_copy, side, side).clip(0, 1)
        return crop
