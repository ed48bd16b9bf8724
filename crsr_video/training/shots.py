"""Faces as cameras see them: each at its own size and place, in square cells of one size.

For a video codec the cells are tiles of one frame, with room between the faces, so that a batch
costs one encoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.training.optics import Grid, exposed, noisy, resampled
from crsr_video.training.spoiling import Spoiling

_MARGIN = 6
"""Native pixels between a face and the edge of its cell, at least; deblocking reaches three."""
_BLOCK = 16
"""Cells begin on the grid of macroblocks, the faces within them anywhere."""
_FACE = (0.53, 0.5, 0.40, 0.32)
"""Centre (y, x) and half axes of an oval around a canonical face, as fractions of the crop."""
_EDGE = 12.0
"""How sharply the oval ends."""


@dataclass(frozen=True)
class Shots:
    """N clips of F frames; lengths in native pixels unless said."""

    size: int
    """T, the network's input."""
    cell: int
    """c, the side of a cell."""
    native: Tensor
    """(N,): sides of the faces."""
    origin: Tensor
    """(N, F, 2): y and x in its cell of the first pixel of each face's crop."""
    defocus: Tensor
    """(N,): standard deviations, HR pixels."""
    smear: Tensor
    """(N, F, 2): motion blur along y and x, HR pixels."""
    noise: Tensor
    """(N, 2): read and shot noise, of values in [0, 1]."""
    bend: Tensor
    """(N,): curvature of the motion blur's path, as a fraction of its length."""

    def see(self, hr: Tensor) -> Tensor:
        """What lens, shutter and sensor make of the faces; (N, F, 3, L, L) to (N, F, 3, c, c)."""
        frames = hr.shape[1]
        step = hr.shape[-1] / self.native
        # Native pixel 0 lies at (0.5 - origin) * step - 0.5 in the face.
        start = (0.5 - self.origin) * step[:, None, None] - 0.5
        grid = Grid(start.flatten(0, 1), step.repeat_interleave(frames), self.cell)
        defocus = self.defocus.repeat_interleave(frames)
        bend = self.bend.repeat_interleave(frames)
        seen = exposed(hr.flatten(0, 1), grid, defocus, self.smear.flatten(0, 1), bend)
        return seen.reshape(*hr.shape[:2], *seen.shape[1:])

    def grain(self, seen: Tensor, rng: np.random.Generator) -> Tensor:
        """With the sensor's noise; (N, F, 3, c, c) to the same."""
        read, shot = self.noise.repeat_interleave(seen.shape[1], 0).unbind(1)
        return noisy(seen.flatten(0, 1), read, shot, rng).reshape(seen.shape)

    def cut(self, coded: Tensor) -> Tensor:
        """The faces' crops at the network's size; (N, F, 3, c, c) to (N, F, 3, T, T)."""
        step = self.native / self.size
        start = self.origin + (0.5 * step - 0.5)[:, None, None]
        grid = Grid(start.flatten(0, 1), step.repeat_interleave(coded.shape[1]), self.size)
        cut = resampled(coded.flatten(0, 1), grid).clamp_(0, 1)
        return cut.reshape(*coded.shape[:2], *cut.shape[1:])

    def oval(self, shift: Tensor) -> Tensor:
        """1 in the faces, 0 behind them, soft between; (N, F, 2) shifts to (N, F, 1, c, c)."""
        pixels = torch.arange(self.cell, device=shift.device, dtype=shift.dtype)
        y, x = (
            (pixels - (self.origin + shift)[..., a, None]) / self.native[:, None, None]
            for a in (0, 1)
        )
        top, left, height, width = _FACE
        radius = ((y - top) / height).square()[..., None] + ((x - left) / width).square()[
            ..., None, :
        ]
        return torch.sigmoid(_EDGE * (1 - radius))[:, :, None]


def lay(
    hr: Tensor,
    spoilings: Sequence[Spoiling],
    speeds: NDArray[np.float64],
    factor: int,
    rng: np.random.Generator,
) -> Shots:
    """Place the faces in their cells, with a random phase to the codec's grid.

    Args: hr: (N, F, 3, L, L), for its shape and device.
          speeds: (N, F, 2), native pixels a frame along y and x.
          factor: HR pixels for each pixel of the network's input.
    """
    size = hr.shape[-1] // factor
    native = np.array([s.native * size for s in spoilings])
    path = np.cumsum(speeds, 1)
    path -= (path.max(1, keepdims=True) + path.min(1, keepdims=True)) / 2
    reach = np.abs(path).max()
    cell = -(-int(np.ceil(native.max() + 2 * reach + 2 * _MARGIN)) // _BLOCK) * _BLOCK
    room = cell - native - 2 * reach - 2 * _MARGIN
    corner = _MARGIN + reach + rng.random((len(native), 2)) * room[:, None]
    fastest = np.array([max(s.speed, 1e-6) for s in spoilings])
    blur = np.array([s.motion for s in spoilings]) / fastest

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(hr.device)

    return Shots(
        size=size,
        cell=cell,
        native=tensor(native),
        origin=tensor(corner[:, None] + path),
        defocus=tensor(np.array([s.defocus for s in spoilings])),
        smear=tensor(speeds * blur[:, None, None]),
        noise=tensor(np.array([(s.read_noise, s.shot_noise) for s in spoilings])),
        bend=tensor(np.array([s.bend for s in spoilings])),
    )


def moved(
    seen: Tensor, shots: Shots, face: NDArray[np.float64], behind: NDArray[np.float64]
) -> Tensor:
    """One frame of each clip, with its face and its background shifted for each of K others.

    Args:    seen: (N, 3, c, c).
             face, behind: (N, K, 2), y and x in native pixels.
    Returns: (N, K, 3, c, c).
    """
    layers = []
    shifts = [torch.from_numpy(s.astype(np.float32)).to(seen.device) for s in (face, behind)]
    count = face.shape[1]
    for shift in shifts:
        start = -shift.flatten(0, 1)
        grid = Grid(start, torch.ones_like(start[:, 0]), shots.cell)
        layer = resampled(seen.repeat_interleave(count, 0), grid)
        layers.append(layer.reshape(len(seen), count, *seen.shape[1:]))
    return torch.lerp(layers[1], layers[0], shots.oval(shifts[0]))
