"""Evaluate weights: measure them on stills, real faces and videos, and write contact sheets."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crsr_video.closing import Closing
from crsr_video.errors import ConfigError
from crsr_video.evaluation import stills
from crsr_video.evaluation.methods import methods, parse_variant
from crsr_video.evaluation.metrics import CANONICAL, FRAMINGS
from crsr_video.evaluation.models import MetricModels
from crsr_video.evaluation.report import EvaluationReport, Row
from crsr_video.evaluation.samples import DRAWN, FIXED
from crsr_video.evaluation.sheets import write_blind_sheet, write_sheet
from crsr_video.evaluation.stills import GenuineFaces
from crsr_video.training.export import export
from crsr_video.training.genuine import NPZ_FRAME, Genuine
from crsr_video.training.session import read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """Options of the evaluation.

    Attributes:
        data: Folder of faces that the prepare command wrote.
        tiers: Sides of the input in pixels.
        framing: Part of the head that the models were trained to see, a key of `FRAMINGS`.
        limit: Maximum number of faces of each input size, and of videos.
        genuine: Files of real low-resolution faces.
        genuine_faces: Maximum number of faces from each of these files, for each input size.
        reference: Number of photographs that real faces are compared with.
        videos: Folder of sharp clips.
        fixed: Use fixed degradations instead of random ones.
        by_tone: Add rows for each group of skin tones.
        seed: Seed of the degradations.
        bf16: Run the networks at bf16 precision.
    """

    data: Path
    tiers: tuple[int, ...]
    framing: str = "canonical"
    limit: int | None = None
    genuine: tuple[Path, ...] = ()
    genuine_faces: int = 1000
    reference: int = 1000
    videos: Path | None = None
    fixed: bool = False
    by_tone: bool = False
    seed: int = 0
    bf16: bool = False


class Evaluation(Closing):
    """One evaluation of several models. Close this object after use.

    Args:
        models: Models with their options, in the syntax of `methods.parse_variant`. They may be
            folders of training runs.
        settings: What to measure.
    """

    def __init__(self, models: Sequence[str], settings: EvaluationSettings) -> None:
        self._settings = settings
        self._genuine = _open_genuine(settings.genuine)
        self._exports = TemporaryDirectory(prefix="crsr-evaluate-")
        try:
            files = [_exported(text, Path(self._exports.name)) for text in models]
            self._methods = methods(files, bf16=settings.bf16)
        except BaseException:
            self.close()
            raise
        self._texts = dict(zip(files, models, strict=True))

    def close(self) -> None:
        """Delete the exported weights of runs."""
        self._exports.cleanup()

    def measure(self) -> EvaluationReport:
        """Measure everything that the settings ask for."""
        settings, progress = self._settings, sys.stderr.isatty()
        with MetricModels() as models:
            on_pairs = stills.measure_paired(
                self._methods,
                settings.data,
                models,
                tiers=settings.tiers,
                limit=settings.limit,
                seed=settings.seed,
                framing=FRAMINGS[settings.framing],
                degradations=FIXED if settings.fixed else DRAWN,
                by_tone=settings.by_tone,
                progress=progress,
            )
            on_genuine = []
            if self._genuine:
                on_genuine = stills.measure_genuine(
                    self._methods,
                    self._genuine,
                    settings.data,
                    models,
                    tiers=settings.tiers,
                    count=settings.genuine_faces,
                    references=settings.reference,
                    progress=progress,
                )
        on_videos = self._measure_videos(progress)
        return EvaluationReport(
            self._facts(), on_pairs, on_genuine, on_videos, models.notes, models.timed.seconds
        )

    def write_sheet(self, path: Path, *, faces: int, real: bool) -> None:
        """Write a contact sheet, see `sheets.write_sheet`."""
        settings = self._settings
        write_sheet(
            path,
            self._methods,
            settings.data,
            tiers=settings.tiers,
            faces=faces,
            real=real,
            seed=settings.seed,
            genuine=self._genuine,
            framing=FRAMINGS[settings.framing],
        )

    def write_blind_sheet(self, path: Path) -> None:
        """Write a blind comparison of two models, see `sheets.write_blind_sheet`."""
        settings = self._settings
        write_blind_sheet(
            path, self._methods, settings.data, tier=settings.tiers[0], seed=settings.seed
        )

    def _measure_videos(self, progress: bool) -> list[Row]:
        if self._settings.videos is None:
            return []
        from crsr_video.evaluation import video

        return video.measure_videos(
            [method.model for method in self._methods if method.model],
            self._settings.videos,
            limit=self._settings.limit,
            seed=self._settings.seed,
            progress=progress,
        )

    def _facts(self) -> dict[str, Any]:
        models = [
            {"name": m.name, "model": self._texts.get(m.model, ""), "sha256": m.sha256}
            for m in self._methods
        ]
        return {"models": models, **json.loads(json.dumps(asdict(self._settings), default=str))}


def _exported(text: str, folder: Path) -> str:
    """Return the text of a model, in which weights in `folder` replace the folder of a run."""
    run = parse_variant(text).model
    if not Path(run).is_dir():
        return text
    path = folder / f"{len(list(folder.iterdir()))}" / f"{Path(run).resolve().name}.safetensors"
    return f"{export(read_run(Path(run)), path)}{text[len(run) :]}"


def _open_genuine(paths: Sequence[Path]) -> list[GenuineFaces]:
    if len({path.stem for path in paths}) < len(paths):
        raise ConfigError("two files of real faces have the same name")
    return [
        # .npz files come from face detection data sets. Packs hold faces that we aligned.
        GenuineFaces(
            path.stem, Genuine(path, "val"), NPZ_FRAME if path.suffix == ".npz" else CANONICAL
        )
        for path in paths
    ]
