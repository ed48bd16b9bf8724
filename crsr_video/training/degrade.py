"""Make low resolution from high: the artificial kind, and one like a camera's and a codec's.

A camera blurs (lens, motion), samples, adds noise and compresses; then a crop is resampled to the
network's input size, which is seldom the size the face really had. `degrade` does these in that
order, a codec last. Its ranges are our choice, not the paper's, which learns from genuine footage.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crsr_video.training.codec import compress, jpeg
from crsr_video.training.optics import Grid, resampled
from crsr_video.training.shots import Shots, lay, moved
from crsr_video.training.spoiling import FASTEST, Coding, Spoiling, draw, draw_coding

FACTOR = 4
"""HR pixels for each LR pixel, along a side."""


Picture = NDArray[np.float32]


def clean(hr: Tensor) -> Tensor:
    """The artificial LR: shrunk four times, bicubic with antialiasing.

    Args:    hr: (N, 3, 4T, 4T) in [0, 1].
    Returns: (N, 3, T, T) in [0, 1].
    """
    return functional.interpolate(
        hr, scale_factor=1 / FACTOR, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 1)


def degrade(
    hr: Tensor, rng: np.random.Generator, *, video: float = 0.5, extra: float = 0.0
) -> Tensor:
    """Video-like LR of the same faces.

    Args:    hr: (N, 3, 4T, 4T) in [0, 1], on any device.
             rng: every random choice comes from it.
             video: share of batches compressed by a video codec instead of JPEG.
             extra: share of pictures with one of `spoiling.EXTRA_KINDS`.
    Returns: (N, 3, T, T) in [0, 1], on the same device.
    """
    spoilings = [draw(rng, extra) for _ in hr]
    coding = draw_coding(rng, extra) if rng.random() < video else None
    return spoilt(hr, spoilings, coding, rng)


def spoilt(
    hr: Tensor, spoilings: Sequence[Spoiling], coding: Coding | None, rng: np.random.Generator
) -> Tensor:
    """`degrade` with its choices made; no coding: JPEG."""
    speeds = np.array([[velocity(s)] for s in spoilings])
    shots = lay(hr[:, None], spoilings, speeds, FACTOR, rng)
    seen = shots.see(hr[:, None])
    if coding is None:
        filmed = processed(shots.grain(seen, rng), spoilings, rng)
        return shots.cut(finished(as_stills(filmed, spoilings), spoilings))[:, 0]
    count = int(rng.integers(3, 7))
    # The first frame is a key frame; what matters in video are the others.
    number = int(rng.integers(1, count))
    clip = shots.grain(
        _with_neighbours(seen, shots, speeds, range(-number, count - number), rng), rng
    )
    coded = as_video(processed(clip, spoilings, rng), spoilings, coding)
    return shots.cut(finished(coded[:, number : number + 1], spoilings))[:, 0]


def velocity(spoiling: Spoiling) -> NDArray[np.float64]:
    """Of the face at its fastest, y and x, native pixels a frame."""
    return spoiling.speed * np.array([np.sin(spoiling.angle), np.cos(spoiling.angle)])


def _with_neighbours(
    seen: Tensor,
    shots: Shots,
    speeds: NDArray[np.float64],
    times: Sequence[int],
    rng: np.random.Generator,
) -> Tensor:
    """The frames around one: face and background go their own ways from where they are in it.

    Args:    seen: (N, 1, 3, c, c), the frame at time 0.
    Returns: (N, len(times), 3, c, c).
    """
    time = np.asarray(times, np.float64)[:, None]
    angles = rng.uniform(0, 2 * np.pi, len(speeds))
    # Most cameras stand still.
    pace = np.where(rng.random(len(speeds)) < 0.5, FASTEST * rng.random(len(speeds)) ** 2, 0.0)
    behind = (pace * np.stack([np.sin(angles), np.cos(angles)])).T[:, None]
    return moved(seen[:, 0], shots, speeds * time, behind * time)


def processed(filmed: Tensor, spoilings: Sequence[Spoiling], rng: np.random.Generator) -> Tensor:
    """What a camera does to its picture before it compresses it; (N, F, 3, c, c) to the same."""
    if not any(s.chroma_noise or s.denoise or s.comb or s.sharpen_before for s in spoilings):
        return filmed
    result = filmed.clone()
    for clip, spoiling in zip(result, spoilings, strict=True):
        if spoiling.chroma_noise:
            clip += _colour_noise(clip, spoiling, rng)
        if spoiling.denoise:
            clip.copy_(_smoothed(clip, spoiling.denoise))
        if spoiling.comb:
            clip.copy_(_combed(clip, spoiling.comb))
        if spoiling.sharpen_before:
            clip.copy_(_sharpened(clip, spoiling.sharpen_before, spoiling.sharpen_radius))
    return result.clamp_(0, 1)


def finished(coded: Tensor, spoilings: Sequence[Spoiling]) -> Tensor:
    """What an editor or a player does to a decoded picture; (N, F, 3, c, c) to the same."""
    if not any(s.sharpen_after for s in spoilings):
        return coded
    result = coded.clone()
    for clip, spoiling in zip(result, spoilings, strict=True):
        if spoiling.sharpen_after:
            clip.copy_(_sharpened(clip, spoiling.sharpen_after, spoiling.sharpen_radius))
    return result.clamp_(0, 1)


def _sharpened(clip: Tensor, amount: float, radius: float) -> Tensor:
    """Unsharp mask: the difference from a Gaussian blur, added `amount` times."""
    reach = max(1, round(3 * radius))
    places = torch.arange(-reach, reach + 1, device=clip.device, dtype=clip.dtype)
    line = torch.exp(-0.5 * (places / radius) ** 2)
    line = line / line.sum()
    planes = clip.reshape(-1, 1, *clip.shape[-2:])
    padded = functional.pad(planes, (reach,) * 4, mode="replicate")
    blurred = functional.conv2d(padded, line.view(1, 1, -1, 1))
    blurred = functional.conv2d(blurred, line.view(1, 1, 1, -1)).reshape(clip.shape)
    return clip + amount * (clip - blurred)


def _colour_noise(clip: Tensor, spoiling: Spoiling, rng: np.random.Generator) -> Tensor:
    """Noise of opposite signs in the colours, in grains of some pixels; (F, 3, c, c)."""
    frames, _, height, width = clip.shape
    coarse = [max(2, round(side / spoiling.chroma_grain)) for side in (height, width)]
    noise = torch.from_numpy(rng.standard_normal((frames, 3, *coarse), np.float32)).to(clip)
    noise -= noise.mean(1, keepdim=True)
    noise = functional.interpolate(noise, (height, width), mode="bicubic", align_corners=False)
    return spoiling.chroma_noise * noise / noise.std()


def _smoothed(clip: Tensor, strength: float) -> Tensor:
    """A bilateral filter: it keeps edges, and smears what is weaker than they are."""
    pictures = clip.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    filtered = np.stack([cv2.bilateralFilter(p, 7, strength, 2.0) for p in pictures])
    return torch.from_numpy(filtered).to(clip).permute(0, 3, 1, 2)


def _combed(clip: Tensor, shift: float) -> Tensor:
    """Every second row as it was at another moment: displaced sideways."""
    grid = Grid(
        clip.new_tensor([[0.0, -shift]]).expand(len(clip), 2),
        clip.new_ones(len(clip)),
        clip.shape[-1],
    )
    result = clip.clone()
    result[..., 1::2, :] = resampled(clip, grid)[..., 1::2, :]
    return result


def _sized(filmed: Tensor, side: int) -> Tensor:
    """Resampled to another side; (N, F, 3, c, c) to (N, F, 3, side, side)."""
    sized = functional.interpolate(
        filmed.flatten(0, 1), (side, side), mode="bicubic", align_corners=False, antialias=True
    )
    return sized.clamp_(0, 1).reshape(*filmed.shape[:3], side, side)


def as_stills(filmed: Tensor, spoilings: Sequence[Spoiling]) -> Tensor:
    """Each frame through JPEG; (N, F, 3, c, c) to the same."""
    result = [
        np.stack([jpeg(frame, spoiling.quality) for frame in clip])
        for clip, spoiling in zip(_pictures(filmed), spoilings, strict=True)
    ]
    return _tensor(np.stack(result), filmed)


def as_video(filmed: Tensor, spoilings: Sequence[Spoiling], coding: Coding) -> Tensor:
    """All but the light clips through a codec, as tiles of one; (N, F, 3, c, c) to the same."""
    if coding.second is not None:
        once = as_video(filmed, spoilings, replace(coding, second=None))
        side = max(2, round(filmed.shape[-1] * coding.rescale / 2) * 2)
        again = as_video(_sized(once, side), spoilings, coding.second)
        return _sized(again, filmed.shape[-1])
    pictures = _pictures(filmed)
    columns = int(np.ceil(np.sqrt(len(pictures))))
    mosaics = [_mosaic(frame, columns) for frame in pictures.transpose(1, 0, 2, 3, 4)]
    coded = compress(mosaics, coding.codec, coding.quantiser, bidirectional=coding.bidirectional)
    cell = filmed.shape[-1]
    result = np.stack([_tiles(frame, cell)[: len(pictures)] for frame in coded], 1)
    decoded = _tensor(result, filmed).div_(255)
    light = [number for number, spoiling in enumerate(spoilings) if spoiling.light]
    if light:
        decoded[light] = as_stills(filmed[light], [spoilings[number] for number in light])
    return decoded


def _mosaic(cells: Picture, columns: int) -> Picture:
    """(N, c, c, 3) to (rows c, columns c, 3), the last row filled up with the first cells."""
    count, cell = cells.shape[:2]
    rows = -(-count // columns)
    full = np.concatenate([cells, cells[: rows * columns - count]])
    grid = full.reshape(rows, columns, cell, cell, 3).swapaxes(1, 2)
    return grid.reshape(rows * cell, columns * cell, 3)


def _tiles(mosaic: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """The cells of a mosaic again; (cells, c, c, 3)."""
    rows, columns = mosaic.shape[0] // cell, mosaic.shape[1] // cell
    grid = mosaic.reshape(rows, cell, columns, cell, 3).swapaxes(1, 2)
    return grid.reshape(-1, cell, cell, 3)


def _pictures(filmed: Tensor) -> Picture:
    """(N, F, 3, c, c) to (N, F, c, c, 3), for coders."""
    return filmed.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()


def _tensor(pictures: NDArray[Any], like: Tensor) -> Tensor:
    return torch.from_numpy(pictures).to(like).permute(0, 1, 4, 2, 3)
