"""Carry on a device: what was added to a face stays there until its next frame."""

from dataclasses import replace

import torch
from torch import Tensor

from crsr_video.imaging import geometry
from crsr_video.stages.carry import TOLERANCE, Carrier, Change
from crsr_video.stages.effort import Effort
from crsr_video.stages.on_device.copies import Copies
from crsr_video.stages.on_device.crops import DeviceCrop, picture
from crsr_video.stages.on_device.operators import area, both, box, cubic, linear
from crsr_video.types import Face


class DeviceCarrier(Carrier):
    """The carry stage; pictures are (3, S, S) on the device."""

    def __init__(self, effort: Effort, ways: Copies) -> None:
        super().__init__(effort)
        self._ways = ways

    @torch.inference_mode()
    def change(self, face: Face) -> Change[Tensor]:
        """What the networks have added to an enhanced face."""
        assert face.crop is not None
        assert face.enhanced is not None
        small, large = picture(face.crop, self._ways), picture(face.enhanced, self._ways)
        return Change(small, large - _enlarged(small, large.shape[-1]))

    @torch.inference_mode()
    def with_change(self, face: Face, before: Change[Tensor]) -> Face:
        """A face that was not enhanced, with what was added to it before."""
        assert face.crop is not None
        small, size = picture(face.crop, self._ways), before.added.shape[-1]
        share = _agreement(small, before.crop, size)
        made = _enlarged(small, size) + share * before.added
        factor = size / face.crop.size
        matrix = geometry.compose(geometry.resize_matrix(factor), face.crop.crop_from_frame)
        return replace(face, enhanced=DeviceCrop(matrix, size, made))


def _enlarged(small: Tensor, size: int) -> Tensor:
    return both(cubic(small.shape[-1], size, small.device), small)


def _agreement(now: Tensor, then: Tensor, size: int) -> Tensor:
    """Share of a change that still holds, (size, size) in [0, 1]."""
    side, device = now.shape[-1], now.device
    if now.shape != then.shape:
        then = both(area(then.shape[-1], side, device), then)
    difference = both(box(side, device), (now - then).abs().amax(0))
    return both(linear(side, size, device), torch.exp(-((difference / TOLERANCE) ** 2)))
