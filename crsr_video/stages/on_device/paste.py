"""Paste on a device: only the changed box of each plane goes up, and comes down again.

The arithmetic is that of `paste`: a masked difference in code values, on the planes' own samples.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crsr_video.imaging.colour import codes_from_rgb, rgb_from_codes
from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix, scale_of
from crsr_video.imaging.masks import face_mask, patch
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.imaging.upscaling import enlarge
from crsr_video.stages.on_device.copies import Array, Copies, numbers
from crsr_video.stages.on_device.crops import pictures
from crsr_video.stages.on_device.detail import Missing, missing, within
from crsr_video.stages.on_device.operators import both, cubic
from crsr_video.stages.on_device.planes import batches, brought_down, stacked
from crsr_video.stages.on_device.warping import View, resampled, view
from crsr_video.stages.paste import NEIGHBOURHOODS as CELLS
from crsr_video.stages.paste import Paster, masked, samples
from crsr_video.types import Face, Frame, Patch, PixelLayout, Plane, TrackedFrame


@dataclass(frozen=True)
class _Part:
    """The samples of one group of components that a face may change."""

    planes: tuple[Plane, ...]
    """Views into the frame's own copies: they are written to."""
    view: View
    """Of the crop's masked part, from there."""
    scale: float
    """Samples to a pixel of the crop."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.planes[0].shape
        return width, height


@dataclass(frozen=True)
class _Job:
    """One face to be pasted."""

    face: Face
    place: Patch
    layout: PixelLayout
    parts: tuple[_Part, ...]
    """Of the groups that have samples there; maybe none."""

    @property
    def kind(self) -> Hashable:
        """Jobs of one kind can be done at once."""
        assert self.face.crop is not None
        return self.layout, self.face.crop.size, self.place.size, len(self.parts)

    @property
    def longest(self) -> int:
        """Side of what changes."""
        return max(self.parts[0].size)


class DevicePaster(Paster):
    """The paste stage; faces of frames that come together are pasted together."""

    def __init__(self, ways: Copies, *args: Any) -> None:
        super().__init__(*args)
        self._ways = ways

    def push(self, item: TrackedFrame) -> list[Frame]:
        """The finished frame."""
        return self.push_all([item])

    def push_all(self, items: list[TrackedFrame]) -> list[Frame]:
        """The finished frames."""
        layers: list[list[_Job]] = []
        done = [self._begun(item, layers) for item in items]
        for layer in layers:
            _paste(layer, self._ways)
        return done

    def _begun(self, item: TrackedFrame, layers: list[list[_Job]]) -> Frame:
        """A frame whose planes will be written to, and what is to be done to it."""
        frame = enlarge(item.frame, self._scale, self._upscaler)
        faces = [face for face in item.faces if self._weight(face) > 0]
        if not faces:
            return frame
        pasted = frame.with_components(tuple(plane.copy() for plane in frame.components))
        jobs = [self._job(pasted, face) for face in faces]
        for index, layer in enumerate(_depths([job.place.box for job in jobs])):
            while len(layers) <= layer:
                layers.append([])
            if jobs[index].parts:
                layers[layer].append(jobs[index])
        return replace(pasted, changed=tuple(job.place for job in jobs))

    def _job(self, frame: Frame, face: Face) -> _Job:
        assert face.enhanced is not None
        size = face.enhanced.size
        crop_from_frame = compose(face.enhanced.crop_from_frame, resize_matrix(1 / self._scale))
        place = patch(face.track, frame, crop_from_frame, size, self._weight(face))
        rows, columns = masked(size)
        corner = [[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]
        frame_from_part = compose(invert(crop_from_frame), corner)
        shape = columns.stop - columns.start, rows.stop - rows.start
        parts: list[_Part] = []
        for group in frame.layout.grids:
            part = _part(frame, group, place, frame_from_part, shape)
            if part is None:
                break
            parts.append(part)
        return _Job(face, place, frame.layout, tuple(parts))


def _part(
    frame: Frame,
    group: tuple[int, ...],
    place: Patch,
    frame_from_part: Matrix,
    shape: tuple[int, int],
) -> _Part | None:
    """Where one group of components changes; None: nowhere."""
    where = samples(frame.layout, group[0], place.box)
    planes = tuple(frame.components[i][where] for i in group)
    if planes[0].size == 0:
        return None
    plane_from_part = compose(plane_from_frame(frame.layout, group[0]), frame_from_part)
    here = compose([[1.0, 0.0, -where[1].start], [0.0, 1.0, -where[0].start]], plane_from_part)
    # A rim, since shrinking averages over the edge, and the mask is to be zero beyond.
    rim = 2 * int(np.ceil(2 / min(1.0, scale_of(here))))
    return _Part(planes, view(shape, here, max(planes[0].shape), rim=rim), scale_of(here))


def _depths(boxes: Sequence[tuple[int, int, int, int]]) -> list[int]:
    """How many faces lie one upon the other: each is pasted onto what lies below it."""
    depths: list[int] = []
    for x0, y0, x1, y1 in boxes:
        # Chroma is shared by up to four pixels and lines: faces that touch count as overlapping.
        below = [
            depth
            for depth, (u0, v0, u1, v1) in zip(depths, boxes, strict=False)
            if x0 < u1 + 4 and u0 < x1 + 4 and y0 < v1 + 4 and v0 < y1 + 4
        ]
        depths.append(max(below, default=-1) + 1)
    return depths


@torch.inference_mode()
def _paste(jobs: list[_Job], ways: Copies) -> None:
    """Change the planes of faces that do not overlap."""
    kinds: dict[Hashable, list[_Job]] = defaultdict(list)
    for job in jobs:
        kinds[job.kind].append(job)
    coming: list[tuple[list[_Job], list[Callable[[], Array]]]] = []
    for alike in kinds.values():
        for indices in batches([job.longest for job in alike]):
            batch = [alike[i] for i in indices]
            coming.append((batch, _changed(batch, ways)))
    # What was launched first comes down, and is written, while the device does the rest.
    for batch, groups in coming:
        for group, arrived in enumerate(groups):
            for job, codes in zip(batch, arrived(), strict=True):
                for plane, new in zip(job.parts[group].planes, codes, strict=True):
                    plane[...] = new[: plane.shape[0], : plane.shape[1]]


def _changed(jobs: list[_Job], ways: Copies) -> list[Callable[[], Array]]:
    """New codes of each group's planes, on their way down."""
    layout = jobs[0].layout
    mask, added, seen = _layers(jobs, ways)
    detail = numbers(ways, [job.face.detail for job in jobs])[:, None, None]
    black = numbers(ways, rgb_from_codes(layout)[1][:, None, None])
    goes_in: Missing | None = None
    coming = []
    for group, parts in zip(layout.grids, _by_group(jobs), strict=False):
        chosen, sizes = list(group), [part.size for part in parts]
        planes = stacked([part.planes for part in parts], ways)
        shape = planes.shape[2], planes.shape[3]
        layers = torch.cat([mask, added[:, chosen], seen[:, chosen]], 1)
        share, new, old = _moved(layers, parts, shape, ways)
        scales = [part.scale for part in parts]
        # What of each plane lies beyond the crop, as far as the enhanced picture's band reaches.
        own = within(planes - (old + black[chosen]), sizes, scales, ways)
        if goes_in is None:
            cells = [
                scale * job.place.size / CELLS for scale, job in zip(scales, jobs, strict=True)
            ]
            goes_in = missing(own.mean(1), new.mean(1), detail, sizes, cells, ways)
        lit = goes_in.spread(sizes, shape, ways)[:, None] * new
        change = share * (lit - detail[:, None] * own)
        deep = parts[0].planes[0].itemsize == 2
        coming.append(brought_down(planes + change, layout.bits, deep, ways))
    return coming


