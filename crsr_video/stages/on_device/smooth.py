"""Average faces over time, many at once."""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import Tensor

from crsr_video.stages.on_device.copies import Copies, numbers
from crsr_video.stages.on_device.crops import DeviceCrop, Orders, pictures
from crsr_video.stages.on_device.operators import both, box, linear
from crsr_video.stages.on_device.planes import MOST
from crsr_video.stages.smooth import TOLERANCE
from crsr_video.types import Crop, Face

_Job = tuple[Face, list[Face]]


class Averager:
    """Averages faces: for `Smoother`, in place of `smooth.smooth_face`.

    The picture is made when it is looked at, together with all that were asked for until then.
    """

    def __init__(self, ways: Copies) -> None:
        self._ways = ways
        self._orders: Orders[_Job] = Orders(self._make)

    def __call__(self, face: Face, others: list[Face]) -> Face:
        """The face with its enhanced picture averaged with those of `others` where they agree."""
        if not others or face.enhanced is None:
            return face
        was = face.enhanced
        crop = self._orders.crop(was.crop_from_frame, was.size, (face, others))
        return replace(face, enhanced=crop)

    @torch.inference_mode()
    def _make(self, orders: list[tuple[DeviceCrop, _Job]]) -> None:
        kinds: dict[Hashable, list[tuple[DeviceCrop, _Job]]] = defaultdict(list)
        for crop, (face, others) in orders:
            kinds[crop.size, _consistent(face).size].append((crop, (face, others)))
        for alike in kinds.values():
            for first in range(0, len(alike), MOST):
                crops, jobs = zip(*alike[first : first + MOST], strict=True)
                for crop, picture in zip(crops, _averaged(jobs, self._ways), strict=True):
                    crop.fill(picture)


def _averaged(jobs: tuple[_Job, ...], ways: Copies) -> Tensor:
    """Sums in the order of the neighbours, so that the result is the same every time."""
    total = pictures([_enhanced(face) for face, _ in jobs], ways)
    here = pictures([_consistent(face) for face, _ in jobs], ways)
    weights = torch.ones_like(total[:, :1])
    for turn in range(max(len(others) for _, others in jobs)):
        # A face with fewer neighbours is compared with itself, which counts nothing.
        others = [others[turn] if turn < len(others) else face for face, others in jobs]
        counts = [float(turn < len(others)) for _, others in jobs]
        there = pictures([_consistent(other) for other in others], ways)
        weight = _agreement(here, there, total.shape[-1])
        weight = weight * numbers(ways, counts)[:, None, None, None]
        total = total + weight * pictures([_enhanced(other) for other in others], ways)
        weights = weights + weight
    return total / weights


def _agreement(here: Tensor, there: Tensor, size: int) -> Tensor:
    """(N, 1, size, size) in [0, 1], as `smooth` has it."""
    small, device = here.shape[-1], here.device
    difference = (here - there).abs().amax(1, keepdim=True)
    difference = both(box(small, device), difference)
    weight = torch.exp(-((difference / TOLERANCE) ** 2))
    return both(linear(small, size, device), weight)


def _enhanced(face: Face) -> Crop:
    assert face.enhanced is not None
    return face.enhanced


def _consistent(face: Face) -> Crop:
    assert face.consistent is not None
    return face.consistent
