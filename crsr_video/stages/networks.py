"""Common base of the two stages that run a network."""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from crsr_video.imaging.masks import FACE_WINDOW, window
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.stages.base import Stage
from crsr_video.types import Crop, Face, HeadMask, TrackedFrame, Window

_MOST_PIXELS = 64 * 64**2
"""Maximum number of pixels of all crops in one batch. Results are sixteen times as large, so
this limit bounds the memory."""

LARGEST_HALF = 2
"""Largest `Face.enlargement` for which results of half the size have enough pixels."""

Predict = Callable[..., Tensor]
"""A function that runs a network on float32 (N, 3, S, S) in [0, 1], and returns (N, 3, S', S').

For faces with a head mask, a second argument gives the rows and columns of the crops for which
results are needed."""


class NetworkStage(Stage[TrackedFrame, TrackedFrame]):
    """Runs a network on the face crops of all frames that arrive together.

    Args:
        predict: Runs the network.
        operations: Picture operations on the device in use.
        predict_half: Runs the network for faces whose `enlargement` is at most `LARGEST_HALF`.
            Defaults to `predict`.
        batch: Largest number of crops of one size in a batch.
        warm_up_sizes: Sides of the crops for which the network is run in `warm_up`.
    """

    def __init__(
        self,
        predict: Predict,
        operations: Operations,
        predict_half: Predict | None = None,
        *,
        batch: int = 1,
        warm_up_sizes: Sequence[int] = (),
    ) -> None:
        self._predict, self._predict_half = predict, predict_half or predict
        self._operations = operations
        self._batch = batch
        self._warm_up_sizes = tuple(warm_up_sizes)

    @abstractmethod
    def input_crop(self, face: Face) -> Crop | None:
        """Return the crop that goes into the network, or None to leave the face out."""

    @abstractmethod
    def with_results(self, faces: Sequence[Face], results: Pictures) -> list[Face]:
        """Return the faces with the network's results (N, 3, S', S') added."""

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Run the network over the faces of one frame."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[TrackedFrame]:
        """Run the network over the faces of several frames."""
        faces = [face for item in items for face in item.faces]
        by_kind: dict[tuple[Predict, int, Hashable], list[int]] = {}
        for index, face in enumerate(faces):
            crop = self.input_crop(face)
            if crop is not None:
                part = None if face.head is None else (head_part(face.head), crop.headroom)
                is_half = face.enlargement <= LARGEST_HALF
                predict = self._predict_half if is_half else self._predict
                by_kind.setdefault((predict, crop.size, part), []).append(index)
        for (predict, size, _), indices in by_kind.items():
            count = max(1, min(self._batch, _MOST_PIXELS // size**2))
            for first in range(0, len(indices), count):
                self._run(predict, faces, indices[first : first + count])
        done = iter(faces)
        return [
            TrackedFrame(item.frame, tuple(next(done) for _ in item.faces), item.cut)
            for item in items
        ]

    def warm_up(self) -> None:
        """Run each network once for each crop size, since the first run is slow."""
        for size in self._warm_up_sizes:
            blank = self._operations.as_floats([[[[0.0] * size] * size] * 3])
            for predict in {self._predict, self._predict_half}:
                predict(self._operations.to_tensor(blank))

    def _run(self, predict: Predict, faces: list[Face], indices: Sequence[int]) -> None:
        """Replace some faces by their results. If GPU memory runs out, run two half batches."""
        taken = [faces[index] for index in indices]
        crops = [crop for face in taken if (crop := self.input_crop(face)) is not None]
        try:
            batch = self._operations.stack([crop.image for crop in crops])
            head = taken[0].head
            part = None if head is None else head_part(head)
            rest = () if part is None else (window(crops[0].size, part, crops[0].headroom),)
            predicted = predict(self._operations.to_tensor(batch), *rest)
            done = self.with_results(taken, self._operations.from_tensor(predicted))
        except torch.cuda.OutOfMemoryError:
            if len(indices) == 1:
                raise
        else:
            for index, face in zip(indices, done, strict=True):
                faces[index] = face
            return
        half = len(indices) // 2
        self._run(predict, faces, indices[:half])
        self._run(predict, faces, indices[half:])


def head_part(head: HeadMask) -> Window:
    """Return the part of a crop that the networks must see."""
    return head.window if head.is_fresh else FACE_WINDOW
