"""Flicker and sharpness of finished videos, measured against their source without a ground truth.

The faces of the source are tracked once. Each face is cut out at the same place in the source and
in every result. The crops are compared as in `video_measures`, with the source as the reference.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from crsr_video.errors import DegenerateFaceError, TrainingError
from crsr_video.evaluation.report import write
from crsr_video.evaluation.video import CROP_SIZES, FacePlace
from crsr_video.evaluation.video_clips import decoded
from crsr_video.evaluation.video_measures import (
    FlickerMeasurement,
    Picture,
    Steadiness,
    flicker,
    flicker_at_equal_sharpness,
    flow_between,
)
from crsr_video.formatting import markdown_table
from crsr_video.imaging.geometry import TEMPLATE, crop_from_frame, crop_side
from crsr_video.track.tracker import Tracker
from crsr_video.types import Bytes, Face, Frame, TrackedFrame

SOURCE = "source"
"""Name of the source among the results."""

MIN_PAIRS = 10
"""A face that is seen in fewer pairs of consecutive frames is left out."""

_EYE_ROW = float(TEMPLATE[0, 1])
"""Row of the eyes as a fraction of the crop."""

_SLICE_PX = 192
"""Width of a slice in pixels."""


@dataclass(frozen=True)
class ResultRow:
    """One face in one result, with means over all frames."""

    track: int | None
    """Track ID, or None for all faces together."""
    result: str
    pairs: int
    """Number of pairs of consecutive frames that were measured."""
    flicker: float
    """Change between frames that motion does not explain, relative to that of the source."""
    flicker_at_equal_sharpness: float
    """Flicker after the fine detail was scaled to the strength of that of the source."""
    gain: float
    """RMS of the fine detail divided by that of the source."""


@dataclass
class _FaceSeries:
    side: int
    measurement: FlickerMeasurement
    series: dict[str, Steadiness]
    last_frame: int = -1
    source: Picture | None = None
    slices: dict[str, list[Picture]] = field(default_factory=dict)
    """The row of the eyes in every frame, (S, 3)."""


class ResultMeasurement:
    """Measures results of one source.

    Args:
        source: The video that was enhanced.
        results: The finished videos. They have all frames of the source, and may be larger.
        frames: Number of frames to measure. None means all.

    Raises:
        InputError: A file cannot be read.
        TrainingError: A result has another number of frames, or no face is seen long enough.
    """

    def __init__(self, source: Path, results: Sequence[Path], frames: int | None = None) -> None:
        self._names = _unique_names(results)
        self._faces: dict[int, _FaceSeries] = {}
        count = frames or 1 << 30
        with ExitStack() as stack:
            tracker = stack.enter_context(Tracker())
            copies = [decoded(path, count) for path in results]
            for number, item in enumerate(tracker.process(decoded(source, count))):
                finished = [next(copy, None) for copy in copies]
                if None in finished:
                    path = results[finished.index(None)]
                    raise TrainingError(f"{path} has fewer frames than {source}")
                self._push(number, item, [frame for frame in finished if frame is not None])
        lasting = {
            track: face
            for track, face in self._faces.items()
            if len(face.series[SOURCE].change) >= MIN_PAIRS
        }
        if not lasting:
            raise TrainingError(f"no face is seen in {MIN_PAIRS} pairs of frames of {source}")
        self._faces = lasting

    def rows(self) -> list[ResultRow]:
        """Return a row for each face and result, and then the means over several faces."""
        rows = [
            _row(track, name, face.series[name], face.series[SOURCE])
            for track, face in sorted(self._faces.items())
            for name in self._names
        ]
        if len(self._faces) > 1:
            rows += [_mean_row([r for r in rows if r.result == name]) for name in self._names]
        return rows

    def write_slices(self, path: Path) -> None:
        """Write a PNG of slices over time: the row of pixels through the eyes, one line per frame.

        Each face has a row of pictures: the source on the left, and the results to its right.

        Raises:
            TrainingError: The file cannot be written.
        """
        strips = []
        for face in self._faces.values():
            pictures = [_strip(face.slices[name]) for name in (SOURCE, *self._names)]
            strips.append(np.hstack(pictures))
        sheet = np.vstack(strips)
        if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
            raise TrainingError(f"{path}: cannot be written")

    def _push(self, number: int, item: TrackedFrame, finished: Sequence[Frame]) -> None:
        for seen in item.faces:
            if seen.skipped is None:
                try:
                    self._measure(number, item.frame, seen, finished)
                except DegenerateFaceError:
                    continue

    def _measure(self, number: int, frame: Frame, seen: Face, finished: Sequence[Frame]) -> None:
        aspect = float(frame.sample_aspect)
        face = self._faces.get(seen.track)
        if face is None:
            names = (SOURCE, *self._names)
            side = int(np.clip(round(crop_side(seen.landmarks, aspect)), *CROP_SIZES))
            face = self._faces[seen.track] = _FaceSeries(
                side, FlickerMeasurement(SOURCE), {name: Steadiness() for name in names}
            )
        place = FacePlace(
            crop_from_frame(seen.landmarks, face.side, aspect), frame.width, frame.height
        )
        frames = dict(zip((SOURCE, *self._names), (frame, *finished), strict=True))
        crops = {name: place.cut(one, face.side) for name, one in frames.items()}
        before = face.source if face.last_frame == number - 1 else None
        flow = flow_between(before, crops[SOURCE]) if before is not None else None
        face.measurement.push(face.series, crops, flow)
        face.last_frame, face.source = number, crops[SOURCE]
        for name, crop in crops.items():
            face.slices.setdefault(name, []).append(crop[round(_EYE_ROW * face.side)])


def as_text(rows: Sequence[ResultRow]) -> str:
    """Return the rows as a table."""
    header = ["face", "result", "pairs", "flicker", "equally sharp", "gain"]
    cells = [
        [
            "all" if row.track is None else f"{row.track}",
            row.result,
            f"{row.pairs}",
            f"{row.flicker:.3f}",
            f"{row.flicker_at_equal_sharpness:.3f}",
            f"{row.gain:.3f}",
        ]
        for row in rows
    ]
    return markdown_table(header, cells, (0, 1))


def save(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write the rows as JSON, rounded."""
    rounded = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]
    write(path, json.dumps(rounded, indent=2) + "\n")


