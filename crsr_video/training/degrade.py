"""Make low-resolution (LR) faces from high-resolution (HR) ones.

`clean` only shrinks them. `degrade` imitates cameras and codecs: lens and motion blur the picture,
the sensor samples it and adds noise, and the camera processes and compresses it. Then the crop is
resampled to the network's input size, which is seldom the original size of the face. The ranges of
these degradations are our own choice. The paper learns from genuine footage instead.
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

from crsr_video.training.camera import FilmedFaces, Grid, place, resampled, shifted
from crsr_video.training.codec import compress, jpeg
from crsr_video.training.degradations import (
    MAX_SPEED_PX,
    Compression,
    Degradation,
    draw_compression,
    draw_degradation,
)

FACTOR = 4
"""Ratio of the side of an HR picture to the side of its LR picture."""
_LARGEST_AGE = 3
"""Maximum number of frames from a cut through the returned frame, if the bit rate is limited."""
_FRAMES_BEFORE_CUT = 4
"""Minimum number of frames between the key frame and the cut."""

Picture = NDArray[np.float32]


def clean(hr: Tensor, factor: int = FACTOR) -> Tensor:
    """Return LR faces, shrunk with bicubic interpolation and antialiasing.

    Args:
        hr: (N, 3, factor T, factor T) in [0, 1].
        factor: Ratio of the sides.

    Returns:
        (N, 3, T, T) in [0, 1].
    """
    return functional.interpolate(
        hr, scale_factor=1 / factor, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 1)


def degrade(
    hr: Tensor,
    rng: np.random.Generator,
    *,
    video: float = 0.5,
    extra: float = 0.0,
    factor: int = FACTOR,
) -> Tensor:
    """Return LR faces with random degradations.

    Args:
        hr: (N, 3, factor T, factor T) in [0, 1], on any device.
        rng: Source of every random choice.
        video: Probability that the batch is compressed by a video codec instead of JPEG.
        extra: Probability that a picture gets one of `degradations.EXTRA_KINDS`.
        factor: Ratio of the sides of HR and LR pictures.

    Returns:
        (N, 3, T, T) in [0, 1], on the same device.
    """
    drawn = [draw_degradation(rng, extra) for _ in hr]
    compression = draw_compression(rng, extra) if rng.random() < video else None
    return apply(hr, drawn, compression, rng, factor)


def apply(
    hr: Tensor,
    degradations: Sequence[Degradation],
    compression: Compression | None,
    rng: np.random.Generator,
    factor: int = FACTOR,
) -> Tensor:
    """Return LR faces with the given degradations.

    Args:
        hr: (N, 3, factor T, factor T) in [0, 1].
        degradations: One for each face. Their lengths in HR pixels are those for `FACTOR`.
        compression: Video compression of the whole batch, or None for JPEG.
        rng: Source of the noise and of the face's position in the codec's grid of blocks.
        factor: Ratio of the sides of HR and LR pictures.
    """
    if factor != FACTOR:
        share = factor / FACTOR
        degradations = [
            replace(d, defocus=share * d.defocus, motion=share * d.motion) for d in degradations
        ]
    speeds = np.array([[_velocity(d)] for d in degradations])
    filmed = place(hr[:, None], degradations, speeds, factor, rng)
    seen = filmed.expose(hr[:, None])
    if compression is None:
        stills = _process_in_camera(filmed.add_noise(seen, rng), degradations, rng)
        decoded = compress_stills(stills, degradations)
    else:
        times = _times(compression, rng)
        number = -times.start
        clip = filmed.add_noise(_with_neighbours(seen, filmed, speeds, times, rng), rng)
        clip = _process_in_camera(clip, degradations, rng)
        if compression.bits_per_pixel is not None:
            cut = number - int(rng.integers(0, _LARGEST_AGE))
            # The frames before the cut show other faces of the batch, upside down.
            clip[:, :cut] = clip[:, :cut].roll(1, 0).flip(-2)
        decoded = compress_video(clip, degradations, compression)[:, number : number + 1]
    return filmed.crop(_process_after_decoding(decoded, degradations))[:, 0]


def _times(compression: Compression, rng: np.random.Generator) -> range:
    """Draw the numbers of the frames to compress. Frame 0 is the one that `apply` returns.

    The first number is below 0: it is a key frame, and most frames of a video are not key frames.
    """
    if compression.bits_per_pixel is not None:
        return range(-_LARGEST_AGE - _FRAMES_BEFORE_CUT, 2)
    if compression.depth is not None:
        return range(-compression.depth, 2)
    count = int(rng.integers(3, 7))
    number = int(rng.integers(1, count))
    return range(-number, count - number)


def _velocity(degradation: Degradation) -> NDArray[np.float64]:
    """Velocity of the face (y, x) in native pixels per frame."""
    angle = degradation.angle
    return degradation.speed * np.array([np.sin(angle), np.cos(angle)])


def _with_neighbours(
    seen: Tensor,
    filmed: FilmedFaces,
    speeds: NDArray[np.float64],
    times: Sequence[int],
    rng: np.random.Generator,
) -> Tensor:
    """Return a frame with its neighbours. The face and the background move independently.

    Args:
        seen: The frame at time 0, (N, 1, 3, c, c).
        filmed: Positions of the faces.
        speeds: Velocities of the faces, (N, 1, 2).
        times: Numbers of the frames.
        rng: Source of the background's motion.

    Returns:
        (N, len(times), 3, c, c).
    """
    # In long clips, faces move back and forth, so that they stay in their cells.
    time = np.abs((np.asarray(times, np.float64)[:, None] - 6) % 24 - 12) - 6
    angles = rng.uniform(0, 2 * np.pi, len(speeds))
    # Half of the backgrounds stand still, as if filmed from a tripod.
    speed = np.where(
        rng.random(len(speeds)) < 0.5, MAX_SPEED_PX * rng.random(len(speeds)) ** 2, 0.0
    )
    background = (speed * np.stack([np.sin(angles), np.cos(angles)])).T[:, None]
    return shifted(seen[:, 0], filmed, speeds * time, background * time)


def compress_stills(filmed: Tensor, degradations: Sequence[Degradation]) -> Tensor:
    """Compress each frame of clips (N, F, 3, c, c) as JPEG."""
    result = [
        np.stack([jpeg(frame, degradation.quality) for frame in clip])
        for clip, degradation in zip(_as_arrays(filmed), degradations, strict=True)
    ]
    return _as_tensor(np.stack(result), filmed)


def compress_video(
    filmed: Tensor, degradations: Sequence[Degradation], compression: Compression
) -> Tensor:
    """Compress clips (N, F, 3, c, c) as tiles of one video.

    Clips with a light degradation are compressed as JPEG instead.
    """
    if compression.second is not None:
        once = compress_video(filmed, degradations, replace(compression, second=None))
        side = max(2, round(filmed.shape[-1] * compression.rescale / 2) * 2)
        again = compress_video(_resized(once, side), degradations, compression.second)
        return _resized(again, filmed.shape[-1])
    pictures = _as_arrays(filmed)
    columns = int(np.ceil(np.sqrt(len(pictures))))
    mosaics = [_mosaic(frame, columns) for frame in pictures.transpose(1, 0, 2, 3, 4)]
    coded = compress(
        mosaics,
        compression.codec,
        compression.quantiser,
        has_b_frames=compression.has_b_frames,
        bits_per_pixel=compression.bits_per_pixel,
    )
    cell = filmed.shape[-1]
    result = np.stack([_tiles(frame, cell)[: len(pictures)] for frame in coded], 1)
    decoded = _as_tensor(result, filmed).div_(255)
    light = [number for number, degradation in enumerate(degradations) if degradation.is_light]
    if light:
        decoded[light] = compress_stills(filmed[light], [degradations[n] for n in light])
    return decoded


def _process_in_camera(
    filmed: Tensor, degradations: Sequence[Degradation], rng: np.random.Generator
) -> Tensor:
    """Process clips (N, F, 3, c, c) as cameras do before compression."""
    if not any(d.chroma_noise or d.denoise or d.comb or d.sharpen_before for d in degradations):
        return filmed
    result = filmed.clone()
    for clip, degradation in zip(result, degradations, strict=True):
        if degradation.chroma_noise:
            clip += _colour_noise(clip, degradation, rng)
        if degradation.denoise:
            clip.copy_(_denoised(clip, degradation.denoise))
        if degradation.comb:
            clip.copy_(_combed(clip, degradation.comb))
        if degradation.sharpen_before:
            amount, radius = degradation.sharpen_before, degradation.sharpen_radius
            clip.copy_(_sharpened(clip, amount, radius))
    return result.clamp_(0, 1)


def _process_after_decoding(decoded: Tensor, degradations: Sequence[Degradation]) -> Tensor:
    """Sharpen clips (N, F, 3, c, c) as an editor or a player does."""
    if not any(d.sharpen_after for d in degradations):
        return decoded
    result = decoded.clone()
    for clip, degradation in zip(result, degradations, strict=True):
        if degradation.sharpen_after:
            amount, radius = degradation.sharpen_after, degradation.sharpen_radius
            clip.copy_(_sharpened(clip, amount, radius))
    return result.clamp_(0, 1)


def _sharpened(clip: Tensor, amount: float, radius: float) -> Tensor:
    """Sharpen a clip (F, 3, c, c): add `amount` times its difference from its Gaussian blur."""
    from kornia.filters import gaussian_blur2d  # Importing kornia takes a second.

    side = 2 * max(1, round(3 * radius)) + 1
    soft: Tensor = gaussian_blur2d(clip, side, (radius, radius), "replicate")
    return clip + amount * (clip - soft)


def _colour_noise(clip: Tensor, degradation: Degradation, rng: np.random.Generator) -> Tensor:
    """Return coarse noise (F, 3, c, c) whose channels sum to 0, so that it changes only colour."""
    frames, _, height, width = clip.shape
    coarse = [max(2, round(side / degradation.chroma_grain)) for side in (height, width)]
    noise = torch.from_numpy(rng.standard_normal((frames, 3, *coarse), np.float32)).to(clip)
    noise -= noise.mean(1, keepdim=True)
    noise = functional.interpolate(noise, (height, width), mode="bicubic", align_corners=False)
    return degradation.chroma_noise * noise / noise.std()


def _denoised(clip: Tensor, strength: float) -> Tensor:
    """Apply a bilateral filter, which keeps edges and smears weaker detail."""
    pictures = clip.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    filtered = np.stack([cv2.bilateralFilter(p, 7, strength, 2.0) for p in pictures])
    return torch.from_numpy(filtered).to(clip).permute(0, 3, 1, 2)


def _combed(clip: Tensor, shift: float) -> Tensor:
    """Shift every second row sideways, as in an interlaced picture of a moving face."""
    start = clip.new_tensor([[0.0, -shift]]).expand(len(clip), 2)
    grid = Grid(start, clip.new_ones(len(clip)), clip.shape[-1])
    result = clip.clone()
    result[..., 1::2, :] = resampled(clip, grid)[..., 1::2, :]
    return result


def _resized(filmed: Tensor, side: int) -> Tensor:
    """Resize clips (N, F, 3, c, c) to (N, F, 3, side, side)."""
    sized = functional.interpolate(
        filmed.flatten(0, 1), (side, side), mode="bicubic", align_corners=False, antialias=True
    )
    return sized.clamp_(0, 1).reshape(*filmed.shape[:3], side, side)


def _mosaic(cells: Picture, columns: int) -> Picture:
    """Put cells (N, c, c, 3) side by side, and fill the last row with the first cells."""
    count, cell = cells.shape[:2]
    rows = -(-count // columns)
    full = np.concatenate([cells, cells[: rows * columns - count]])
    grid = full.reshape(rows, columns, cell, cell, 3).swapaxes(1, 2)
    return grid.reshape(rows * cell, columns * cell, 3)


def _tiles(mosaic: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Return the cells of a mosaic, (N, c, c, 3)."""
    rows, columns = mosaic.shape[0] // cell, mosaic.shape[1] // cell
    grid = mosaic.reshape(rows, cell, columns, cell, 3).swapaxes(1, 2)
    return grid.reshape(-1, cell, cell, 3)


def _as_arrays(filmed: Tensor) -> Picture:
    """Convert (N, F, 3, c, c) to arrays (N, F, c, c, 3) for encoders."""
    return filmed.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()


def _as_tensor(pictures: NDArray[Any], like: Tensor) -> Tensor:
    return torch.from_numpy(pictures).to(like).permute(0, 1, 4, 2, 3)
