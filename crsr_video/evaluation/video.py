"""Evaluation on video: how close each method comes to the ground truth, and how much it flickers.

All methods enhance the same degraded clips. Their results are measured in crops of the face, which
are aligned by the landmarks of the sharp clip. Flicker is the change between frames that the
optical flow of the sharp clip does not explain, divided by the flicker of the degraded clip after
bicubic enlargement. The module `results` measures clips that have no sharp original.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import CrsrError, TrainingError
from crsr_video.evaluation.methods import variants
from crsr_video.evaluation.models import Embedder, FaceAnalyser
from crsr_video.evaluation.report import Row
from crsr_video.evaluation.stills import worst
from crsr_video.evaluation.video_clips import (
    Clip,
    KnownFaces,
    clips_in,
    decoded,
    draw_degradation,
    find_faces,
    shrink,
    shrunk_size,
    upright,
    write_degraded,
)
from crsr_video.evaluation.video_measures import (
    FaceMeasurement,
    Picture,
    Series,
    flicker_at_equal_sharpness,
)
from crsr_video.imaging.geometry import (
    FACE_WIDTHS_PER_CROP,
    Matrix,
    compose,
    crop_from_frame,
    invert,
    resize_matrix,
)
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.upscaling import enlarge
from crsr_video.io.pictures import from_rgb
from crsr_video.pipeline import Pipeline
from crsr_video.types import Bytes, Frame, TrackedFrame

# Methods ------------------------------------------------------------------------------------------


DEGRADED, BICUBIC = "degraded", "bicubic"
"""Names of the methods that show the input itself, unchanged or enlarged. The flicker of every
method is divided by that of the input."""


def baseline(scale: int) -> str:
    """Return the name of the method that shows the input."""
    return DEGRADED if scale == 1 else BICUBIC


class MethodPipelines(Closing):
    """The evaluated methods: the input itself, and one pipeline of the product for each model.

    Faces are tracked once for all methods.

    Args:
        models: Models with options, see `methods.parse_variant`. A super-resolver alone is
            skipped, because the product never runs it alone.
        scale: Enlargement: 1, 2 or 4.
        device: Device of the networks.
    """

    def __init__(self, models: Sequence[str], scale: int, *, device: str = "auto") -> None:
        self.scale = scale
        configs = {
            name: EnhancerConfig.from_options(
                model=one.model,
                texture=one.texture,
                scale=scale,
                device=device,
            )
            for name, one in variants(models).items()
            if not one.alone
        }
        with ExitStack() as stack:
            self._pipelines: dict[str, Pipeline] = {
                name: stack.enter_context(pipeline.build(config))
                for name, config in configs.items()
            }
            self._open = stack.pop_all()
        self.names = (baseline(scale), *self._pipelines)

    def close(self) -> None:
        """Release the pipelines."""
        self._open.close()

    def run(self, frames: Iterable[Frame]) -> Iterator[dict[str, Frame]]:
        """Yield the results of all methods for each frame, by name."""
        for one in self._pipelines.values():
            one.reset()
        waiting: deque[Frame] = deque()
        done: dict[str, deque[Frame]] = {name: deque() for name in self._pipelines}
        for item in self._tracked(frames):
            if item is not None:
                waiting.append(item.frame)
            for name, one in self._pipelines.items():
                done[name] += one.restore(item)
            while waiting and all(done.values()):
                results = {name: queue.popleft() for name, queue in done.items()}
                large = enlarge(waiting.popleft(), self.scale, "cubic")
                yield {baseline(self.scale): large, **results}

    def _tracked(self, frames: Iterable[Frame]) -> Iterator[TrackedFrame | None]:
        """Yield frames with their faces, then None. Without a pipeline, no faces are tracked."""
        tracker = next(iter(self._pipelines.values()), None)
        for frame in frames:
            yield from tracker.track(frame) if tracker else [TrackedFrame(frame)]
        if tracker:
            yield from tracker.track(None)
        yield None


# Degraded clips -----------------------------------------------------------------------------------


CROP_SIZES = (64, 384)
"""Smallest and largest side of the measured crops in pixels."""


@dataclass(frozen=True)
class DegradedClip:
    """A degraded clip and its ground truth."""

    clip: Clip
    known: KnownFaces
    degraded: Path
    group: str
    """Group of rows in the table to which the case belongs."""
    size: tuple[int, int] | None
    """Width and height of the degraded clip if it was made here, or None for a pair."""
    face: float
    """Width of the widest face in the degraded clip in pixels."""

    def crop_size(self, scale: int) -> int:
        """Return the side of the measured crops: the smaller of those in result and truth."""
        width = FACE_WIDTHS_PER_CROP * min(self.face * scale, self.known.width)
        return int(np.clip(round(width), *CROP_SIZES))

    def truth(self, picture: Bytes, scale: int) -> Bytes:
        """Return an upright frame of the clip, shrunk to the size of the results if larger."""
        return (
            shrink(picture, (self.size[0] * scale, self.size[1] * scale)) if self.size else picture
        )


def cases_of(
    clip: Clip, known: KnownFaces, faces: Sequence[int], count: int, seed: int, folder: Path
) -> Iterator[DegradedClip]:
    """Degrade a clip once for each face width that is smaller than its own.

    Args:
        clip: The sharp clip.
        known: The faces of the clip.
        faces: Face widths in pixels.
        count: Number of frames.
        seed: Seed of the degradations.
        folder: Folder for the degraded clip. Each clip overwrites the one before.
    """
    height, width = next(upright(clip.path, 1)).shape[:2]
    if clip.degraded is not None:
        given = next(decoded(clip.degraded, 1))
        yield DegradedClip(
            clip, known, clip.degraded, clip.name, None, known.width * given.width / width
        )
        return
    path = folder / "degraded.mkv"
    for face in faces:
        if face < known.width:
            size = shrunk_size(width, height, face / known.width)
            write_degraded(clip, path, count, size, draw_degradation(clip.name, face, seed), seed)
            yield DegradedClip(clip, known, path, f"{face} px", size, face)


def measure_case(
    case: DegradedClip,
    methods: MethodPipelines,
    analyser: FaceAnalyser,
    embedder: Embedder | None,
    count: int,
) -> list[FaceMeasurement]:
    """Run every method on a case, and return a measurement for each face."""
    side = case.crop_size(methods.scale)
    measured = {track: FaceMeasurement(analyser, embedder) for track in sorted(case.known.tracks)}
    results = methods.run(decoded(case.degraded, count))
    # The files of a pair may differ in length; only the common part is measured.
    for picture, points, results_of_frame in zip(
        upright(case.clip.path, count), case.known.points, results, strict=False
    ):
        truth = from_rgb(case.truth(picture, methods.scale), 0)
        for track, measurement in measured.items():
            if track in points:
                place = FacePlace(crop_from_frame(points[track], side), *picture.shape[1::-1])
                crops = {name: place.cut(frame, side) for name, frame in results_of_frame.items()}
                measurement.push(place.cut(truth, side), crops)
            else:
                measurement.skip()
    return list(measured.values())


@dataclass(frozen=True)
class FacePlace:
    """FacePlace of a face in a picture, and in any enlarged or shrunk copy of it."""

    crop_from_picture: Matrix
    """2x3 transform from pixels of the picture to pixels of the crop."""
    width: int
    """Width of the picture in its own pixels."""
    height: int

    def cut(self, frame: Frame, side: int) -> Picture:
        """Cut the face out of a copy of the picture: (side, side, 3) in [0, 1]."""
        copy_from_picture = resize_matrix(frame.width / self.width, frame.height / self.height)
        crop_from_copy = compose(self.crop_from_picture, invert(copy_from_picture))
        crop: Picture = sample(frame, crop_from_copy, side, side).clip(0, 1)
        return crop


# Results ------------------------------------------------------------------------------------------


Values = NDArray[np.float64]

ALL = "all"
"""Name of the group that holds all cases."""


def rows_of(
    found: Sequence[tuple[DegradedClip, list[FaceMeasurement]]], names: Sequence[str], scale: int
) -> list[Row]:
    """Summarise the measures by group and method, with means over all faces of all frames."""
    groups = list(dict.fromkeys(case.group for case, _ in found))
    rows = []
    for group in [*groups, ALL] if len(groups) > 1 else groups:
        part = [several for case, several in found if group in (case.group, ALL)]
        measured = [one for several in part for one in several if one.truth.change]
        rows += [_row(group, name, scale, measured) for name in names]
    return rows


def _row(group: str, name: str, scale: int, measured: list[FaceMeasurement]) -> Row:
    series = [one.series[name] for one in measured]
    measures = {
        measure: np.concatenate([np.array(getattr(one, measure), np.float64) for one in series])
        for measure in ("psnr", "ssim", "identity", "motion")
    }
    # Dividing by the mean of the input gives every clip the same weight.
    measures["flicker"] = np.concatenate(
        [_relative(one.series[name], one.series[baseline(scale)]) for one in measured]
    )
    of_truth = np.concatenate([_relative(one.series[name], one.truth) for one in measured])
    inputs = [one.series[baseline(scale)] for one in measured]
    equal = [flicker_at_equal_sharpness(*pair) for pair in zip(series, inputs, strict=True)]
    figures = {
        "flicker_of_truth": float(of_truth.mean()),
        "flicker_at_equal_sharpness": float(np.mean(equal)),
        "gain": float(np.mean([s.gain(i) for s, i in zip(series, inputs, strict=True)])),
    }
    for measure, values in measures.items():
        if len(values):
            higher_is_better = measure not in ("motion", "flicker")
            figures[measure] = float(values.mean())
            figures[f"{measure}_worst"] = worst(values, higher_is_better)
    if len(measures["identity"]):
        spreads = [np.std(one.identity) for one in series if one.identity]
        figures["identity_spread"] = float(np.mean(spreads))
    return Row(scale, group, name, len(measures["psnr"]), figures)


def _relative(series: Series, other: Series) -> Values:
    return np.array(series.change) / max(float(np.mean(other.change)), 1e-6)


# The evaluation -----------------------------------------------------------------------------------


_LOG = logging.getLogger(__name__)

FACE_WIDTHS = (24, 48, 96)
"""Face widths in the degraded clips in pixels."""
FRAMES = 60
"""Number of frames of each clip."""


def measure_videos(
    models: Sequence[str],
    folder: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
    scale: int = 4,
    frames: int = FRAMES,
    faces: Sequence[int] = FACE_WIDTHS,
    device: str = "auto",
) -> list[Row]:
    """Degrade, enhance and measure the clips of a folder.

    Args:
        models: Names of shipped weights, or .safetensors files.
        folder: Sharp clips, and pairs of files (see `video_clips`).
        limit: Maximum number of clips, which are taken evenly from the whole folder.
        seed: Seed of the degradations.
        progress: Show a progress bar.
        scale: Enlargement: 1, 2 or 4.
        frames: Number of frames from the beginning of each clip.
        faces: Face widths in the degraded clips in pixels.
        device: Device of the networks.

    Returns:
        Rows of the input and of every model for each group, and for all groups together.

    Raises:
        TrainingError: If nothing in the folder can be measured.
    """
    clips = clips_in(folder, limit)
    embedder = _embedder()
    found: list[tuple[DegradedClip, list[FaceMeasurement]]] = []
    with (
        MethodPipelines(models, scale, device=device) as methods,
        FaceAnalyser() as analyser,
        TemporaryDirectory() as temporary,
    ):
        for clip in tqdm(clips, unit="clip", disable=not progress):
            try:
                known = find_faces(clip, frames)
            except TrainingError as error:
                _LOG.warning("%s", error)
                continue
            found += [
                (case, measure_case(case, methods, analyser, embedder, frames))
                for case in cases_of(clip, known, faces, frames, seed, Path(temporary))
            ]
    if not found:
        raise TrainingError(f"no clip in {folder} shows a face that can be measured")
    return rows_of(found, methods.names, scale)


def _embedder() -> Embedder | None:
    """Return the face-recognition network, or None if it is not installed."""
    try:
        return Embedder()
    except CrsrError as error:
        _LOG.warning("identity is not measured: %s", error)
        return None
