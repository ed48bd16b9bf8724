"""The video evaluation: closeness to the truth and steadiness of every method.

Every method gets the same degraded clips. Its results are measured in crops of the face that are
cut along the landmarks of the sharp clip. Flicker is the change that the optical flow of the sharp
clip does not explain, divided by the flicker of the degraded clip after bicubic enlargement.
Clips without a sharp original are measured by `results`.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crsr_video import pipeline
from crsr_video.closing import Closing
from crsr_video.config import EnhancerConfig
from crsr_video.errors import CrsrError, TrainingError
from crsr_video.evaluation.flicker import Picture, flicker_at_equal_sharpness
from crsr_video.evaluation.identity import Embedder
from crsr_video.evaluation.landmarks import FaceReader
from crsr_video.evaluation.methods import variants
from crsr_video.evaluation.paired import worst
from crsr_video.evaluation.video_clips import (
    Bytes,
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
from crsr_video.evaluation.video_measures import Embed, LandmarkReader, Meter, Series
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
from crsr_video.io.frames import from_rgb
from crsr_video.pipeline import Pipeline
from crsr_video.text_table import markdown_table
from crsr_video.types import Frame, TrackedFrame

# Methods ------------------------------------------------------------------------------------------


DEGRADED, BICUBIC = "degraded", "bicubic"
"""The input itself, as it is or enlarged. Flicker of all methods is relative to it."""


def baseline(scale: int) -> str:
    """Name of the method that returns the input."""
    return DEGRADED if scale == 1 else BICUBIC


class Methods(Closing):
    """The input itself, and the pipeline of the product for each model.

    Faces are tracked once for all methods.

    Args:
        models: Models with options, see `methods.parse_variant`. A super-resolver alone is left
            out, because the product never runs it alone.
        scale: Enlargement: 1, 2 or 4.
        device: Device of the networks.

    Raises:
        ConfigError: If a model is named twice, or the scale is not allowed.
        DeviceError: If the device is missing.
        FaceModelError: If a face model is missing.
        WeightsError: If a model cannot be loaded.
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
        """Yield frames with faces, then None. Without a pipeline, faces are not needed."""
        tracker = next(iter(self._pipelines.values()), None)
        for frame in frames:
            yield from tracker.track(frame) if tracker else [TrackedFrame(frame)]
        if tracker:
            yield from tracker.track(None)
        yield None


# Degraded clips -----------------------------------------------------------------------------------


CROP_SIZES = (64, 384)
"""Smallest and largest size of the measured crops in pixels."""


@dataclass(frozen=True)
class Case:
    """A degraded clip and its ground truth."""

    clip: Clip
    known: KnownFaces
    degraded: Path
    group: str
    """Group in the table."""
    size: tuple[int, int] | None
    """Width and height of the degraded clip if it was made here, or None for a pair."""
    face: float
    """Width of the widest face in the degraded clip in pixels."""

    def crop_size(self, scale: int) -> int:
        """Size of the measured crops: that of the result or of the truth, whichever is smaller."""
        width = FACE_WIDTHS_PER_CROP * min(self.face * scale, self.known.width)
        return int(np.clip(round(width), *CROP_SIZES))

    def truth(self, picture: Bytes, scale: int) -> Bytes:
        """An upright frame of the clip at the size of the results, but never enlarged."""
        return (
            shrink(picture, (self.size[0] * scale, self.size[1] * scale)) if self.size else picture
        )


def cases_of(
    clip: Clip, known: KnownFaces, faces: Sequence[int], count: int, seed: int, folder: Path
) -> Iterator[Case]:
    """Degrade a clip once for each face width that is smaller than its own.

    Args:
        clip: The sharp clip.
        known: Its faces.
        faces: Face widths in pixels.
        count: Number of frames.
        seed: Seed of the degradations.
        folder: Folder for the degraded clip. Each one replaces the one before.

    Raises:
        InputError: If a file cannot be read.
        OutputError: If a file cannot be written.
    """
    height, width = next(upright(clip.path, 1)).shape[:2]
    if clip.degraded is not None:
        given = next(decoded(clip.degraded, 1))
        yield Case(clip, known, clip.degraded, clip.name, None, known.width * given.width / width)
        return
    path = folder / "degraded.mkv"
    for face in faces:
        if face < known.width:
            size = shrunk_size(width, height, face / known.width)
            write_degraded(clip, path, count, size, draw_degradation(clip.name, face, seed), seed)
            yield Case(clip, known, path, f"{face} px", size, face)