def _unique_names(results: Sequence[Path]) -> list[str]:
    """Return the file names without suffix if all differ, and otherwise the whole paths."""
    stems = [path.stem for path in results]
    return stems if len({SOURCE, *stems}) > len(stems) else [str(path) for path in results]


def _row(track: int, name: str, series: Steadiness, source: Steadiness) -> ResultRow:
    return ResultRow(
        track=track,
        result=name,
        pairs=len(series.change),
        flicker=flicker(series, source),
        flicker_at_equal_sharpness=flicker_at_equal_sharpness(series, source),
        gain=series.gain(source),
    )


def _mean_row(rows: Sequence[ResultRow]) -> ResultRow:
    """Return the mean over faces, weighted by the number of pairs of frames."""
    weights = [row.pairs for row in rows]
    flickers, equal, gains = (
        float(np.average(values, weights=weights))
        for values in zip(
            *((r.flicker, r.flicker_at_equal_sharpness, r.gain) for r in rows), strict=True
        )
    )
    return ResultRow(None, rows[0].result, sum(weights), flickers, equal, gains)


def _strip(rows: Sequence[Picture]) -> Bytes:
    pixels = np.rint(np.stack(rows).clip(0, 1) * 255).astype(np.uint8)
    strip: Bytes = cv2.resize(pixels, (_SLICE_PX, len(rows)), interpolation=cv2.INTER_CUBIC)
    return strip
