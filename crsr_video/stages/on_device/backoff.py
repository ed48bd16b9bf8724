"""Back off on a device: the same decisions, from comparisons that are made many at once."""

from collections import defaultdict
from collections.abc import Hashable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from crsr_video.imaging.likeness import (
    CELLS,
    COARSE,
    DETAIL,
    FINE,
    LUMA,
    NOISE_TOLERANCE,
    Comparison,
    structure_weights,
)
from crsr_video.imaging.masks import face_mask
from crsr_video.stages.backoff import BackOff
from crsr_video.stages.on_device.copies import Copies
from crsr_video.stages.on_device.crops import pictures
from crsr_video.stages.on_device.operators import area, both, enlarged_and_shrunk, gaussian
from crsr_video.stages.on_device.planes import MOST
from crsr_video.types import Crop, Face, TrackedFrame


class DeviceBackOff(BackOff):
    """The back-off stage, told of all faces of several frames in one piece."""

    def __init__(self, ways: Copies) -> None:
        super().__init__(self._found_for)
        self._ways = ways
        self._found: dict[int, Comparison] = {}

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """One frame."""
        return self.push_all([item])

    def push_all(self, items: list[TrackedFrame]) -> list[TrackedFrame]:
        """Several frames."""
        faces = [face for item in items for face in item.faces]
        self._found = comparisons(faces, self._ways)
        return [done for item in items for done in super(DeviceBackOff, self).push(item)]

    def _found_for(self, face: Face) -> Comparison | None:
        return self._found.get(id(face))


@torch.inference_mode()
def comparisons(faces: list[Face], ways: Copies) -> dict[int, Comparison]:
    """What `likeness.compare` finds, by the face's `id`; only faces that were enhanced have one."""
    kinds: dict[Hashable, list[tuple[int, Crop, Crop]]] = defaultdict(list)
    for face in faces:
        if face.crop is not None and face.enhanced is not None and face.skipped is None:
            size = face.crop.size, face.enhanced.size
            kinds[size].append((id(face), face.crop, face.enhanced))
    names: list[int] = []
    sums = []
    for alike in kinds.values():
        for first in range(0, len(alike), MOST):
            keys, crops, enhanced = zip(*alike[first : first + MOST], strict=True)
            names += keys
            sums.append(_sums(pictures(crops, ways), pictures(enhanced, ways)))
    if not names:
        return {}
    figures = ways.down(torch.cat(sums))().tolist()
    return {name: Comparison(*row) for name, row in zip(names, figures, strict=True)}


def _sums(crops: Tensor, enhanced: Tensor) -> Tensor:
    """The fields of `Comparison`, (N, 5)."""
    device, size, large = crops.device, crops.shape[-1], enhanced.shape[-1]
    seen = both(enlarged_and_shrunk(size, large // size, device), _luma(crops))
    made = both(area(large, size, device), _luma(enhanced))
    cells = min(size, CELLS)
    a, b = (_structure(both(area(size, cells, device), x)) for x in (seen, made))
    weights, mask, inside = _weights(cells, size, device)
    fine, fine_made = (x - both(gaussian(size, DETAIL, device), x) for x in (seen, made))
    # Detail sits on few pixels, noise on all: the median tells the noise.
    ordered = fine.abs().flatten(1)[:, inside].sort(1).values
    noise = 1.4826 * (ordered[:, (len(inside) - 1) // 2] + ordered[:, len(inside) // 2]) / 2
    seen_detail = (mask * fine**2).sum((1, 2)) - NOISE_TOLERANCE * noise**2
    products = [(weights * x * y).sum((1, 2)) for x, y in ((a, a), (b, b), (a, b))]
    made_detail = (mask * fine_made**2).sum((1, 2))
    return torch.stack([*products, seen_detail.clamp(min=0), made_detail], 1)


def _luma(images: Tensor) -> Tensor:
    """(N, 3, S, S) to (N, S, S)."""
    r, g, b = LUMA.tolist()
    luma: Tensor = r * images[:, 0] + g * images[:, 1] + b * images[:, 2]
    return luma


def _structure(pictures: Tensor) -> Tensor:
    side, device = pictures.shape[-1], pictures.device
    fine, coarse = (gaussian(side, side * share, device) for share in (FINE, COARSE))
    return both(fine, pictures) - both(coarse, pictures)


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)
def _weights(cells: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of structure, of detail, and which pixels of a crop lie in its mask."""
    mask = face_mask(size)
    inside = torch.from_numpy(np.flatnonzero(mask > 0))
    share = torch.from_numpy(mask / mask.sum())
    weights = torch.from_numpy(structure_weights(cells))
    return weights.to(device), share.to(device), inside.to(device)
