"""One call of a training command: open or begin the run, wire data and journal, train."""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import torch
from torch import Tensor

from crsr_video import weights
from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces
from crsr_video.training.draws import Source, Wanted
from crsr_video.training.framing import FramedFaces
from crsr_video.training.genuine import Genuine
from crsr_video.training.journal import Journal
from crsr_video.training.loop import CHECKPOINT, train
from crsr_video.training.method import Method
from crsr_video.training.run import Run, check_same, load
from crsr_video.training.samples import SampleSheet
from crsr_video.training.schedule import Limits

log = logging.getLogger(__name__)

_SHEET_BATCH = 6


class Session:
    """A run in a folder: begun, or taken up again if the folder holds one.

    Args:   method: how to train.
            faces: a pack. genuine: a harvest's pack or an .npz.
            start: runs' folders, checkpoints or weights files to begin from; of networks that
                   several have, the first one's.
            framing: "canonical", or "wider": faces cut as in that data set.
    Raises: TrainingError: data or weights that cannot be used, or a run begun otherwise.
    """

    def __init__(
        self,
        method: Method,
        faces: Path,
        folder: Path,
        *,
        genuine: Path | None = None,
        start: Sequence[Path] = (),
        framing: str = "canonical",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self._method, self._folder, self._device = method, folder, device
        if device != "cpu" and not torch.cuda.is_available():
            raise TrainingError(f"there is no device '{device}' here")
        self._seed, self._framing = seed, framing
        self._faces, self._genuine = faces, genuine
        self.run = self._resumed() if (folder / CHECKPOINT).exists() else self._begun(start)

    def train(self, limits: Limits, *, threads: int, workers: int, progress: bool) -> None:
        """Train until `limits` say so. Raises: TrainingError."""
        torch.set_num_threads(threads)
        cv2.setNumThreads(1)
        source = self._source("train", self._method.wanted)
        sheet = SampleSheet(self._source("val", _small(self._method.wanted)))
        journal = Journal(
            self._folder,
            every=limits.log_every,
            sheet=sheet,
            sheet_every=limits.sheet_every,
            progress=progress,
        )
        with closing(journal):
            train(self._method, self.run, source, self._folder, limits, journal, workers=workers)
            journal.draw(self.run)

    def _source(self, split: str, wanted: Wanted) -> Source:
        genuine = Genuine(self._genuine, split) if self._genuine and wanted.genuine else None
        kind = FramedFaces if self._framing == "wider" else Faces
        photographs = kind(self._faces, split, kind="real") if wanted.photographs else None
        return Source(
            kind(self._faces, split),
            genuine,
            wanted,
            seed=self._seed,
            device=self._device,
            photographs=photographs,
        )

    def _resumed(self) -> Run:
        run = load(self._folder / CHECKPOINT, self._device)
        method = self._method
        check_same(
            run, method.name, {**method.settings(), "framing": self._framing}, method.parts()
        )
        if run.seed != self._seed:
            raise TrainingError(f"the run was begun with seed {run.seed}, not {self._seed}")
        log.info("going on at step %d", run.step)
        return run

    def _begun(self, start: Sequence[Path]) -> Run:
        method = self._method
        run = Run(
            method.name,
            {**method.settings(), "framing": self._framing},
            method.parts(),
            seed=self._seed,
            device=self._device,
        )
        begun: set[str] = set()
        for path in start:
            found = starting_weights(path)
            for name in run.networks.keys() & (found.keys() - begun):
                new = run.begin_from(name, found[name])
                log.info("%s: from %s, %d tensors are new", name, path.name, len(new))
                begun.add(name)
        return run


def _small(wanted: Wanted) -> Wanted:
    """A few faces of the largest kind that is trained on."""
    largest = max(wanted.tiers, key=lambda tier: tier.patch)
    return replace(
        wanted,
        tiers=(replace(largest, batch=_SHEET_BATCH, share=1.0),),
        photographs=False,
        varied=False,
    )


def read_run(path: Path) -> Run:
    """A run by its folder or its checkpoint. Raises: TrainingError."""
    return load(path / CHECKPOINT if path.is_dir() else path)


def starting_weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """Averaged weights of a run (a critic's own), or those of a weights file, by network.

    Raises: TrainingError, WeightsError: neither of them, or damaged.
    """
    if path.suffix == ".safetensors" or not path.exists():
        pair = weights.load(str(path))
        networks = {"consistifier": pair.consistifier, "superresolver": pair.superresolver}
        return {name: dict(net.state_dict()) for name, net in networks.items()}
    run = read_run(path)
    return {
        name: dict((run.average(name) if name in run.averages else run[name]).state_dict())
        for name in run.networks
    }
