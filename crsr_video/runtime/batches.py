"""Run a network over the crops of several faces and frames at once."""

from collections import deque
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crsr_video.runtime.backends import runner
from crsr_video.runtime.devices import Placement
from crsr_video.types import Crop, Face, TrackedFrame

Images = NDArray[np.float32]


class Predictor:
    """A network on its device: numpy in, numpy out.

    Call with float32 (N, 3, S, S) in [0, 1]; returns float32 (N, 3, S', S').
    Args: compiling, windowed: see `backends.runner`.
    """

    def __init__(
        self,
        network: nn.Module,
        placement: Placement,
        *,
        compiling: bool = False,
        windowed: Collection[int] = (),
    ) -> None:
        self._placement = placement
        self._run = runner(network.eval(), placement, compiling=compiling, windowed=windowed)

    @property
    def way(self) -> str:
        """How it is computed, in words."""
        return self._run.way

    @torch.inference_mode()
    def __call__(self, images: Images) -> Images:
        """Forward pass; shapes as above."""
        with self._placement.applied():
            return self._run(images)

    @torch.inference_mode()
    def tensors(self, images: Tensor) -> Tensor:
        """The same for pictures that are on the device, and stay there; float32."""
        with self._placement.applied():
            return self._run.forward(images).float()


class BatchStage:
    """A stage that collects crops until a batch is full and then replaces the faces' pictures.

    Crops of one size make one batch; a frame leaves when all its faces are done, in order.
    Args: predict: the network.
          before: the crop of a face that goes in, or None if the face is to be left out.
          after: the face with the network's result added.
          batch: crops at which the network is run.
          lookahead: frames that may wait for a batch to fill.
    """

    def __init__(
        self,
        predict: Callable[[Images], Images],
        before: Callable[[Face], Crop | None],
        after: Callable[[Face, Images], Face],
        *,
        batch: int = 1,
        lookahead: int = 0,
    ) -> None:
        self.lookahead = lookahead
        self._predict = predict
        self._before = before
        self._after = after
        self._batch = batch
        self._waiting: deque[TrackedFrame] = deque()

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Take a frame; run the network if enough crops have come together."""
        self._waiting.append(item)
        crops = sum(self._before(face) is not None for i in self._waiting for face in i.faces)
        if len(self._waiting) > self.lookahead or crops >= self._batch or crops == 0:
            return self.flush()
        return []

    def flush(self) -> list[TrackedFrame]:
        """Run the network on whatever waits."""
        items = list(self._waiting)
        self._waiting.clear()
        faces = [face for item in items for face in item.faces]
        done = iter(self._run(faces))
        return [
            TrackedFrame(item.frame, tuple(next(done) for _ in item.faces), item.cut)
            for item in items
        ]

    def reset(self) -> None:
        """Drop what waits."""
        self._waiting.clear()

    def warm(self, sides: Sequence[int]) -> None:
        """Run the network once on nothing, for crops of these sides: the first run is slow."""
        for side in sides:
            self._predict(np.zeros((1, 3, side, side), np.float32))

    def _run(self, faces: Sequence[Face]) -> list[Face]:
        results = list(faces)
        groups: dict[int, list[int]] = {}
        for index, face in enumerate(faces):
            crop = self._before(face)
            if crop is not None:
                groups.setdefault(crop.size, []).append(index)
        for indices in groups.values():
            for part in range(0, len(indices), self._batch):
                self._run_batch(results, indices[part : part + self._batch])
        return results

    def _run_batch(self, faces: list[Face], indices: Sequence[int]) -> None:
        crops = [self._before(faces[index]) for index in indices]
        images = self._predict(np.stack([crop.image for crop in crops if crop is not None]))
        for index, image in zip(indices, images, strict=True):
            faces[index] = self._after(faces[index], image)
