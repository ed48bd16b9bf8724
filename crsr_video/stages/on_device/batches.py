"""The networks' stages on tensors: consistify and super-resolve."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from crsr_video.imaging import geometry
from crsr_video.runtime.batches import BatchStage, Predictor
from crsr_video.stages.on_device.copies import Copies
from crsr_video.stages.on_device.crops import DeviceCrop, pictures
from crsr_video.stages.on_device.operators import area, both, cubic, linear
from crsr_video.stages.superres import TINT_CELLS
from crsr_video.types import Crop, Face, TrackedFrame

_MOST_PIXELS = 64 * 64**2
"""Of crops in one batch: results are sixteen times as large, and memory is bounded."""

Finish = Callable[[list[Face], Tensor], list[Face]]
"""Faces and what the network made of them, (N, 3, S, S), to faces with that in them."""


class DeviceStage(BatchStage):
    """A `BatchStage` whose pictures stay on the device."""

    def __init__(
        self,
        predict: Predictor,
        before: Callable[[Face], Crop | None],
        finish: Finish,
        ways: Copies,
        *,
        batch: int,
        lookahead: int,
    ) -> None:
        super().__init__(predict, before, _unused, batch=batch, lookahead=lookahead)
        self._tensors, self._finish, self._ways = predict.tensors, finish, ways

    def push_all(self, items: list[TrackedFrame]) -> list[TrackedFrame]:
        """Several frames, whose crops go into the same batches."""
        self._waiting.extend(items[:-1])
        return self.push(items[-1])

    def warm(self, sides: Sequence[int]) -> None:
        """Run the network once on nothing, for crops of these sides."""
        for side in sides:
            self._tensors(torch.zeros(1, 3, side, side, device=self._ways.device))

    def _run_batch(self, faces: list[Face], indices: Sequence[int]) -> None:
        crop = self._before(faces[indices[0]])
        most = max(1, _MOST_PIXELS // crop.size**2) if crop is not None else 1
        for first in range(0, len(indices), most):
            self._run_fitting(faces, indices[first : first + most])

    def _run_fitting(self, faces: list[Face], indices: Sequence[int]) -> None:
        """In halves where the device's memory is too small."""
        try:
            return self._run_part(faces, indices)
        except torch.cuda.OutOfMemoryError:
            if len(indices) == 1:
                raise
        half = len(indices) // 2
        self._run_fitting(faces, indices[:half])
        return self._run_fitting(faces, indices[half:])

    @torch.inference_mode()
    def _run_part(self, faces: list[Face], indices: Sequence[int]) -> None:
        taken = [faces[index] for index in indices]
        crops = [crop for face in taken if (crop := self._before(face)) is not None]
        made = self._finish(taken, self._tensors(pictures(crops, self._ways)))
        for index, face in zip(indices, made, strict=True):
            faces[index] = face


def _unused(face: Face, _image: object) -> Face:
    """Results are put in batch by batch, not face by face."""
    return face


def consistify(
    predict: Predictor, ways: Copies, *, batch: int = 1, lookahead: int = 0
) -> DeviceStage:
    """As `consistify.consistify`."""
    return DeviceStage(
        predict,
        lambda face: face.crop if face.fresh else None,
        _with_consistent,
        ways,
        batch=batch,
        lookahead=lookahead,
    )


def super_resolve(predict: Predictor, ways: Copies, *, batch: int = 1) -> DeviceStage:
    """As `superres.super_resolve`; frames that come together go together, none waits."""

    def finish(faces: list[Face], images: Tensor) -> list[Face]:
        crops = [face.crop for face in faces if face.crop is not None]
        made = without_tint(images, pictures(crops, ways))
        return [
            replace(face, enhanced=_enhanced(crop, image))
            for face, crop, image in zip(faces, crops, made, strict=True)
        ]

    return DeviceStage(
        predict, lambda face: face.consistent, finish, ways, batch=batch, lookahead=0
    )


def _with_consistent(faces: list[Face], images: Tensor) -> list[Face]:
    made = []
    for face, image in zip(faces, images.clamp(0, 1), strict=True):
        assert face.crop is not None
        crop = DeviceCrop(face.crop.crop_from_frame, face.crop.size, image)
        made.append(replace(face, consistent=crop))
    return made


def _enhanced(crop: Crop, image: Tensor) -> DeviceCrop:
    side = image.shape[-1]
    matrix = geometry.compose(geometry.resize_matrix(side / crop.size), crop.crop_from_frame)
    return DeviceCrop(matrix, side, image)


def without_tint(images: Tensor, seen: Tensor) -> Tensor:
    """As `superres.without_tint`: (N, 3, S, S) and (N, 3, s, s) to (N, 3, S, S)."""
    large, small, device = images.shape[-1], seen.shape[-1], images.device
    added = images - both(cubic(small, large, device), seen)
    coarse = both(area(large, TINT_CELLS, device), added)
    return images - both(linear(TINT_CELLS, large, device), coarse)
