"""Picture operations in torch, for many faces at once.

Resizing or filtering a crop along one axis is linear, so each such operation can be written as a
matrix. OpenCV computes this matrix once, by applying the operation to the identity matrix. The
OpenCV and torch implementations then agree by construction, and the products are float32 on every
device.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.imaging.colour import LUMA_WEIGHTS, rgb_from_codes
from crsr_video.imaging.flow import flows
from crsr_video.imaging.geometry import Matrix, compose, invert
from crsr_video.imaging.operations import Kernel, Operations, SampleRequest, Size
from crsr_video.imaging.resampling import plane_from_frame
from crsr_video.imaging.torch_warping import SampledRegion, reach_of, resampled, shrinking, view
from crsr_video.imaging.transfers import Transfers, transfers_for
from crsr_video.imaging.warping import rim_around
from crsr_video.types import FloatPicture, Frame, PixelLayout, Plane

_FACES_AT_ONCE = 16
"""Largest number of faces in a batch, which is enough to fill a GPU."""

_SAMPLES_AT_ONCE = _FACES_AT_ONCE * 512**2
"""Largest number of samples of one plane in a batch, so that large faces fit into memory."""

_KERNELS = {"cubic": cv2.INTER_CUBIC, "linear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


class TorchOperations(Operations):
    """Operations on torch tensors of one device.

    Args:
        device: Device that holds the pictures.
        transfers: Copies data to and from the device. Defaults to the fastest way for the device.
    """

    joins_faces = True

    def __init__(self, device: torch.device, transfers: Transfers | None = None) -> None:
        self.device = device
        self._transfers = transfers or transfers_for(device)
        self._constants: dict[Hashable, Tensor] = {}

    def batches(self, kinds: Sequence[Hashable], sides: Sequence[int]) -> list[list[int]]:
        """Group pictures of one kind whose sides round up to the same power of two."""
        groups: dict[Hashable, list[int]] = {}
        for index, (kind, side) in enumerate(zip(kinds, sides, strict=True)):
            groups.setdefault((kind, max(side - 1, 1).bit_length()), []).append(index)
        parts = []
        for indices in groups.values():
            bits = max(max(sides[i] for i in indices) - 1, 1).bit_length()
            count = max(1, min(_FACES_AT_ONCE, _SAMPLES_AT_ONCE >> 2 * bits))
            parts += [indices[i : i + count] for i in range(0, len(indices), count)]
        return parts

    def stack(self, pictures: Sequence[Any]) -> Tensor:
        """Upload the pictures that are not on the device yet, and stack them."""
        return torch.stack([torch.as_tensor(p, device=self.device) for p in pictures])

    def as_floats(self, values: Any) -> Tensor:
        """Upload numbers as float32."""
        array = np.asarray(values, np.float32)
        host = self._transfers.host_memory(array.shape, torch.float32)
        host.numpy()[...] = array
        return self._transfers.upload(host)

    def constant(self, make: Callable[..., NDArray[np.float32]], *arguments: Hashable) -> Tensor:
        """Return the result of `make`, which is uploaded at the first call and then cached."""
        key = (make, arguments)
        if key not in self._constants:
            self._constants[key] = torch.from_numpy(make(*arguments)).to(self.device)
        return self._constants[key]

    def fetch(self, values: Sequence[Tensor]) -> NDArray[np.float64]:
        """Download all numbers in one copy."""
        return self._transfers.download(torch.stack(list(values), 1))().astype(np.float64)

    def to_tensor(self, pictures: Tensor) -> Tensor:
        """Return the tensor itself."""
        return pictures

    def from_tensor(self, tensor: Tensor) -> Tensor:
        """Return the tensor as float32."""
        return tensor.float()

    def exponential(self, pictures: Tensor) -> Tensor:
        """Use torch's exponential."""
        return torch.exp(pictures)

    def largest_channel(self, pictures: Tensor) -> Tensor:
        """Use torch's maximum."""
        return pictures.amax(1, keepdim=True)

    def luma(self, pictures: Tensor) -> Tensor:
        """Add up the weighted channels."""
        red, green, blue = LUMA_WEIGHTS
        luma: Tensor = red * pictures[:, :1] + green * pictures[:, 1:2] + blue * pictures[:, 2:]
        return luma

    def mix_channels(self, pictures: Tensor, matrix: NDArray[np.float32]) -> Tensor:
        """Multiply all pixels by the matrix at once."""
        return torch.einsum("ij,njyx->niyx", self.as_floats(matrix), pictures)

    def subtract_into(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Return the difference in new memory."""
        return pictures - others

    def add_product(self, total: Tensor, pictures: Tensor, weights: Tensor) -> Tensor:
        """Return the sum in new memory."""
        return torch.addcmul(total, weights, pictures)

    def add_scaled(self, pictures: Tensor, factors: Sequence[float], others: Tensor) -> Tensor:
        """Multiply `others` by their factors and add them."""
        return torch.addcmul(pictures, self.as_floats(factors)[:, None, None, None], others)

    def sums(self, pictures: Tensor) -> Tensor:
        """Add up in float32."""
        return pictures.sum((1, 2, 3))

    def medians(self, pictures: Tensor, places: Tensor) -> Tensor:
        """Sort the samples; with an even number of samples, take the mean of the middle two."""
        ordered = pictures.flatten(1)[:, places.long()].sort(1).values
        count = ordered.shape[1]
        return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2

    def resize(self, pictures: Tensor, side: int, kernel: Kernel) -> Tensor:
        """Multiply by the matrix of OpenCV's resize."""
        return _along_both(self.constant(_resizing, pictures.shape[-1], side, kernel), pictures)

    def box_blur(self, pictures: Tensor) -> Tensor:
        """Multiply by the matrix of OpenCV's filter."""
        return self.filter(pictures, np.full(3, 1 / 3, np.float32))

    def gaussian_blur(self, pictures: Tensor, deviation: float) -> Tensor:
        """Multiply by the matrix of OpenCV's Gaussian blur."""
        return _along_both(self.constant(_gaussian, pictures.shape[-1], deviation), pictures)

    def filter(self, pictures: Tensor, kernel: NDArray[np.float32]) -> Tensor:
        """Multiply by the matrix of OpenCV's filter."""
        operator = self.constant(_filtering, pictures.shape[-1], tuple(kernel.tolist()))
        return _along_both(operator, pictures)

    def sample(self, requests: Sequence[SampleRequest]) -> list[Tensor]:
        """Upload only the parts of the planes that the crops see, and resample them together."""
        parts = [_seen_parts(frame, transform, side) for frame, transform, side in requests]
        kinds = [(frame.layout, side) for frame, _, side in requests]
        crops: list[Any] = [None] * len(requests)
        for indices in self.batches(kinds, [max(part.longest for part in own) for own in parts]):
            layout, side = kinds[indices[0]]
            made = self._crops([parts[index] for index in indices], layout, side)
            for index, crop in zip(indices, made, strict=True):
                crops[index] = crop
        return crops

    def _crops(self, parts: Sequence[Sequence["_Part"]], layout: PixelLayout, side: int) -> Tensor:
        """Return RGB crops, float32 (N, 3, side, side) in [0, 1], from frames of one layout."""
        codes = []
        for group in zip(*parts, strict=True):
            sizes = [part.planes[0].shape[::-1] for part in group]
            planes = self.planes([part.planes for part in group])
            views = [part.view for part in group]
            codes.append(resampled(planes, sizes, views, (side, side), self.as_floats))
        matrix, black = rgb_from_codes(layout)
        lit = torch.cat(codes, 1) - self.as_floats(black[:, None, None])
        return self.mix_channels(lit, matrix).clamp(0, 1)

    def warp(
        self, layers: Sequence[Tensor], transforms: Sequence[Matrix], sizes: Sequence[Size]
    ) -> list[Tensor]:
        """Resample all layers at once."""
        height, width = layers[0].shape[2:]
        views = [
            view((width, height), transform, max(size), rim=rim_around(transform))
            for transform, size in zip(transforms, sizes, strict=True)
        ]
        target = (max(w for w, _ in sizes), max(h for _, h in sizes))
        joined = torch.cat(list(layers), 1)
        moved = resampled(joined, [(width, height)] * len(views), views, target, self.as_floats)
        return list(torch.split(moved, [layer.shape[1] for layer in layers], 1))

    def flows(self, pictures: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Download the pictures, compute the flow on the CPU, and upload it."""
        both = self._transfers.download(torch.stack([pictures, others]))()
        there, back = flows(*both)
        return self.as_floats(there), self.as_floats(back)

    def displace(self, pictures: Tensor, flow: Tensor) -> Tensor:
        """Interpolate between the four nearest pixels. Without flow, pictures stay as they are.

        Torch's grid sampling would round the positions, and so change pictures that do not move.
        """
        side = pictures.shape[-1]
        pixels = torch.arange(side, device=pictures.device, dtype=torch.float32)
        x = (pixels + side * flow[:, 0]).clamp(0, side - 1)[:, None]
        y = (pixels[:, None] + side * flow[:, 1]).clamp(0, side - 1)[:, None]
        left, top = x.floor(), y.floor()
        right, bottom = ((edge + 1).clamp(max=side - 1) for edge in (left, top))
        flat = pictures.flatten(2)

        def at(row: Tensor, column: Tensor) -> Tensor:
            places = (row * side + column).long().flatten(2).expand(-1, flat.shape[1], -1)
            return flat.gather(2, places).view_as(pictures)

        above, below = (
            torch.lerp(at(row, left), at(row, right), x - left) for row in (top, bottom)
        )
        return torch.lerp(above, below, y - top)

    def mean_displaced(
        self,
        pictures: Tensor,
        others: Sequence[Tensor],
        flows: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> Tensor:
        """Add up and divide."""
        side = pictures.shape[-1]
        total, count = pictures, torch.ones_like(pictures[:, :1])
        for other, flow, weight in zip(others, flows, weights, strict=True):
            shares = self.resize(weight, side, "linear")
            moved = self.displace(other, self.resize(flow, side, "linear"))
            total, count = torch.addcmul(total, shares, moved), count + shares
        return total / count

    def planes(self, planes: Sequence[Sequence[Plane]]) -> Tensor:
        """Upload the planes, padded with arbitrary values to the size of the largest."""
        height, width = (max(own[0].shape[axis] for own in planes) for axis in (0, 1))
        deep = planes[0][0].itemsize == 2
        # Torch has no arithmetic for uint16, so the same bits are copied as int16.
        host = self._transfers.host_memory(
            (len(planes), len(planes[0]), height, width), torch.int16 if deep else torch.uint8
        )
        array = host.numpy().view(np.uint16) if deep else host.numpy()
        for index, own in enumerate(planes):
            for component, plane in enumerate(own):
                array[index, component, : plane.shape[0], : plane.shape[1]] = plane
        codes = self._transfers.upload(host)
        return (codes.to(torch.int32) & 0xFFFF).float() if deep else codes.float()

    def add_to_planes(
        self,
        planes: Sequence[Sequence[Plane]],
        before: Tensor,
        change: Tensor,
        bits: int,
    ) -> Callable[[], None]:
        """Begin the download of the sums, and return a function that writes them to the planes."""
        deep = planes[0][0].itemsize == 2
        whole = (before + change).round().clamp(0, 2**bits - 1)
        if deep:
            coming = self._transfers.download(whole.to(torch.int32).to(torch.int16))
        else:
            coming = self._transfers.download(whole.to(torch.uint8))

        def write() -> None:
            codes = coming().view(np.uint16) if deep else coming()
            for own, sums in zip(planes, codes, strict=True):
                for plane, new in zip(own, sums, strict=True):
                    plane[...] = new[: plane.shape[0], : plane.shape[1]]

        return write

    def low_pass(self, pictures: Tensor, scales: Sequence[float], sizes: Sequence[Size]) -> Tensor:
        """Multiply each picture by the matrices of its low-pass filter."""
        coarse = [min(1.0, 1 / scale) for scale in scales]
        if min(coarse) == 1.0:
            return pictures
        rows, columns = (
            shrinking(
                self.as_floats(
                    [[0.0, 1.0, n[axis], s] for n, s in zip(sizes, coarse, strict=True)]
                ),
                self.as_floats([n[axis] for n in sizes]),
                pictures.shape[3 - axis],
                pictures.shape[3 - axis],
                max(reach_of(s) for s in coarse),
            )
            for axis in (1, 0)
        )
        return rows[:, None] @ pictures @ columns.mT[:, None]

    def cell_means(self, pictures: Tensor, sizes: Sequence[Size], counts: Sequence[Size]) -> Tensor:
        """Multiply each picture by the matrices that average over its cells."""
        rows, columns = (
            self._cell_means(sizes, counts, axis, pictures.shape[3 - axis]) for axis in (1, 0)
        )
        return rows[:, None] @ pictures @ columns.mT[:, None]

    def _cell_means(
        self, sizes: Sequence[Size], counts: Sequence[Size], axis: int, pixels: int
    ) -> Tensor:
        """Return matrices (N, cells, pixels) that average over cells and blur the averages."""
        most = max(few[axis] for few in counts)
        axes = [
            [0.0, many[axis] / few[axis], few[axis], 1.0]
            for many, few in zip(sizes, counts, strict=True)
        ]
        blurs = np.zeros((len(counts), most, most), np.float32)
        for blur, few in zip(blurs, counts, strict=True):
            blur[: few[axis], : few[axis]] = _gaussian(few[axis], 1.0)
        lengths = self.as_floats([many[axis] for many in sizes])
        return self.as_floats(blurs) @ shrinking(self.as_floats(axes), lengths, most, pixels, 0)

    def enlarge_cells(self, cells: Tensor, counts: Sequence[Size], sizes: Sequence[Size]) -> Tensor:
        """Multiply each grid by the matrices of its linear interpolation."""
        rows, columns = (
            _interpolation(
                self.as_floats([few[axis] for few in counts]),
                self.as_floats([many[axis] for many in sizes]),
                cells.shape[3 - axis],
                max(many[axis] for many in sizes),
            )
            for axis in (1, 0)
        )
        return rows[:, None] @ cells @ columns.mT[:, None]


class _Part:
    """The part of the planes on one grid that a crop sees.

    Args:
        planes: The planes, cut to the part that is seen.
        view: How the crop samples the cut planes.
    """

    def __init__(self, planes: tuple[Plane, ...], view: SampledRegion) -> None:
        self.planes, self.view = planes, view
        self.longest = max(planes[0].shape)


def _seen_parts(frame: Frame, crop_from_frame: Matrix, side: int) -> list[_Part]:
    """Return the parts of a frame that a crop sees, one for each grid of its layout."""
    parts = []
    for group in frame.layout.grids:
        crop_from_plane = compose(crop_from_frame, invert(plane_from_frame(frame.layout, group[0])))
        height, width = frame.components[group[0]].shape
        seen = view((width, height), crop_from_plane, side)
        left, top, right, bottom = seen.box
        planes = tuple(frame.components[i][top:bottom, left:right] for i in group)
        own = SampledRegion((0, 0, right - left, bottom - top), seen.cells, seen.target_from_cells)
        parts.append(_Part(planes, own))
    return parts


def _along_both(operator: Tensor, pictures: Tensor) -> Tensor:
    """Apply an operator (M, H) to rows and columns: (..., H, H) to (..., M, M)."""
    return operator @ pictures @ operator.mT


def _resizing(size: int, side: int, kernel: Kernel) -> FloatPicture:
    how = _KERNELS[kernel]
    return _operator(size, lambda eye: cv2.resize(eye, (size, side), interpolation=how))


def _gaussian(size: int, deviation: float) -> FloatPicture:
    reach = round(deviation * 8 + 1) | 1  # OpenCV's default size for float pictures.
    return _operator(size, lambda eye: cv2.GaussianBlur(eye, (1, reach), 1.0, sigmaY=deviation))


def _filtering(size: int, kernel: tuple[float, ...]) -> FloatPicture:
    rows, columns = np.ones(1, np.float32), np.array(kernel, np.float32)
    border = cv2.BORDER_REPLICATE
    return _operator(size, lambda eye: cv2.sepFilter2D(eye, -1, rows, columns, borderType=border))


def _operator(size: int, vertical: Callable[[FloatPicture], FloatPicture]) -> FloatPicture:
    """Return the matrix of a linear map that treats each column separately."""
    return vertical(np.eye(size, dtype=np.float32)).reshape(-1, size)


def _interpolation(few: Tensor, many: Tensor, cells: int, pixels: int) -> Tensor:
    """Return matrices (N, pixels, cells) that enlarge `few` cells linearly to `many` pixels.

    Sample positions and borders are those of OpenCV's linear resize.
    """
    few, many = few[:, None, None], many[:, None, None]
    pixel = torch.arange(pixels, device=few.device, dtype=torch.float32)[:, None]
    cell = torch.arange(cells, device=few.device, dtype=torch.float32)
    place = torch.minimum(((pixel + 0.5) * few / many - 0.5).clamp(min=0), few - 1)
    return (1 - (place - cell).abs()).clamp(min=0)
