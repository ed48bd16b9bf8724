"""The table for video: how near the truth each method comes, and how steadily.

Every method sees the same degraded clips, and its results are measured in the face, on crops cut
along the landmarks of the sharp clip. What flickers is told from what moves by the sharp clip's
optical flow, and set against the flicker of the degraded clip itself, enlarged bicubically.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from crsr_video.errors import TrainingError
from crsr_video.evaluation.identity import Embedder
from crsr_video.evaluation.landmarks import FaceReader
from crsr_video.evaluation.video_cases import Case, cases_of, measure
from crsr_video.evaluation.video_clips import Clip, clips_in, known_faces
from crsr_video.evaluation.video_measures import Embeds, Meter, Reads
from crsr_video.evaluation.video_methods import Methods
from crsr_video.evaluation.video_rows import VideoRow, as_dicts, as_text, rows_of

__all__ = ["FACES", "FRAMES", "VideoRow", "as_dicts", "as_text", "measure_videos"]

_LOG = logging.getLogger(__name__)

FACES = (24, 48, 96)
"""Widths of the faces in the degraded clips, in pixels."""
FRAMES = 60
"""Of each clip."""


def measure_videos(
    models: Sequence[str],
    folder: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = False,
    scale: int = 4,
    frames: int = FRAMES,
    faces: Sequence[int] = FACES,
    device: str = "auto",
) -> list[VideoRow]:
    """Degrade, enhance and measure the clips of a folder.

    Args:    models: shipped names or .safetensors files.
             folder: sharp clips, and pairs of files (see `video_clips`).
             limit: take so many clips, spread over all.
             seed: of the degradations.
             scale: enlargement by the product, 1, 2 or 4.
             frames: of each clip, from its beginning.
             faces: widths of the faces in the degraded clips, in pixels.
    Returns: for each group the input, then every model; last, if there are several, all together.
    Raises:  TrainingError: nothing in the folder can be measured.
             ConfigError, WeightsError, FaceModelError, InputError, OutputError.
    """
    clips = clips_in(folder, limit)
    with (
        Methods(models, scale, device=device) as methods,
        FaceReader() as reader,
        TemporaryDirectory() as temporary,
    ):
        judges = Judges(methods, reader, embedder(), frames)
        found: list[tuple[Case, list[Meter]]] = []
        for clip in tqdm(clips, unit="clip", disable=not progress):
            found += judges.measure(clip, faces, seed, Path(temporary))
    if not found:
        raise TrainingError(f"no clip in {folder} shows a face that can be measured")
    return rows_of(found, methods.names, scale)


def embedder() -> Embeds | None:
    """The face-recognition network, or None where it is not installed."""
    try:
        return Embedder()
    except TrainingError as error:
        _LOG.warning("identity is left out: %s", error)
        return None


@dataclass(frozen=True)
class Judges:
    """What is run on every clip, and what it is measured by."""

    methods: Methods
    reader: Reads
    embedder: Embeds | None
    frames: int

    def measure(
        self, clip: Clip, faces: Sequence[int], seed: int, folder: Path
    ) -> list[tuple[Case, list[Meter]]]:
        """One clip in all sizes; nothing, and a warning, if no face is found in it."""
        try:
            known = known_faces(clip, self.frames)
        except TrainingError as error:
            _LOG.warning("%s", error)
            return []
        return [
            (case, measure(case, self.methods, self.reader, self.embedder, self.frames))
            for case in cases_of(clip, known, faces, self.frames, seed, folder)
        ]
