"""Faces as cameras film them: lens, shutter, sensor, and places of the faces in square cells.

A picture is resampled with one matrix for each axis, so that blur, change of size and shift form a
single filter. Pixel centres lie at integers. A picture is mirrored at its edges. For a video codec,
the cells of a batch are tiles of one frame, so that one call encodes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.training.degradations import Degradation

_PIXEL = 1 / 12
"""Variance of a box of one pixel: each source pixel is itself the mean over such a box."""
BLACK_SLOPE, WHITE_SLOPE = 4.5, 1.099 * 0.45
"""Slopes of the transfer function of BT.709, from light to codes, at black and at white."""
_TOE = 0.018
"""Light below which the transfer function of BT.709 is linear."""

Profile = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Grid:
    """Sampling positions in a batch of B square pictures."""

    start: Tensor
    """y and x of the first sample, (B, 2)."""
    step: Tensor
    """Source pixels from one sample to the next, (B,)."""
    side: int

    def positions(self, axis: int) -> Tensor:
        """Return the positions of samples along y (0) or x (1) in source pixels; (B, side)."""
        count = torch.arange(self.side, device=self.step.device, dtype=self.step.dtype)
        return self.start[:, axis, None] + count * self.step[:, None]

    def of(self, chosen: Tensor) -> "Grid":
        """Return the grid of the pictures that a mask (B,) selects."""
        return Grid(self.start[chosen], self.step[chosen], self.side)


def sensor(pictures: Tensor, grid: Grid, defocus: Tensor) -> Tensor:
    """Blur pictures by defocus, and average them over square cells as wide as the grid's step.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the cells.
        defocus: Standard deviations of the blur in source pixels, (B,).

    Returns:
        (B, 3, side, side).
    """
    sigma = (defocus.square() + _PIXEL).sqrt()[:, None, None]
    half = grid.step[:, None, None] / 2
    reach = float((half + 3 * sigma).max())

    def profile(distance: Tensor) -> Tensor:
        upper, lower = ((distance + side * half) / sigma for side in (1, -1))
        weight: Tensor = torch.special.ndtr(upper) - torch.special.ndtr(lower)
        return weight

    return _along_both(
        pictures, *(_matrix(grid.positions(a), pictures.shape[-1], reach, profile) for a in (0, 1))
    )


def resampled(pictures: Tensor, grid: Grid) -> Tensor:
    """Resample with the cubic kernel of Keys (1981), a = -1/2, stretched if the grid is coarser.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the samples.

    Returns:
        (B, 3, side, side). Values may overshoot.
    """
    stretch = grid.step.clamp(min=1)[:, None, None]

    def profile(distance: Tensor) -> Tensor:
        x = (distance / stretch).abs()
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))

    reach = 2 * float(stretch.max())
    return _along_both(
        pictures, *(_matrix(grid.positions(a), pictures.shape[-1], reach, profile) for a in (0, 1))
    )


def exposed(
    pictures: Tensor, grid: Grid, defocus: Tensor, path: Tensor, bend: Tensor | None = None
) -> Tensor:
    """Average the result of `sensor` along the path of the picture while the shutter is open.

    Args:
        pictures: (B, 3, S, S).
        grid: Places of the cells.
        defocus: Standard deviations of the blur in source pixels, (B,).
        path: y and x of the movement while the shutter is open, in source pixels, (B, 2).
        bend: Sagitta of the path, relative to its length, (B,). By default, the path is straight.

    Returns:
        (B, 3, side, side).
    """
    still = path.square().sum(1) < 1
    if bool(still.all()):
        return sensor(pictures, grid, defocus)
    result = pictures.new_empty((*pictures.shape[:2], grid.side, grid.side))
    if bool(still.any()):
        result[still] = sensor(pictures[still], grid.of(still), defocus[still])
    moving = ~still
    # One sample every two pixels is enough, because a sensor cell is wider than that.
    samples = max(2, round(float(path.norm(dim=1).max()) / 2) + 1)
    seen, total = grid.of(moving), torch.zeros_like(result[moving])
    for sample in range(samples):
        time = (sample + 0.5) / samples - 0.5
        offset = time * path[moving]
        if bend is not None:
            aside = path[moving].flip(1) * path.new_tensor([1.0, -1.0])
            offset = offset + (4 * time * time - 1 / 3) / 2 * bend[moving, None] * aside
        shifted = Grid(seen.start + offset, seen.step, seen.side)
        total += sensor(pictures[moving], shifted, defocus[moving])
    result[moving] = total / samples
    return result


def light_from_codes(codes: Tensor) -> Tensor:
    """Convert codes in [0, 1] to linear light by the transfer function of BT.709."""
    above = ((codes + 0.099) / 1.099).clamp_min(0).pow(1 / 0.45)
    return torch.where(codes < BLACK_SLOPE * _TOE, codes / BLACK_SLOPE, above)


def codes_from_light(light: Tensor) -> Tensor:
    """Convert linear light to codes in [0, 1] by the transfer function of BT.709."""
    above = 1.099 * light.clamp_min(0).pow(0.45) - 0.099
    return torch.where(light < _TOE, BLACK_SLOPE * light, above)


def add_noise(pictures: Tensor, read: Tensor, shot: Tensor, rng: np.random.Generator) -> Tensor:
    """Add noise whose variance grows with the light, and clip to [0, 1] as sensors do.

    Args:
        pictures: (B, 3, H, W) in [0, 1].
        read: Standard deviation of the noise in black, (B,).
        shot: Standard deviation of the noise that is added to it in white, (B,).
        rng: Seeds a generator on the pictures' device.
    """
    generator = torch.Generator(pictures.device).manual_seed(int(rng.integers(2**62)))
    light = pictures.clamp(0, 1)
    noise = torch.empty_like(light).normal_(generator=generator)
    variance = shot.square()[:, None, None, None] * light + read.square()[:, None, None, None]
    return noise.mul_(variance.sqrt_()).add_(light).clamp_(0, 1)


def _along_both(pictures: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Multiply every channel by the two matrices (B, side, S) of its picture."""
    return vertical[:, None] @ pictures @ horizontal[:, None].transpose(-1, -2)


def _matrix(positions: Tensor, length: int, reach: float, profile: Profile) -> Tensor:
    """Return the weights (B, side, length) of source pixels at each position.

    Args:
        positions: Positions in source pixels, (B, side).
        length: Number of source pixels.
        reach: Distance beyond which the profile is zero.
        profile: Function from distances (B, side, taps) to weights.
    """
    taps = torch.arange(2 * int(reach + 1.5) + 1, device=positions.device) - int(reach + 1.5)
    index = positions.round()[..., None] + taps
    weight = profile(index - positions[..., None])
    weight = weight / weight.sum(-1, keepdim=True)
    # Mirrored at the edges: ... 1 0 | 0 1 2 ...
    turn = index.long().remainder(2 * length)
    inside = torch.where(turn < length, turn, 2 * length - 1 - turn)
    matrix = weight.new_zeros((*positions.shape, length))
    return matrix.scatter_add_(-1, inside, weight)


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