def measure_case(
    case: Case, methods: Methods, reader: LandmarkReader, embedder: Embed | None, count: int
) -> list[Meter]:
    """Run every method on a case, and return a meter for each face."""
    side = case.crop_size(methods.scale)
    meters = {track: Meter(reader, embedder) for track in sorted(case.known.tracks)}
    results = methods.run(decoded(case.degraded, count))
    # The files of a pair may differ in length; the common part is measured.
    for picture, points, results_of_frame in zip(
        upright(case.clip.path, count), case.known.points, results, strict=False
    ):
        truth = from_rgb(case.truth(picture, methods.scale), 0)
        for track, meter in meters.items():
            if track in points:
                place = Place(crop_from_frame(points[track], side), *picture.shape[1::-1])
                crops = {name: place.cut(frame, side) for name, frame in results_of_frame.items()}
                meter.push(place.cut(truth, side), crops)
            else:
                meter.skip()
    return list(meters.values())


@dataclass(frozen=True)
class Place:
    """Place of a face in a picture, and in any enlarged or shrunk copy of it."""

    crop_from_picture: Matrix
    """2x3."""
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
"""Group of all cases."""


@dataclass(frozen=True)
class VideoRow:
    """One method on one group of clips, with means over all frames and over the worst 5 %."""

    group: str
    """Face width in the degraded clips, the name of a pair, or `ALL`."""
    method: str
    """`baseline` of the scale, or a model."""
    scale: int
    clips: int
    tracks: int
    """Faces, summed over clips."""
    frames: int
    """Faces, summed over frames."""
    psnr: float
    """PSNR of the face region in dB."""
    psnr_worst: float
    ssim: float
    ssim_worst: float
    identity: float | None
    """Cosine similarity of the identity embedding to that of the truth, or None."""
    identity_worst: float | None
    identity_spread: float | None
    """Standard deviation of the identity over a track, as a mean over tracks."""
    flicker: float
    """Change that motion does not explain, divided by the mean of the degraded clip."""
    flicker_worst: float
    """The same of the frames that change most."""
    flicker_of_truth: float
    """The same change divided by that of the truth."""
    flicker_at_equal_sharpness: float
    """Flicker after the fine detail was scaled to that of the degraded clip."""
    gain: float
    """RMS of the fine detail divided by that of the degraded clip."""
    motion: float
    """Motion of the landmarks relative to the truth, in eye distances per frame."""
    motion_worst: float


def rows_of(
    found: Sequence[tuple[Case, list[Meter]]], names: Sequence[str], scale: int
) -> list[VideoRow]:
    """Summarise the measures by group and method."""
    groups = list(dict.fromkeys(case.group for case, _ in found))
    rows = []
    for group in [*groups, ALL] if len(groups) > 1 else groups:
        part = [(case, m) for case, m in found if group in (case.group, ALL)]
        clips = len({case.clip.name for case, _ in part})
        meters = [m for _, several in part for m in several if m.truth.change]
        rows += [_row(group, name, scale, clips, meters) for name in names]
    return rows


def _row(group: str, name: str, scale: int, clips: int, meters: list[Meter]) -> VideoRow:
    series = [meter.series[name] for meter in meters]
    own = [_relative(m.series[name], m.series[baseline(scale)]) for m in meters]
    true = [_relative(m.series[name], m.truth) for m in meters]
    inputs = [m.series[baseline(scale)] for m in meters]
    equal = [flicker_at_equal_sharpness(s, i) for s, i in zip(series, inputs, strict=True)]
    psnr, ssim = _pooled(series, lambda s: s.psnr), _pooled(series, lambda s: s.ssim)
    same, motion = _pooled(series, lambda s: s.identity), _pooled(series, lambda s: s.motion)
    spread = [float(np.std(s.identity)) for s in series if s.identity]
    return VideoRow(
        group=group,
        method=name,
        scale=scale,
        clips=clips,
        tracks=len(meters),
        frames=len(psnr),
        psnr=_mean(psnr),
        psnr_worst=worst(psnr, True),
        ssim=_mean(ssim),
        ssim_worst=worst(ssim, True),
        identity=_mean(same) if len(same) else None,
        identity_worst=worst(same, True) if len(same) else None,
        identity_spread=_mean(spread) if spread else None,
        flicker=_mean(np.concatenate(own)),
        flicker_worst=worst(np.concatenate(own), False),
        flicker_of_truth=_mean(np.concatenate(true)),
        flicker_at_equal_sharpness=_mean(equal),
        gain=_mean([s.gain(i) for s, i in zip(series, inputs, strict=True)]),
        motion=_mean(motion),
        motion_worst=worst(motion, False),
    )


