"""Picture operations with NumPy and OpenCV, one face at a time.

A picture may be planar or interleaved in memory. The two layouts are not unified, because OpenCV
rounds the last bit of a cubic resize differently for them, and results must not change from release
to release.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from crsr_video.imaging.colour import LUMA_WEIGHTS
from crsr_video.imaging.flow import flows
from crsr_video.imaging.geometry import Matrix, compose
from crsr_video.imaging.operations import Kernel, Operations, SampleRequest, Size
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.warping import antialias_kernel, rim_around, warp
from crsr_video.types import FloatPicture, Plane

_KERNELS = {"cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}

_LUMA = np.array(LUMA_WEIGHTS, np.float32)

_CHANNELS = 4
"""Maximum number of channels that OpenCV's filters process at once."""


class NumpyOperations(Operations):
    """Operations on NumPy arrays. A batch holds one picture."""

    joins_faces = False

    def batches(self, kinds: Sequence[Hashable], sides: Sequence[int]) -> list[list[int]]:
        """Put every picture into a batch of its own."""
        del sides
        return [[index] for index in range(len(kinds))]

    def stack(self, pictures: Sequence[FloatPicture]) -> FloatPicture:
        """Join pictures of one size; a single one is not copied."""
        return _joined(pictures)

    def as_floats(self, values: Any) -> FloatPicture:
        """Return numbers as float32."""
        return np.asarray(values, np.float32)

    def constant(
        self, make: Callable[..., NDArray[np.float32]], *arguments: Hashable
    ) -> FloatPicture:
        """Call `make`, and return its result."""
        return make(*arguments)

    def fetch(self, values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the numbers as columns."""
        return np.stack(values, 1).astype(np.float64)

    def to_tensor(self, pictures: FloatPicture) -> torch.Tensor:
        """Return a tensor that shares the memory."""
        return torch.from_numpy(pictures)

    def from_tensor(self, tensor: torch.Tensor) -> FloatPicture:
        """Copy to the processor where necessary."""
        pictures: FloatPicture = tensor.float().cpu().contiguous().numpy()
        return pictures

    def exponential(self, pictures: FloatPicture) -> FloatPicture:
        """Use NumPy's exponential."""
        return np.exp(pictures, dtype=np.float32)

    def largest_channel(self, pictures: FloatPicture) -> FloatPicture:
        """Use NumPy's maximum."""
        largest: FloatPicture = pictures.max(axis=1, keepdims=True)
        return largest

    def luma(self, pictures: FloatPicture) -> FloatPicture:
        """Multiply by the luma weights, and add up the channels."""
        return _joined([np.tensordot(_LUMA, picture, 1)[None] for picture in pictures])

    def mix_channels(self, pictures: FloatPicture, matrix: NDArray[np.float32]) -> FloatPicture:
        """Use OpenCV's transform; the result is interleaved in memory."""
        # NumPy's matrix product would wake threads that spin for long after it.
        height, width = pictures.shape[2:]
        mixed = [cv2.transform(cv2.merge(list(picture)), matrix) for picture in pictures]
        return _joined(mixed).reshape(-1, height, width, len(matrix)).transpose(0, 3, 1, 2)

    def subtract_into(self, pictures: FloatPicture, others: FloatPicture) -> FloatPicture:
        """Overwrite `others`."""
        return np.subtract(pictures, others, out=others)

    def add_product(
        self, total: FloatPicture, pictures: FloatPicture, weights: FloatPicture
    ) -> FloatPicture:
        """Overwrite `total`, in one pass over each channel."""
        for picture, weight, result in zip(pictures, weights, total, strict=True):
            for source, target in zip(picture, result, strict=True):
                cv2.accumulateProduct(source, weight[0], target)
        return total

    def add_scaled(
        self, pictures: FloatPicture, factors: Sequence[float], others: FloatPicture
    ) -> FloatPicture:
        """Use OpenCV's `scaleAdd`, which multiplies and adds in one pass."""
        done = np.empty_like(pictures)
        for index, factor in enumerate(factors):
            for one, other, result in zip(pictures[index], others[index], done[index], strict=True):
                cv2.scaleAdd(other, factor, one, dst=result)
        return done

    def sums(self, pictures: FloatPicture) -> NDArray[np.float64]:
        """Add up in float32, as each picture lies in memory."""
        return np.array([float(picture.sum()) for picture in pictures])

    def medians(self, pictures: FloatPicture, places: FloatPicture) -> NDArray[np.float64]:
        """Use NumPy's median."""
        chosen = places.astype(np.intp)
        return np.array([float(np.median(picture.ravel()[chosen])) for picture in pictures])

    def resize(self, pictures: FloatPicture, side: int, kernel: Kernel) -> FloatPicture:
        """Use OpenCV's resize."""
        how = _KERNELS[kernel]
        return _each(
            pictures,
            side,
            lambda source, result: cv2.resize(source, (side, side), result, 0, 0, how),
        )

    def box_blur(self, pictures: FloatPicture) -> FloatPicture:
        """Use OpenCV's blur."""
        return _each(
            pictures,
            pictures.shape[-1],
            lambda source, result: cv2.blur(
                source, (3, 3), result, borderType=cv2.BORDER_REPLICATE
            ),
        )

    def gaussian_blur(self, pictures: FloatPicture, deviation: float) -> FloatPicture:
        """Use OpenCV's Gaussian, with the kernel size that it chooses."""
        return _each(
            pictures,
            pictures.shape[-1],
            lambda source, result: cv2.GaussianBlur(source, (0, 0), deviation, result),
        )

    def filter(self, pictures: FloatPicture, kernel: NDArray[np.float32]) -> FloatPicture:
        """Use OpenCV's separable filter."""
        return _each(
            pictures,
            pictures.shape[-1],
            lambda source, result: cv2.sepFilter2D(
                source, -1, kernel, kernel, result, borderType=cv2.BORDER_REPLICATE
            ),
        )

    def sample(self, requests: Sequence[SampleRequest]) -> list[FloatPicture]:
        """Resample the frame's planes and convert the result to RGB."""
        crops = []
        for frame, crop_from_frame, side in requests:
            image = np.clip(sample(frame, crop_from_frame, side, side), 0, 1)
            crops.append(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return crops

    def warp(
        self,
        layers: Sequence[FloatPicture],
        transforms: Sequence[Matrix],
        sizes: Sequence[Size],
    ) -> list[FloatPicture]:
        """Warp as many channels at once as OpenCV can."""
        (target_from_layers,), ((width, height),) = transforms, sizes
        rim = rim_around(target_from_layers)
        target_from_framed = compose(target_from_layers, [[1.0, 0.0, -rim], [0.0, 1.0, -rim]])
        channels = [np.ascontiguousarray(c) for layer in layers for c in layer[0]]
        moved: list[FloatPicture] = []
        for first in range(0, len(channels), _CHANNELS):
            stack = cv2.merge(channels[first : first + _CHANNELS])
            framed = cv2.copyMakeBorder(stack, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
            moved += cv2.split(warp(framed, target_from_framed, width, height))
        done = iter(moved)
        return [_joined([next(done) for _ in layer[0]])[None] for layer in layers]

    def flows(
        self, pictures: FloatPicture, others: FloatPicture
    ) -> tuple[FloatPicture, FloatPicture]:
        """Run the search on the processor before returning."""
        return flows(pictures, others)

    def displace(self, pictures: FloatPicture, flow: FloatPicture) -> FloatPicture:
        """Use OpenCV's remap, channel by channel."""
        moved = np.empty(pictures.shape, np.float32)
        for picture, vectors, result in zip(pictures, flow, moved, strict=True):
            places = _displaced(vectors, pictures.shape[-1])
            for source, target in zip(picture, result, strict=True):
                cv2.remap(source, *places, cv2.INTER_LINEAR, target, cv2.BORDER_REPLICATE)
        return moved

    def mean_displaced(
        self,
        pictures: FloatPicture,
        others: Sequence[FloatPicture],
        flows: Sequence[FloatPicture],
        weights: Sequence[FloatPicture],
    ) -> FloatPicture:
        """Interleave the channels, because OpenCV processes four of them at once."""
        side = pictures.shape[-1]
        ones = np.ones((side, side), np.float32)
        done = np.empty(pictures.shape, np.float32)
        for index, (picture, mean) in enumerate(zip(pictures, done, strict=True)):
            total = cv2.merge([*picture, ones])  # The fourth channel becomes the sum of weights.
            for other, flow, weight in zip(others, flows, weights, strict=True):
                vectors = [cv2.resize(vector, (side, side)) for vector in flow[index]]
                moved = cv2.remap(
                    cv2.merge([*other[index], ones]),
                    *_displaced(vectors, side),
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                )
                shares = cv2.merge([weight[index, 0]] * _CHANNELS)
                cv2.accumulateProduct(moved, cv2.resize(shares, (side, side)), total)
            *sums, count = cv2.split(total)
            for channel, result in zip(sums, mean, strict=True):
                cv2.divide(channel, count, result)
        return done

    def planes(self, planes: Sequence[Sequence[Plane]]) -> FloatPicture:
        """Convert to float32."""
        return _joined([_joined(own).astype(np.float32) for own in planes])

    def add_to_planes(
        self,
        planes: Sequence[Sequence[Plane]],
        before: FloatPicture,
        change: FloatPicture,
        bits: int,
    ) -> Callable[[], None]:
        """Write to the planes before returning. The returned function does nothing."""
        del before
        top = 2**bits - 1
        for own, changes in zip(planes, change, strict=True):
            for plane, added in zip(own, changes, strict=True):
                depth = cv2.CV_8U if plane.itemsize == 1 else cv2.CV_16U
                changed = cv2.add(np.ascontiguousarray(plane), added, dtype=depth)
                plane[...] = np.minimum(changed, top)
        return _nothing

    def low_pass(
        self, pictures: FloatPicture, scales: Sequence[float], sizes: Sequence[Size]
    ) -> FloatPicture:
        """Filter with the kernel that antialiases before shrinking."""
        del sizes
        (scale,) = scales
        if scale <= 1:
            return pictures
        kernel = antialias_kernel(1 / scale)
        done = np.empty_like(pictures)
        for source, result in zip(pictures[0], done[0], strict=True):
            cv2.sepFilter2D(source, -1, kernel, kernel, result, borderType=cv2.BORDER_REPLICATE)
        return done

    def cell_means(
        self, pictures: FloatPicture, sizes: Sequence[Size], counts: Sequence[Size]
    ) -> FloatPicture:
        """Resize by area and blur."""
        del sizes
        coarse = cv2.resize(pictures[0, 0], counts[0], interpolation=cv2.INTER_AREA)
        means: FloatPicture = cv2.GaussianBlur(coarse, (0, 0), 1.0).reshape(coarse.shape)
        return means[None, None]

    def enlarge_cells(
        self, cells: FloatPicture, counts: Sequence[Size], sizes: Sequence[Size]
    ) -> FloatPicture:
        """Resize linearly."""
        del counts
        large: FloatPicture = cv2.resize(cells[0, 0], sizes[0], interpolation=cv2.INTER_LINEAR)
        return large[None, None]


def _each(
    pictures: FloatPicture, side: int, operation: Callable[[FloatPicture, FloatPicture], Any]
) -> FloatPicture:
    """Apply an OpenCV function to every picture, in the memory layout that it has."""
    count, channels = pictures.shape[:2]
    if pictures.strides[-1] == pictures.itemsize:
        planar = np.empty((count, channels, side, side), np.float32)
        for picture, result in zip(pictures, planar, strict=True):
            for source, target in zip(picture, result, strict=True):
                operation(source, target)
        return planar
    interleaved = np.empty((count, side, side, channels), np.float32)
    for source, target in zip(pictures.transpose(0, 2, 3, 1), interleaved, strict=True):
        operation(source, target)
    return interleaved.transpose(0, 3, 1, 2)


def _displaced(vectors: Sequence[FloatPicture], side: int) -> tuple[FloatPicture, FloatPicture]:
    """Return the columns and the rows to which vectors point from the pixels of a picture."""
    rows, columns = _places(side)
    x, y = vectors
    return cv2.scaleAdd(x, side, columns), cv2.scaleAdd(y, side, rows)


@lru_cache(maxsize=8)
def _places(side: int) -> tuple[FloatPicture, FloatPicture]:
    rows, columns = np.indices((side, side), np.float32)
    return rows, columns


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack arrays; a single one is not copied."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _nothing() -> None:
    """Do nothing, because `add_to_planes` has already written the planes."""
