"""Harvest genuine low-resolution faces from videos.

Each face is aligned as in inference. Its crop has as many pixels as the face covers in its frame,
so that the blur, the noise and the artifacts of the footage remain.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video.errors import DegenerateFaceError, InputError, TrainingError
from crsr_video.files import sha256_of_file
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    apply,
    crop_from_frame,
    crop_side,
    invert,
)
from crsr_video.imaging.resampling import sample
from crsr_video.io.reader import Reader
from crsr_video.track.detection import Detector, DetectorName, DetectorRun
from crsr_video.track.regions import square, view_of
from crsr_video.track.tracker import Tracker
from crsr_video.training.codec import to_bytes
from crsr_video.training.pack import LOSSLESS, Prepared, encode, new_pack, split_of
from crsr_video.training.prepare import LOOKS, share_inside
from crsr_video.types import Bytes, Face, Frame

KIND = "genuine"
MULTIPLE = 4
"""Sides of crops are whole multiples of this many pixels."""

REASONS = ("unreadable", "unclear", "disputed", "wrong size", "cut off", "flat", "alike")
"""Reasons for which a video, or a face in a frame, is skipped."""
UNREADABLE, UNCLEAR, DISPUTED, WRONG_SIZE, CUT_OFF, FLAT, ALIKE = REASONS

_THUMBNAIL = 16
_LOOKS: tuple[tuple[DetectorName, float], ...] = (("short_range", 1.3), ("full_range", 3.0))
"""Detectors that confirm a face, and the side of their region relative to that of the crop."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Criteria:
    """Requirements that a face must meet to be kept."""

    every: int = 5
    """Only every N-th frame is used, where N is this number."""
    smallest: float = 12
    """Minimum width of a face in frame pixels."""
    largest: float = 160
    """Maximum width of a face in frame pixels."""
    per_track: int = 12
    """Maximum number of faces that are kept from one track, spread over its length."""
    confidence: float = 0.6
    """Minimum confidence of the tracker, which is low for turned and covered faces too."""
    inside: float = 0.9
    """Minimum share of the crop that lies in the frame."""
    eyes: float = 0.25
    """Maximum distance between a detector's eye positions and the landmarks, relative to the
    distance between the eyes."""
    contrast: float = 0.04
    """Minimum standard deviation of luma in the middle of the crop, relative to white."""
    change: float = 0.02
    """Minimum mean difference between the thumbnails of a face and of the last different face of
    the same track."""


def harvest(
    videos: Sequence[Path], out: Path, criteria: Criteria | None = None, *, progress: bool = False
) -> dict[str, int]:
    """Cut the faces out of videos and stills, and store them lossless as a pack.

    Args:
        videos: Files, or folders whose files are all tried.
        out: The pack to write. If this is a folder, ``faces.pack`` in it.
        criteria: Requirements of the faces.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        Number of faces in "train" and in "val" (by the video's name), number of "tracks", and
        number of skipped faces for each of `REASONS`.

    Raises:
        TrainingError: There is no usable face, or the pack cannot be written.
    """
    files, criteria = _files(videos), criteria or Criteria()
    counts: Counter[str] = Counter(dict.fromkeys(("train", "val", "tracks", *REASONS), 0))
    parameters = {"kind": KIND, "every": criteria.every, "per_track": criteria.per_track}
    with (
        new_pack(out, parameters) as pack,
        Tracker(min_face=criteria.smallest) as tracker,
        closing(Detector()) as detector,
    ):
        for file in tqdm(files, unit="video", disable=not progress):
            for entry, picture in _from_video(file, tracker, detector, criteria, counts):
                pack.add(entry, encode(picture, LOSSLESS))
                counts[entry.split] += 1
        if not pack.rows:
            raise TrainingError(f"no usable face in {len(files)} videos")
    return dict(counts)


@dataclass
class TrackFaces:
    """The faces that are kept of one track, evenly spread over its length."""

    pictures: list[Bytes] = field(default_factory=list)
    stride: int = 1
    """One face out of this many is kept."""
    offered: int = 0
    last: NDArray[np.float32] | None = None
    """Thumbnail of the last face that differed enough from the one before."""

    def offer(self, picture: Bytes, most: int) -> None:
        """Keep one face out of `stride`. If more than `most` are kept, drop every second one."""
        if self.offered % self.stride == 0:
            self.pictures.append(picture)
        self.offered += 1
        if len(self.pictures) > most:
            self.pictures = self.pictures[::2]
            self.stride *= 2


def _files(videos: Sequence[Path]) -> list[Path]:
    """Return the files, with folders replaced by all files below them that are not hidden."""
    files: list[Path] = []
    for path in videos:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            files += [p for p in inside if not p.name.startswith(".")]
        else:
            files.append(path)
    if not files:
        raise TrainingError("no video to harvest from")
    return files


