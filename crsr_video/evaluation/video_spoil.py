"""What a far camera and a codec leave of a sharp clip: a real file, written and read again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.config import OutputSettings
from crsr_video.evaluation.video_clips import Bytes, Clip, upright
from crsr_video.io import pyav
from crsr_video.io.frames import from_av
from crsr_video.io.reader import Reader
from crsr_video.io.source import Source
from crsr_video.io.writer import Writer
from crsr_video.types import Frame

QUALITIES = {
    "libx264": (27, 36),
    "libx265": (28, 37),
    "libvpx-vp9": (36, 52),
    "mpeg4": (7, 16),
}
"""Encoders and their ranges of constant quality (a fixed quantiser for MPEG-4), from visibly
coded to bad."""

_NOISE = 0.03
"""Largest standard deviation of sensor noise, white being 1; half of the clips have none."""

_PIXEL_FORMAT = "yuv420p"


@dataclass(frozen=True)
class Spoiling:
    """What is done to a clip once it has been shrunk."""

    encoder: str
    """FFmpeg's name."""
    quality: int
    """In the encoder's own scale."""
    noise: float
    """Standard deviation, white being 1."""


def draw(name: str, face: int, seed: int) -> Spoiling:
    """A spoiling that depends on the clip's name, the face's width and the seed alone."""
    rng = _generator(name, face, seed)
    encoder = tuple(QUALITIES)[rng.integers(len(QUALITIES))]
    low, high = QUALITIES[encoder]
    noise = float(rng.uniform(0, _NOISE)) if rng.random() < 0.5 else 0.0
    return Spoiling(encoder, int(rng.integers(low, high + 1)), noise)


def _generator(name: str, face: int, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, face, crc32(name.encode())))


def far_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Width and height of a picture that shrinks by `factor` < 1; even, for 4:2:0."""
    return max(1, round(width * factor / 2)) * 2, max(1, round(height * factor / 2)) * 2


def shrink(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """To (width, height) by area, as a sensor samples; a picture is never enlarged."""
    if size[0] >= picture.shape[1]:
        return picture
    smaller: Bytes = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return smaller


def write_spoilt(
    clip: Clip, path: Path, count: int, size: tuple[int, int], spoiling: Spoiling, seed: int = 0
) -> None:
    """Write the degraded copy of a clip.

    Args:   path: a Matroska file; one that exists is replaced.
            count: frames.
            size: width and height.
    Raises: InputError, OutputError: the clip cannot be read, or the copy not be written.
    """
    rng = _generator(clip.name, size[0], seed)
    settings = OutputSettings(codec=spoiling.encoder, crf=spoiling.quality)
    small = (shrink(picture, size) for picture in upright(clip.path, count))
    noisy = (_noisy(picture, spoiling.noise, rng) for picture in small)
    with Reader(clip.path) as decoder:
        rate = decoder.info.rate or Fraction(25)
        frames = _as_frames(noisy, rate)
        first = next(frames)
        target = _described(decoder.source, first, rate)
        with Writer(path, target, settings, overwrite=True, threads=1) as encoder:
            encoder.push(first)
            for frame in frames:
                encoder.push(frame)


def _noisy(picture: Bytes, noise: float, rng: np.random.Generator) -> Bytes:
    """With a sensor's noise: two thirds of its power grow with the light."""
    if not noise:
        return picture
    values: NDArray[np.float32] = picture.astype(np.float32)
    deviation = noise * np.sqrt((255 + 2 * values) * 255 / 3)
    grain = deviation * rng.standard_normal(picture.shape, np.float32)
    return np.rint(np.clip(values + grain, 0, 255)).astype(np.uint8)


def _as_frames(pictures: Iterable[Bytes], rate: Fraction) -> Iterator[Frame]:
    """Frames for an encoder, of (H, W, 3) RGB."""
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        rgb = pyav.blank(width, height, "rgb24")
        pyav.write(rgb, tuple(picture[..., channel] for channel in range(3)))
        native = pyav.convert(rgb, _PIXEL_FORMAT)
        native.pts, native.time_base, native.duration = number, 1 / rate, 1
        yield from_av(native)


def _described(source: Source, first: Frame, rate: Fraction) -> Source:
    """The source as if it were made of frames like `first`."""
    info = replace(
        source.info,
        width=first.width,
        height=first.height,
        pixel_format=_PIXEL_FORMAT,
        rate=rate,
        time_base=1 / rate,
    )
    return replace(source, first=first, info=info)
