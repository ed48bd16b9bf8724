"""Paste enhanced faces back into a frame, as a masked change of the frame's own planes.

The change is the difference between the enhanced picture and the frame. Samples outside the mask
keep all their bits, and an identity network changes nothing.

All computations use code values and the planes' own samples. The cost of a face therefore depends
on its size in the frame, and the frame is never resampled.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.colour import codes_from_rgb, rgb_from_codes
from crsr_video.imaging.geometry import Matrix, compose, invert, resize_matrix, scale_of
from crsr_video.imaging.masks import HEADROOM, face_mask, patch, window
from crsr_video.imaging.operations import Operations, Pictures
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.imaging.upscaling import enlarge
from crsr_video.stages.base import Stage
from crsr_video.types import Crop, Face, Frame, Patch, PixelLayout, Plane, TrackedFrame, Upscaler

_CELLS = 32
"""Number of cells per side of the crop. Detail is compared in each cell."""

_LACKING = 0.5
"""If the frame has at most this share of the added detail, all of the detail is added. If the frame
has all of it, nothing is added. In between, the amount falls linearly."""

_FAINT = 1e-4
"""Power, in code values, below which added detail counts as none."""

_MARGIN_PX = 4
"""Margin around the mask in pixels of the crop, which is twice the reach of the filters."""

_CHROMA_REACH = 4
"""Number of pixels that share a chroma sample of 4:1:1 video. Faces that are closer than this count
as overlapping."""


@dataclass(frozen=True)
class _Region:
    """The samples that a face may change, of components that lie on one grid."""

    planes: tuple[Plane, ...]
    """Views into the frame's own copies, which are written to."""
    region_from_part: Matrix
    """2x3 matrix from the masked part of the crop to these samples."""
    scale: float
    """Samples per pixel of the crop."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.planes[0].shape
        return width, height


@dataclass(frozen=True)
class _Job:
    """One face to be pasted into one frame."""

    face: Face
    place: Patch
    layout: PixelLayout
    regions: tuple[_Region, ...]
    """One region for each grid of components that has samples in the patch."""

    @property
    def kind(self) -> Hashable:
        """Properties that jobs must share to be computed together."""
        assert self.face.crop is not None
        part = None if self.face.head is None else (self.face.head.window, self.picture.headroom)
        return self.layout, self.face.crop.size, self.picture.size, len(self.regions), part

    @property
    def picture(self) -> Crop:
        """The enhanced crop."""
        assert self.face.enhanced is not None
        return self.face.enhanced

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the enhanced crop that contain the mask, and a few more."""
        if self.face.head is None:
            return masked_part(self.picture.size)
        return window(self.picture.size, self.face.head.window, self.picture.headroom)


class BackgroundTreatment(Protocol):
    """Treats the background of consecutive frames."""

    def treat(self, source: Frame, pasted: Frame) -> Frame:
        """Return the finished frame.

        Args:
            source: The frame as it was decoded.
            pasted: The frame at its final size, with its faces.
        """
        ...

    def reset(self) -> None:
        """Forget the frames before."""
        ...


