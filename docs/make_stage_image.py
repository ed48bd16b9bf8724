"""Make the picture of "How it works": ``python docs/make_stage_image.py``.

It shows what each stage does to one frame of the project's own sample clip.
"""

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # The imports below (E402) need it.

from crsr_video import EnhancerConfig, pipeline  # noqa: E402
from crsr_video.imaging.masks import HEADROOM  # noqa: E402
from crsr_video.io import pictures  # noqa: E402
from crsr_video.io.reader import Reader  # noqa: E402
from crsr_video.runtime.loading import load_networks  # noqa: E402
from crsr_video.types import Crop, Face, Frame, TrackedFrame  # noqa: E402

CLIP = ROOT / "clips/portrait.mp4"
TARGET = ROOT / "docs/images/stages.jpg"
FRAME = 40
"""Number of the frame in the clip."""
SIDE, GAP, TITLE = 232, 8, 30
"""Sizes in pixels of a panel, of the space between panels, and of a title."""
MARGIN = 2.3
"""Side of the part of the frame that is shown, in widths of the face."""
GAIN = 6
"""Factor by which differences are amplified."""

Picture = NDArray[np.uint8]


def picture_of(crop: Crop) -> Picture:
    """Return a crop as RGB, uint8 (S, S, 3)."""
    pixels = np.asarray(crop.image).transpose(1, 2, 0)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)


def panel(title: str, picture: Picture) -> Picture:
    """Return a picture, enlarged to the size of a panel, below its title."""
    result = np.full((TITLE + SIDE, SIDE, 3), 255, np.uint8)
    cv2.putText(result, title, (2, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.58, (0, 0, 0), 1, cv2.LINE_AA)
    enlarged = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    result[TITLE:] = enlarged
    return result


def joined(panels: list[Picture], axis: int) -> Picture:
    """Return pictures beside or below each other, with white space between them."""
    shape = list(panels[0].shape)
    shape[axis] = GAP
    space = np.full(shape, 255, np.uint8)
    parts = [part for picture in panels for part in (picture, space)][:-1]
    return np.concatenate(parts, axis)


def observed() -> tuple[TrackedFrame, Frame]:
    """Return the frame as it reaches the last stage, and as it leaves it."""
    seen: list[tuple[TrackedFrame, Frame]] = []
    with Reader(CLIP) as reader, pipeline.build(EnhancerConfig()) as stages:
        stages.observer = lambda before, after: seen.append((before, after))
        for frame in islice((item for item in reader if isinstance(item, Frame)), FRAME + 20):
            stages.push(frame)
        stages.flush()
    return seen[FRAME]


def head_mask(face: Face, frame: Frame) -> NDArray[np.float32]:
    """Return the mask of a head in frame pixels: float32 (H, W, 1) in [0, 1]."""
    assert face.head is not None and face.crop is not None
    cells, crop = face.head.shares, face.crop.canonical
    headroom = len(cells) / (HEADROOM + 1)
    side = len(cells) - headroom
    # The edges of the canonical crop, not the centres of its pixels, are at round cell numbers.
    matrix = (crop.crop_from_frame + np.array([[0, 0, 0.5]] * 2)) * side / crop.size
    matrix += [[0, 0, headroom / 2 - 0.5], [0, 0, headroom - 0.5]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(cells, matrix, (frame.width, frame.height), flags=flags)
    return np.asarray(mask, np.float32)[..., None]


def main() -> None:
    """Write the picture."""
    tracked, after = observed()
    face = tracked.faces[0]
    assert face.crop is not None and face.consistent is not None and face.enhanced is not None
    assert face.head is not None
    consistent = torch.as_tensor(np.asarray(face.consistent.image))[None]
    config = EnhancerConfig()
    certain, textured = (
        Crop(
            load_networks(each).predictors().super_resolve(consistent)[0].numpy(),
            face.enhanced.crop_from_frame,
        )
        for each in (config.with_options(texture=0.0), config)
    )
    before, result = pictures.as_rgb(tracked.frame), pictures.as_rgb(after)

    left, top, right, bottom = face.box
    half = MARGIN * (right - left) / 2
    x, y = round((left + right) / 2 - half), round((top + bottom) / 2 - half)
    part = slice(y, y + round(2 * half)), slice(x, x + round(2 * half))

    scale = SIDE / (2 * half)
    marked = cv2.resize(before[part], (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    corners = [
        tuple(round((v - o) * scale) for v, o in zip(p, (x, y), strict=True))
        for p in ((left, top), (right, bottom))
    ]
    cv2.rectangle(marked, *corners, (255, 220, 0), 1)
    for point in (face.landmarks - (x, y)) * scale:
        cv2.circle(marked, tuple(int(v) for v in point.round()), 3, (0, 255, 0), -1)
    share = head_mask(face, tracked.frame)[part]
    grey = np.full_like(before[part], 235)
    head = (share * before[part] + (1 - share) * grey).round().astype(np.uint8)
    change = np.abs(result[part].astype(int) - before[part])
    difference = (255 - GAIN * change.clip(0, 255 // GAIN)).astype(np.uint8)

    size, large = face.crop.size, textured.size
    rows = [
        [
            panel("decoded", before[part]),
            panel("tracked", marked),
            panel("head mask", head),
            panel(f"aligned: {size} x {size}", picture_of(face.crop)),
            panel(f"consistified: {size} x {size}", picture_of(face.consistent)),
        ],
        [
            panel(f"super-resolved: {large} x {large}", picture_of(certain)),
            panel(f"with texture {config.networks.texture:g}", picture_of(textured)),
            panel("smoothed over time", picture_of(face.enhanced)),
            panel(f"change (x {GAIN})", difference),
            panel("pasted", result[part]),
        ],
    ]
    sheet = joined([joined(row, 1) for row in rows], 0)
    cv2.imwrite(str(TARGET), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
