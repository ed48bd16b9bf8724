"""A whole run on a made clip: the real reader, stages and writer, with given faces and networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from crsr_video.config import OutputSettings
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.networks import Bicubic, IdentityConsistifier
from crsr_video.pipeline import Pipeline
from crsr_video.stages.align import Aligner
from crsr_video.stages.base import Stage
from crsr_video.stages.consistify import ConsistifyStage
from crsr_video.stages.paste import Paster
from crsr_video.stages.smooth import Smoother
from crsr_video.stages.superres import SuperResolveStage
from crsr_video.types import Face, Frame, TrackedFrame
from tests.support.frames import make_face
from tests.support.operations import NUMPY, predicting, predictor

SIZE = (96, 80)
FACE = make_face(50, 38, 44, 8)
FFV1 = OutputSettings(codec="ffv1")
FAST = OutputSettings(preset="ultrafast")
MILLI = Fraction(1, 1000)

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Run:
    """The frames and notices of a run."""

    before: list[Frame]
    """Frames of the source."""
    finished: list[Frame]
    """Frames that were passed to the encoder."""
    after: list[Frame]
    """Frames of the result."""
    notices: tuple[str, ...]


class Finder(Stage[Frame, TrackedFrame]):
    """Stand-in for the tracker that returns the same faces for every frame."""

    def __init__(self, faces: Sequence[Face]) -> None:
        self._faces = tuple(faces)

    def push(self, frame: Frame) -> list[TrackedFrame]:
        return [TrackedFrame(frame, self._faces)]


def wild(crops: np.ndarray) -> np.ndarray:
    """Return enlarged crops with strong coloured noise, which is the same at every call."""
    large = np.repeat(np.repeat(crops, 4, 2), 4, 3)
    noise = np.random.default_rng(7).normal(0, 0.2, large.shape[1:]).astype(np.float32)
    return large + noise


def pipeline(faces: Sequence[Face] = (FACE,), network: Network = wild, scale: int = 1) -> Pipeline:
    """Return a pipeline with all stages, given faces, and a given network as the super-resolver."""
    return Pipeline(
        [
            ("track", Finder(faces)),
            ("align", Aligner(NUMPY, scale=scale)),
            ("consistify", ConsistifyStage(predictor(IdentityConsistifier()), NUMPY)),
            ("super-resolve", SuperResolveStage(predicting(network), NUMPY)),
            ("smooth", Smoother(NUMPY, 1)),
            ("paste", Paster(NUMPY, scale=scale)),
        ]
    )


def identity(crops: np.ndarray) -> np.ndarray:
    """Return enlarged crops without any change."""
    return predictor(Bicubic())(torch.from_numpy(crops)).numpy()


def enhance(
    source: Path,
    target: Path,
    settings: OutputSettings | None = FFV1,
    *,
    scale: int = 1,
    faces: Sequence[Face] = (FACE,),
    network: Network = wild,
) -> Run:
    """Enhance a clip."""
    pipe = pipeline(faces, network, scale)
    before, finished = [], []
    with (
        Reader(source) as decoder,
        Writer(target, decoder.source, settings, scale=scale) as encoder,
    ):
        for item in decoder:
            if isinstance(item, Frame):
                before.append(item)
                finished += (done := pipe.push(item))
                for frame in done:
                    encoder.push(frame)
            else:
                encoder.push_packet(item)
        finished += (done := pipe.flush())
        for frame in done:
            encoder.push(frame)
        encoder.check_losses(decoder.report.losses)
    return Run(before, finished, frames_of(target), encoder.notices)


def frames_of(path: Path) -> list[Frame]:
    with Reader(path) as decoder:
        return [item for item in decoder if isinstance(item, Frame)]


def times(path: Path) -> list[Fraction]:
    """Return the presentation times of all frames in seconds."""
    return [f.pts * f.time_base for f in frames_of(path)]


def packets(path: Path) -> dict[tuple[str, int], list[tuple[Fraction | None, bytes]]]:
    """Return times and bytes of all packets but those of the first video.

    The keys are the kind of a stream and its number among the streams of this kind."""
    with av.open(str(path)) as container:
        found: dict[int, list[tuple[Fraction | None, bytes]]] = {
            s.index: [] for s in container.streams if s.type != "attachment"
        }
        main = next(s.index for s in container.streams if s.type == "video")
        for packet in container.demux():
            if packet.size:
                time = None if packet.pts is None else packet.pts * packet.time_base
                found[packet.stream_index].append((time, bytes(packet)))
        kinds: dict[tuple[str, int], list[tuple[Fraction | None, bytes]]] = {}
        for index, data in found.items():
            if index != main:
                kind = container.streams[index].type
                kinds[kind, sum(key[0] == kind for key in kinds)] = data
    return kinds
