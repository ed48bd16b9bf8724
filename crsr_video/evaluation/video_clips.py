"""Sharp clips, their faces, and their degraded copies.

Two files named ``X_pristine.*`` and ``X_distorted.*`` are a pair: a clip with its degraded copy.
For any other clip, a degraded copy is made: its frames are shrunk as if the camera were far away,
sensor noise is added, and the result is encoded at a low quality.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.config import OutputSettings
from crsr_video.errors import TrainingError
from crsr_video.imaging.geometry import FACE_WIDTHS_PER_CROP, Points, crop_side, resize_matrix
from crsr_video.imaging.resampling import sample
from crsr_video.io import pyav
from crsr_video.io.pictures import from_av, from_rgb
from crsr_video.io.reader import Reader
from crsr_video.io.source import RecordedSource
from crsr_video.io.writer import Writer
from crsr_video.track.tracker import Tracker
from crsr_video.training.data import evenly_spaced
from crsr_video.types import Bytes, Face, Frame

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg")
_PRISTINE, _DISTORTED = "_pristine", "_distorted"
"""Endings of the names of a pair, before the suffix."""

_MIN_SHARE = 0.5
"""A face is measured if it is visible in at least this share of the frames, and if its width is at
least this share of the width of the widest face."""


@dataclass(frozen=True)
class Clip:
    """A sharp clip, and the file of its degraded copy if there is one."""

    name: str
    path: Path
    degraded: Path | None = None


@dataclass(frozen=True)
class KnownFaces:
    """Faces of a sharp clip, with landmarks in pixels of its upright frames."""

    points: list[dict[int, Points]]
    """Landmarks (5, 2) by track ID, for every frame."""
    width: float
    """Median width of the widest face in pixels."""

    @property
    def tracks(self) -> set[int]:
        """Track IDs of the faces that are measured."""
        return {track for frame in self.points for track in frame}


def clips_in(folder: Path, limit: int | None = None) -> list[Clip]:
    """The clips of a folder in the order of their names.

    Args:
        folder: Folder of videos.
        limit: Maximum number of clips, which are evenly spread over the folder. Defaults to all.

    Raises:
        TrainingError: If there is no clip, or one file of a pair is missing.
    """
    files = {p.stem: p for p in sorted(folder.glob("*")) if p.suffix.lower() in SUFFIXES}
    clips = [
        _clip(path, files)
        for stem, path in files.items()
        if not (stem.endswith(_DISTORTED) and stem.removesuffix(_DISTORTED) + _PRISTINE in files)
    ]
    if not clips:
        raise TrainingError(f"no clip in {folder}")
    return evenly_spaced(clips, limit)


def _clip(path: Path, files: dict[str, Path]) -> Clip:
    stem = path.stem
    if stem.endswith(_DISTORTED):
        raise TrainingError(f"{path} has no {stem.removesuffix(_DISTORTED)}{_PRISTINE} beside it")
    if not stem.endswith(_PRISTINE):
        return Clip(stem, path)
    name = stem.removesuffix(_PRISTINE)
    if name + _DISTORTED not in files:
        raise TrainingError(f"{path} has no {name}{_DISTORTED} beside it")
    return Clip(name, path, files[name + _DISTORTED])


def decoded(path: Path, count: int) -> Iterator[Frame]:
    """The first `count` frames of a file as they are decoded."""
    with Reader(path) as reader:
        yield from islice((item for item in reader if isinstance(item, Frame)), count)


def upright(path: Path, count: int) -> Iterator[Bytes]:
    """The first `count` frames as a player shows them: uint8 (H, W, 3), RGB, square pixels."""
    for frame in decoded(path, count):
        width = round(frame.width * frame.sample_aspect)
        shown = sample(frame, resize_matrix(width / frame.width, 1.0), width, frame.height)
        turned = np.rot90(shown, frame.rotation // 90)
        yield np.rint(turned.clip(0, 1) * 255).astype(np.uint8)


def find_faces(clip: Clip, count: int) -> KnownFaces:
    """Track the faces in the first `count` frames of a sharp clip."""
    with Tracker() as tracker:
        frames = (from_rgb(picture, i) for i, picture in enumerate(upright(clip.path, count)))
        seen = [item.faces for item in tracker.process(frames)]
    return choose_faces(seen, clip.name)


def choose_faces(seen: list[tuple[Face, ...]], name: str) -> KnownFaces:
    """Choose large faces that are visible in most frames.

    Raises:
        TrainingError: If there is no such face.
    """
    sides: dict[int, list[float]] = {}
    for face in (face for faces in seen for face in faces if face.skipped is None):
        sides.setdefault(face.track, []).append(crop_side(face.landmarks))
    frames = max(2, _MIN_SHARE * len(seen))
    lasting = {t: float(np.median(s)) for t, s in sides.items() if len(s) >= frames}
    if not lasting:
        raise TrainingError(f"no face stays in view in {name}")
    widest = max(lasting.values())
    chosen = {track for track, side in lasting.items() if side >= _MIN_SHARE * widest}
    points = [{f.track: f.landmarks for f in faces if f.track in chosen} for faces in seen]
    return KnownFaces(points, widest / FACE_WIDTHS_PER_CROP)


# Degraded copies ---------------------------------------------------------------------------------


QUALITIES = {
    "libx264": (27, 36),
    "libx265": (28, 37),
    "libvpx-vp9": (36, 52),
    "mpeg4": (7, 16),
}
"""Range of constant quality of each encoder (a fixed quantiser for MPEG-4), best quality first."""

_MAX_NOISE = 0.03
"""Largest standard deviation of sensor noise if white is 1. Half of the clips have none."""

_PIXEL_FORMAT = "yuv420p"


@dataclass(frozen=True)
class ClipDegradation:
    """Degradation of a clip after it has been shrunk."""

    encoder: str
    quality: int
    """Constant quality on the scale of the encoder."""
    noise: float
    """Standard deviation of sensor noise if white is 1."""


def draw_degradation(name: str, face: int, seed: int) -> ClipDegradation:
    """A random degradation that depends only on clip name, face width and seed."""
    rng = _generator(name, face, seed)
    encoder = tuple(QUALITIES)[rng.integers(len(QUALITIES))]
    low, high = QUALITIES[encoder]
    noise = float(rng.uniform(0, _MAX_NOISE)) if rng.random() < 0.5 else 0.0
    return ClipDegradation(encoder, int(rng.integers(low, high + 1)), noise)


def _generator(name: str, face: int, seed: int) -> np.random.Generator:
    return np.random.default_rng((seed, face, crc32(name.encode())))


def shrunk_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Width and height after scaling by a factor. Both are even, for 4:2:0 subsampling."""
    return max(1, round(width * factor / 2)) * 2, max(1, round(height * factor / 2)) * 2