def _from_video(
    file: Path, tracker: Tracker, detector: Detector, criteria: Criteria, counts: Counter[str]
) -> Iterator[tuple[Prepared, Bytes]]:
    """Yield the faces of one video with index entries whose row is not yet set."""
    tracks: dict[int, TrackFaces] = {}
    try:
        for item in islice(tracker.process(_frames(file)), 0, None, criteria.every):
            for face in item.faces:
                reason = _reason_to_skip(item.frame, face, criteria) or _dispute(
                    item.frame, face, detector, criteria
                )
                reason = reason or _keep(item.frame, face, tracks, criteria)
                if reason:
                    counts[reason] += 1
        digest = sha256_of_file(file)
    except (InputError, OSError) as error:
        _LOG.warning("skipped: %s", error)
        counts[UNREADABLE] += 1
        return
    finally:
        tracker.reset()
    kept = [track.pictures for _, track in sorted(tracks.items()) if track.pictures]
    counts["tracks"] += len(kept)
    for number, pictures in enumerate(kept, 1):
        for picture in pictures:
            yield (
                Prepared(
                    file=file.name,
                    split=split_of(file.name),
                    kind=KIND,
                    person=f"{file.stem}/{number}",
                    size=picture.shape[0],
                    row=0,
                    sha256=digest,
                ),
                picture,
            )


def _frames(file: Path) -> Iterator[Frame]:
    """Yield the frames of a video. Repeat a still often enough for the tracker to accept a face."""
    count = 0
    with Reader(file) as decoder:
        for item in decoder:
            if isinstance(item, Frame):
                yield item
                last, count = item, count + 1
    if count == 1:
        yield from [last] * (LOOKS - 1)


def _reason_to_skip(frame: Frame, face: Face, criteria: Criteria) -> str | None:
    """Return the reason if a face is skipped because of its place or its confidence."""
    aspect = float(frame.sample_aspect)
    try:
        width = crop_side(face.landmarks, aspect) / FACE_WIDTHS_PER_CROP
        inside = share_inside(face.landmarks, frame.width, frame.height, aspect)
    except DegenerateFaceError:
        return UNCLEAR
    if not criteria.smallest <= width <= criteria.largest:
        return WRONG_SIZE
    if face.skipped or face.confidence < criteria.confidence:
        return UNCLEAR
    return CUT_OFF if inside < criteria.inside else None


def _dispute(frame: Frame, face: Face, detector: Detector, criteria: Criteria) -> str | None:
    """Return `DISPUTED` if no detector confirms the eyes, so the tracker may have lost the face."""
    upright_from_frame = view_of(frame).upright_from_frame
    points = apply(upright_from_frame, face.landmarks)
    eyes, side = points[:2], crop_side(points)
    ((x, y),) = apply(invert(crop_from_frame(points, 1)), [[0.0, 0.0]])  # The middle of the crop.
    across = eyes[1] - eyes[0]
    angle = float(np.arctan2(across[1], across[0]))
    looks = [
        DetectorRun(square(float(x), float(y), times * side, angle), model)
        for model, times in _LOOKS
    ]
    near = criteria.eyes * float(np.hypot(*across))
    found = detector.detect(frame, looks)
    agreed = any(np.hypot(*(other.eyes - eyes).T).max() <= near for other in found)
    return None if agreed else DISPUTED


def _keep(
    frame: Frame, face: Face, tracks: dict[int, TrackFaces], criteria: Criteria
) -> str | None:
    picture = native_crop(frame, face)
    if _contrast(picture) < criteria.contrast:
        return FLAT
    kept = tracks.setdefault(face.track, TrackFaces())
    thumbnail = _thumbnail(picture)
    if kept.last is not None and np.abs(thumbnail - kept.last).mean() < criteria.change:
        return ALIKE
    kept.last = thumbnail
    kept.offer(picture, criteria.per_track)
    return None


def native_crop(frame: Frame, face: Face) -> Bytes:
    """Return the canonical crop of a face at about its own size; uint8 (S, S, 3) RGB."""
    aspect = float(frame.sample_aspect)
    size = max(1, round(crop_side(face.landmarks, aspect) / MULTIPLE)) * MULTIPLE
    return to_bytes(sample(frame, crop_from_frame(face.landmarks, size, aspect), size, size))


def _thumbnail(picture: Bytes) -> NDArray[np.float32]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    small: NDArray[np.float32] = cv2.resize(
        grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA
    )
    return small


def _contrast(picture: Bytes) -> float:
    edge = picture.shape[0] // 4
    middle = picture[edge:-edge, edge:-edge]
    return float(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY).std()) / 255
