"""Faces as cameras film them, each at its own size and place in a square cell.

For a video codec, the cells of a batch are tiles of one frame, so that one call encodes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.training.degradations import Degradation
from crsr_video.training.optics import (
    BLACK_SLOPE,
    WHITE_SLOPE,
    Grid,
    add_noise,
    codes_from_light,
    exposed,
    light_from_codes,
    resampled,
)

_MARGIN_PX = 6
"""Minimum distance in native pixels of a face from the edge of its cell. Deblocking reaches 3
pixels."""
_BLOCK_PX = 16
"""Side of a macroblock. Cells begin on the grid of macroblocks, but faces lie anywhere in them."""
_FACE = (0.53, 0.5, 0.40, 0.32)
"""Centre (y, x) and half axes of an oval around a canonical face, as fractions of the crop."""
_EDGE = 12.0
"""Steepness of the oval's edge."""


@dataclass(frozen=True)
class FilmedFaces:
    """Geometry and exposure of N clips of F frames. Lengths are in native pixels unless stated."""

    size: int
    """Input size T of the network."""
    cell: int
    """Side c of a cell."""
    native: Tensor
    """Sides of the faces, (N,)."""
    origin: Tensor
    """Position (y, x) of the first pixel of each crop in its cell, (N, F, 2)."""
    defocus: Tensor
    """Standard deviations of the lens blur in HR pixels, (N,)."""
    blur_path: Tensor
    """Motion blur along y and x in HR pixels, (N, F, 2)."""
    bend: Tensor
    """Sagitta of the path of the motion blur, relative to its length, (N,)."""
    noise: Tensor
    """Read and shot noise, relative to white, (N, 2)."""
    is_linear: Tensor
    """Whether blur and noise act on linear light, (N,)."""

    def expose(self, hr: Tensor) -> Tensor:
        """Apply lens, shutter and sensor.

        Args:
            hr: (N, F, 3, L, L).

        Returns:
            (N, F, 3, c, c), in linear light where `is_linear` is set.
        """
        hr = self._where_linear(hr, light_from_codes)
        frames = hr.shape[1]
        step = hr.shape[-1] / self.native
        # Native pixel 0 lies at (0.5 - origin) * step - 0.5 in the face.
        start = (0.5 - self.origin) * step[:, None, None] - 0.5
        grid = Grid(start.flatten(0, 1), step.repeat_interleave(frames), self.cell)
        defocus, bend = (x.repeat_interleave(frames) for x in (self.defocus, self.bend))
        seen = exposed(hr.flatten(0, 1), grid, defocus, self.blur_path.flatten(0, 1), bend)
        return seen.reshape(*hr.shape[:2], *seen.shape[1:])

    def add_noise(self, seen: Tensor, rng: np.random.Generator) -> Tensor:
        """Add the sensor's noise to (N, F, 3, c, c), and encode linear light."""
        read, shot = self.noise.repeat_interleave(seen.shape[1], 0).unbind(1)
        noisy = add_noise(seen.flatten(0, 1), read, shot, rng).reshape(seen.shape)
        return self._where_linear(noisy, codes_from_light)

    def _where_linear(self, pictures: Tensor, convert: Callable[[Tensor], Tensor]) -> Tensor:
        """Convert those pictures (N, F, 3, H, W) for which `is_linear` is set."""
        if not bool(self.is_linear.any()):
            return pictures
        return torch.where(self.is_linear.view(-1, 1, 1, 1, 1), convert(pictures), pictures)

    def crop(self, decoded: Tensor) -> Tensor:
        """Cut the faces (N, F, 3, T, T) out of their cells (N, F, 3, c, c)."""
        step = self.native / self.size
        start = self.origin + (0.5 * step - 0.5)[:, None, None]
        steps = step.repeat_interleave(decoded.shape[1])
        crops = resampled(decoded.flatten(0, 1), Grid(start.flatten(0, 1), steps, self.size))
        return crops.clamp_(0, 1).reshape(*decoded.shape[:2], *crops.shape[1:])

    def face_masks(self, shift: Tensor) -> Tensor:
        """Return soft masks (N, F, 1, c, c) of the faces after shifts (N, F, 2)."""
        pixels = torch.arange(self.cell, device=shift.device, dtype=shift.dtype)
        y, x = (
            (pixels - (self.origin + shift)[..., axis, None]) / self.native[:, None, None]
            for axis in (0, 1)
        )
        top, left, height, width = _FACE
        rows = ((y - top) / height).square()[..., None]
        columns = ((x - left) / width).square()[..., None, :]
        return torch.sigmoid(_EDGE * (1 - rows - columns))[:, :, None]