class Paster(Stage[TrackedFrame, Frame]):
    """Pastes the faces of all frames that arrive together in common batches.

    Args:
        operations: Picture operations on the device in use.
        strength: Share of the correction that is applied, 0 to 1.
        scale: Enlargement of the whole frame, 1, 2 or 4.
        upscaler: Method that enlarges the background; see `upscaling`.
        background: Treats the background. By default, it stays as it is.
    """

    def __init__(
        self,
        operations: Operations,
        strength: float = 1.0,
        scale: int = 1,
        upscaler: str | Upscaler = "lanczos",
        background: BackgroundTreatment | None = None,
    ) -> None:
        self._operations = operations
        self._strength = strength
        self._scale = scale
        self._upscaler = upscaler
        self._background = background

    def reset(self) -> None:
        """Forget the frames before."""
        if self._background is not None:
            self._background.reset()

    def set_strength(self, strength: float) -> None:
        """Apply this share of the correction from the next frame on."""
        self._strength = strength

    def push(self, item: TrackedFrame) -> list[Frame]:
        """Return the finished frame."""
        return self.push_all([item])

    def push_all(self, items: Sequence[TrackedFrame]) -> list[Frame]:
        """Return the finished frames."""
        layers: list[list[_Job]] = []
        done = [self._begin(item, layers) for item in items]
        for layer in layers:
            _paste(layer, self._operations)
        treatment = self._background
        if treatment is None:
            return done
        return [treatment.treat(item.frame, frame) for item, frame in zip(items, done, strict=True)]

    def _begin(self, item: TrackedFrame, layers: list[list[_Job]]) -> Frame:
        """Return a frame whose planes will be written to, and add its faces to the layers."""
        frame = enlarge(item.frame, self._scale, self._upscaler)
        faces = [face for face in item.faces if self._weight(face) > 0]
        if not faces:
            return frame
        planes = frame.components
        if not frame.is_temporary:
            planes = tuple(plane.copy() for plane in planes)
        pasted = frame.with_components(planes)
        jobs = [self._job(pasted, face) for face in faces]
        for job, layer in zip(jobs, _layers([job.place.box for job in jobs]), strict=True):
            while len(layers) <= layer:
                layers.append([])
            if job.regions:
                layers[layer].append(job)
        return replace(pasted, changed=tuple(job.place for job in jobs))

    def _weight(self, face: Face) -> float:
        if face.enhanced is None or face.skipped is not None:
            return 0.0
        return self._strength * face.strength * face.presence

    def _job(self, frame: Frame, face: Face) -> _Job:
        assert face.enhanced is not None
        crop_from_frame, canonical_from_frame = (
            compose(crop.crop_from_frame, resize_matrix(1 / self._scale))
            for crop in (face.enhanced, face.enhanced.canonical)
        )
        shares, size = None if face.head is None else face.head.shares, face.enhanced.canonical.size
        place = patch(face.track, frame, canonical_from_frame, size, self._weight(face), shares)
        job = _Job(face, place, frame.layout, ())
        rows, columns = job.part
        corner = [[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]
        frame_from_part = compose(invert(crop_from_frame), corner)
        regions: list[_Region] = []
        for group in frame.layout.grids:
            where = samples_in(frame.layout, group[0], place.box)
            planes = tuple(frame.components[i][where] for i in group)
            if planes[0].size == 0:
                break
            plane_from_part = compose(plane_from_frame(frame.layout, group[0]), frame_from_part)
            start = [[1.0, 0.0, -where[1].start], [0.0, 1.0, -where[0].start]]
            region_from_part = compose(start, plane_from_part)
            regions.append(_Region(planes, region_from_part, scale_of(region_from_part)))
        return replace(job, regions=tuple(regions))


def _layers(boxes: Sequence[tuple[int, int, int, int]]) -> list[int]:
    """Return the layer of each face, which is above those of all earlier faces that it overlaps."""
    depths: list[int] = []
    for x0, y0, x1, y1 in boxes:
        below = [
            depth
            for depth, (u0, v0, u1, v1) in zip(depths, boxes, strict=False)
            if x0 < u1 + _CHROMA_REACH
            and u0 < x1 + _CHROMA_REACH
            and y0 < v1 + _CHROMA_REACH
            and v0 < y1 + _CHROMA_REACH
        ]
        depths.append(max(below, default=-1) + 1)
    return depths


def _paste(jobs: Sequence[_Job], operations: Operations) -> None:
    """Change the planes of faces that do not overlap."""
    kinds = [job.kind for job in jobs]
    finish: list[Callable[[], None]] = []
    for indices in operations.batches(kinds, [max(job.regions[0].size) for job in jobs]):
        finish += _change_planes([jobs[index] for index in indices], operations)
    # The first results are written while a device computes the rest.
    for write in finish:
        write()


def _change_planes(jobs: Sequence[_Job], operations: Operations) -> list[Callable[[], None]]:
    """Compute the changes of faces of one kind, and return functions that write them."""
    layout, size = jobs[0].layout, jobs[0].place.size
    details = [job.face.detail for job in jobs]
    mask, added, seen = _part_pictures(jobs, operations)
    black = operations.as_floats(rgb_from_codes(layout)[1][:, None, None])
    missing: Pictures | None = None
    counts: list[tuple[int, int]] = []
    finish = []
    for group, regions in zip(
        layout.grids, zip(*(job.regions for job in jobs), strict=True), strict=False
    ):
        channels = slice(group[0], group[-1] + 1)
        sizes = [region.size for region in regions]
        scales = [region.scale for region in regions]
        looks_beyond = missing is None or any(details)
        layers = [mask, added[:, channels], *([seen[:, channels]] if looks_beyond else [])]
        share, new, *rest = operations.warp(layers, [r.region_from_part for r in regions], sizes)
        planes = operations.planes([region.planes for region in regions])
        own: Pictures | None = None
        if looks_beyond:
            # The detail of each plane beyond the crop's band, up to that of the enhanced picture.
            own = operations.low_pass(planes - (rest[0] + black[channels]), scales, sizes)
        if missing is None:
            assert own is not None
            counts = [_cell_counts(region.size, region.scale * size / _CELLS) for region in regions]
            present = _present(
                own.mean(axis=1, keepdims=True),
                new.mean(axis=1, keepdims=True),
                sizes,
                counts,
                operations,
            )
            kept = operations.as_floats([1.0 - detail for detail in details])
            held_back = ((present - _LACKING) / (1.0 - _LACKING)).clip(0.0, 1.0)
            missing = 1.0 - kept[:, None, None, None] * held_back
        change = operations.enlarge_cells(missing, counts, sizes) * new
        if own is not None:
            change = operations.add_scaled(change, [-detail for detail in details], own)
        finish.append(
            operations.add_to_planes(
                [r.planes for r in regions], planes, share.clip(0.0) * change, layout.bits
            )
        )
    return finish


def _part_pictures(
    jobs: Sequence[_Job], operations: Operations
) -> tuple[Pictures, Pictures, Pictures]:
    """Return the mask, the added detail and the enlarged input, in the masked part of the crops.

    The added detail and the input are code values minus those of black. The input is the bicubic
    enlargement of the crop, which is the part of the frame that the networks replace.
    """
    size = jobs[0].picture.size
    rows, columns = jobs[0].part
    matrix = codes_from_rgb(jobs[0].layout)
    crops = operations.stack([job.face.crop.image for job in jobs if job.face.crop is not None])
    enhanced = operations.stack([job.picture.image for job in jobs])
    small = operations.mix_channels(crops, matrix)
    seen = operations.resize(small, size, "cubic")[..., rows, columns]
    made = operations.mix_channels(enhanced[..., rows, columns], matrix)
    weights = operations.as_floats([job.place.weight for job in jobs])[:, None, None, None]
    if jobs[0].face.head is None:
        mask = operations.constant(_part_mask, size)
    else:
        heads = [job.face.head.shares for job in jobs if job.face.head is not None]
        cells = operations.stack([_in_crop(shares, jobs[0].picture)[None] for shares in heads])
        mask = operations.resize(cells, size, "linear")[..., rows, columns]
    return weights * mask, made - seen, seen


def _in_crop(shares: NDArray[np.float32], crop: Crop) -> NDArray[np.float32]:
    """Return the cells of a head's mask that lie in a crop with or without headroom."""
    if crop.headroom:
        return shares
    above = len(shares) // (HEADROOM + 1)
    return shares[above:, above // 2 : len(shares) - above // 2]


@lru_cache(maxsize=8)
def masked_part(size: int) -> tuple[slice, slice]:
    """Return the rows and columns of a crop that contain its mask, and a few more."""
    mask = face_mask(size)
    shown = [np.flatnonzero(mask.max(axis)) for axis in (1, 0)]
    rows, columns = (
        slice(max(0, int(at[0]) - _MARGIN_PX), min(size, int(at[-1]) + _MARGIN_PX + 1))
        for at in shown
    )
    return rows, columns


@lru_cache(maxsize=8)
def _part_mask(size: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(face_mask(size)[masked_part(size)])


def samples_in(
    layout: PixelLayout, component: int, box: tuple[int, int, int, int]
) -> tuple[slice, slice]:
    """Return the rows and columns of the samples of a component that lie in a box of the frame."""
    x, y = (layout.x_shift, layout.y_shift) if component else (0, 0)
    x0, y0, x1, y1 = box
    return slice(-(-y0 >> y), -(-y1 >> y)), slice(-(-x0 >> x), -(-x1 >> x))


def _cell_counts(size: tuple[int, int], cell: float) -> tuple[int, int]:
    """Return the columns and rows of cells for a picture, each about `cell` pixels wide."""
    width, height = size
    return max(1, round(width / cell)), max(1, round(height / cell))


def _present(
    own: Pictures,
    added: Pictures,
    sizes: Sequence[tuple[int, int]],
    counts: Sequence[tuple[int, int]],
    operations: Operations,
) -> Pictures:
    """Return the share of the added detail that the frame already has, in [0, 1], for each cell.

    The frame may have detail of its own beyond the crop's frequency band. Where the networks found
    the same detail, it must not be added again. In each cell, the share is the least-squares factor
    by which `added` explains `own`.
    """
    shared, power = (operations.cell_means(x * added, sizes, counts) for x in (own, added))
    return (shared / (power + _FAINT)).clip(0.0, 1.0)