def _pooled(series: Iterable[Series], pick: Callable[[Series], list[float]]) -> Values:
    """Values of one measure for all faces."""
    return np.concatenate([np.array(pick(s), np.float64) for s in series])


def _relative(series: Series, other: Series) -> Values:
    """Changes divided by the mean of another series, so that every clip has the same weight."""
    return np.array(series.change) / max(float(np.mean(other.change)), 1e-6)


def _mean(values: Sequence[float] | Values) -> float:
    return float(np.mean(values))


def as_dicts(rows: Sequence[VideoRow]) -> list[dict[str, float | int | str | None]]:
    """The rows for JSON, rounded."""
    return [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]


def as_text(rows: Sequence[VideoRow]) -> str:
    """The rows as a table, with the mean of the worst 5 % in brackets."""
    header = ["faces", "method", "scale", "frames", "PSNR", "SSIM", "identity", "spread"]
    header += ["flicker", "of truth's", "equally sharp", "gain", "motion"]
    return markdown_table(header, [_cells(row) for row in rows], range(2))


def _cells(row: VideoRow) -> list[str]:
    return [
        row.group,
        row.method,
        f"{row.scale}x",
        f"{row.frames}",
        f"{row.psnr:.2f} ({row.psnr_worst:.2f})",
        f"{row.ssim:.3f} ({row.ssim_worst:.3f})",
        _optional(row.identity, f" ({row.identity_worst or 0:.3f})"),
        _optional(row.identity_spread),
        f"{row.flicker:.2f} ({row.flicker_worst:.2f})",
        f"{row.flicker_of_truth:.2f}",
        f"{row.flicker_at_equal_sharpness:.2f}",
        f"{row.gain:.2f}",
        f"{row.motion:.4f} ({row.motion_worst:.4f})",
    ]


def _optional(value: float | None, more: str = "") -> str:
    return "" if value is None else f"{value:.3f}{more}"


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
) -> list[VideoRow]:
    """Degrade, enhance and measure the clips of a folder.

    Args:
        models: Names of shipped weights, or .safetensors files.
        folder: Sharp clips, and pairs of files (see `video_clips`).
        limit: Take only this many clips, evenly spread.
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
        CrsrError: If a model or a file cannot be read or written.
    """
    clips = clips_in(folder, limit)
    with (
        Methods(models, scale, device=device) as methods,
        FaceReader() as reader,
        TemporaryDirectory() as temporary,
    ):
        measurement = _ClipMeasurement(methods, reader, _embedder(), frames)
        found: list[tuple[Case, list[Meter]]] = []
        for clip in tqdm(clips, unit="clip", disable=not progress):
            found += measurement.measure(clip, faces, seed, Path(temporary))
    if not found:
        raise TrainingError(f"no clip in {folder} shows a face that can be measured")
    return rows_of(found, methods.names, scale)


def _embedder() -> Embed | None:
    """The face-recognition network, or None if it is not installed."""
    try:
        return Embedder()
    except CrsrError as error:
        _LOG.warning("identity is not measured: %s", error)
        return None


@dataclass(frozen=True)
class _ClipMeasurement:
    """The methods, and the models that measure their results."""

    methods: Methods
    reader: LandmarkReader
    embedder: Embed | None
    frames: int

    def measure(
        self, clip: Clip, faces: Sequence[int], seed: int, folder: Path
    ) -> list[tuple[Case, list[Meter]]]:
        """Measure one clip with all face widths. Without a face, warn and return nothing."""
        try:
            known = find_faces(clip, self.frames)
        except TrainingError as error:
            _LOG.warning("%s", error)
            return []
        return [
            (case, measure_case(case, self.methods, self.reader, self.embedder, self.frames))
            for case in cases_of(clip, known, faces, self.frames, seed, folder)
        ]