def place(
    hr: Tensor,
    degradations: Sequence[Degradation],
    speeds: NDArray[np.float64],
    factor: int,
    rng: np.random.Generator,
) -> FilmedFaces:
    """Place faces in their cells, at random positions in the codec's grid.

    Args:
        hr: The faces (N, F, 3, L, L), of which only shape and device are used.
        degradations: One for each face.
        speeds: Native pixels per frame along y and x, (N, F, 2).
        factor: HR pixels for each pixel of the network's input.
        rng: Source of the positions.
    """
    size = hr.shape[-1] // factor
    native = np.array([d.native_scale * size for d in degradations])
    path = np.cumsum(speeds, 1)
    path -= (path.max(1, keepdims=True) + path.min(1, keepdims=True)) / 2
    reach = np.abs(path).max()
    needed = int(np.ceil(native.max() + 2 * reach + 2 * _MARGIN_PX))
    cell = -(-needed // _BLOCK_PX) * _BLOCK_PX
    room = cell - native - 2 * reach - 2 * _MARGIN_PX
    corner = _MARGIN_PX + reach + rng.random((len(native), 2)) * room[:, None]
    blur_per_speed = np.array([d.motion / max(d.speed, 1e-6) for d in degradations])

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(hr.device)

    return FilmedFaces(
        size=size,
        cell=cell,
        native=tensor(native),
        origin=tensor(corner[:, None] + path),
        defocus=tensor(np.array([d.defocus for d in degradations])),
        blur_path=tensor(speeds * blur_per_speed[:, None, None]),
        bend=tensor(np.array([d.bend for d in degradations])),
        noise=tensor(np.array([_noise(d) for d in degradations])),
        is_linear=torch.tensor([d.is_linear for d in degradations], device=hr.device),
    )


def _noise(degradation: Degradation) -> tuple[float, float]:
    """Return read and shot noise, converted from codes to linear light if noise is added there."""
    read, shot = degradation.read_noise, degradation.shot_noise
    return (read / BLACK_SLOPE, shot / WHITE_SLOPE) if degradation.is_linear else (read, shot)


def shifted(
    seen: Tensor,
    filmed: FilmedFaces,
    face: NDArray[np.float64],
    background: NDArray[np.float64],
) -> Tensor:
    """Shift the face and the background of a frame independently, for each of K other frames.

    Args:
        seen: One frame of each clip, (N, 3, c, c).
        filmed: Places of the faces.
        face: Shifts of the face along y and x in native pixels, (N, K, 2).
        background: Shifts of the background, in the same form.

    Returns:
        (N, K, 3, c, c).
    """
    layers = []
    shifts = [torch.from_numpy(s.astype(np.float32)).to(seen.device) for s in (face, background)]
    count = face.shape[1]
    for shift in shifts:
        start = -shift.flatten(0, 1)
        grid = Grid(start, torch.ones_like(start[:, 0]), filmed.cell)
        layer = resampled(seen.repeat_interleave(count, 0), grid)
        layers.append(layer.reshape(len(seen), count, *seen.shape[1:]))
    return torch.lerp(layers[1], layers[0], filmed.face_masks(shifts[0]))