def shrink(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Shrink a picture to (width, height) by averaging areas, as a sensor does.

    A picture that is no wider than that is returned unchanged.
    """
    if size[0] >= picture.shape[1]:
        return picture
    smaller: Bytes = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return smaller


def write_degraded(
    clip: Clip,
    path: Path,
    count: int,
    size: tuple[int, int],
    degradation: ClipDegradation,
    seed: int = 0,
) -> None:
    """Write the degraded copy of a clip.

    Args:
        clip: The sharp clip.
        path: Matroska file to write. An existing file is replaced.
        count: Number of frames.
        size: Width and height.
        degradation: Noise and encoder.
        seed: Seed of the noise.
    """
    rng = _generator(clip.name, size[0], seed)
    settings = OutputSettings(codec=degradation.encoder, crf=degradation.quality)
    small = (shrink(picture, size) for picture in upright(clip.path, count))
    noisy = (_noisy(picture, degradation.noise, rng) for picture in small)
    with Reader(clip.path) as reader:
        rate = reader.info.rate or Fraction(25)
        frames = _as_frames(noisy, rate)
        first = next(frames)
        target = _described(reader.source, first, rate)
        with Writer(path, target, settings, overwrite=True, threads=1) as writer:
            writer.push(first)
            for frame in frames:
                writer.push(frame)


def _noisy(picture: Bytes, noise: float, rng: np.random.Generator) -> Bytes:
    """Add sensor noise. At white, a third of its variance is constant, and the rest is shot noise.

    The variance of shot noise is proportional to the brightness.
    """
    if not noise:
        return picture
    values: NDArray[np.float32] = picture.astype(np.float32)
    deviation = noise * np.sqrt((255 + 2 * values) * 255 / 3)
    grain = deviation * rng.standard_normal(picture.shape, np.float32)
    return np.rint(np.clip(values + grain, 0, 255)).astype(np.uint8)


def _as_frames(pictures: Iterable[Bytes], rate: Fraction) -> Iterator[Frame]:
    """Convert RGB pictures (H, W, 3) to frames for an encoder."""
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        rgb = pyav.blank(width, height, "rgb24")
        pyav.write(rgb, tuple(picture[..., channel] for channel in range(3)))
        native = pyav.convert(rgb, _PIXEL_FORMAT)
        native.pts, native.time_base, native.duration = number, 1 / rate, 1
        yield from_av(native)


def _described(source: RecordedSource, first: Frame, rate: Fraction) -> RecordedSource:
    """Return the source with the properties of the frame `first` and the given frame rate."""
    info = replace(
        source.info,
        width=first.width,
        height=first.height,
        pixel_format=_PIXEL_FORMAT,
        rate=rate,
        time_base=1 / rate,
    )
    return replace(source, first=first, info=info)