def _by_group(jobs: list[_Job]) -> list[list[_Part]]:
    """The parts of all jobs, group by group."""
    return [list(parts) for parts in zip(*(job.parts for job in jobs), strict=True)]


def _layers(jobs: list[_Job], ways: Copies) -> tuple[Tensor, Tensor, Tensor]:
    """Of the part of a crop that matters: its mask, what was added in codes, and what was there."""
    faces, size = [job.face for job in jobs], jobs[0].place.size
    rows, columns = masked(size)
    crops = pictures([face.crop for face in faces if face.crop is not None], ways)
    enhanced = pictures([face.enhanced for face in faces if face.enhanced is not None], ways)
    matrix = numbers(ways, codes_from_rgb(jobs[0].layout))
    small = torch.einsum("ij,njyx->niyx", matrix, crops)
    seen = both(cubic(small.shape[-1], size, small.device), small)[..., rows, columns]
    made = torch.einsum("ij,njyx->niyx", matrix, enhanced[..., rows, columns])
    weights = numbers(ways, [job.place.weight for job in jobs])
    mask = weights[:, None, None, None] * _mask(size, ways.device)
    return mask, made - seen, seen


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _mask(size: int, device: torch.device) -> Tensor:
    """The part of a face's mask that matters."""
    return torch.from_numpy(np.ascontiguousarray(face_mask(size)[masked(size)])).to(device)


def _moved(
    layers: Tensor, parts: Sequence[_Part], shape: tuple[int, int], ways: Copies
) -> tuple[Tensor, Tensor, Tensor]:
    """Mask, what was added and what was there on the planes' samples."""
    count = (layers.shape[1] - 1) // 2
    sizes = [(layers.shape[3], layers.shape[2])] * len(parts)
    views = [part.view for part in parts]
    moved = resampled(layers, sizes, views, (shape[1], shape[0]), ways)
    return (
        moved[:, :1].clamp(min=0),
        moved[:, 1 : 1 + count],
        moved[:, 1 + count :],
    )  # Kernels ring.
