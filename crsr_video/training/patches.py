"""Prepare pictures of any kind as a pack of square patches, for the network for whole frames."""

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from crsr_video.errors import TrainingError
from crsr_video.files import sha256_of_file
from crsr_video.training.pack import Prepared, encode, new_pack, split_of
from crsr_video.training.prepare import picture_files, read_picture
from crsr_video.types import Bytes

SIDE = 256
"""Side of a patch in pixels."""
_MOST = 6
"""Maximum number of patches of one picture at one size."""
_LEAST_DETAIL = 3.0
"""Minimum standard deviation of a patch's Laplacian, in codes. Flatter patches teach little."""


def prepare_patches(
    source: Path, out: Path, *, quality: int = 95, progress: bool = False
) -> dict[str, int]:
    """Cut patches out of all pictures below a folder, at their own size and at half of it.

    Args:
        source: The folder. The split of a picture depends only on its path in it.
        out: The pack to write.
        quality: WebP quality, 1 to 100; 101 is lossless.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        Number of patches for each split, and number of pictures without any.

    Raises:
        TrainingError: No picture has a usable patch, or the pack cannot be written.
    """
    skipped = 0
    with new_pack(out, {"quality": quality, "side": SIDE}) as pack:
        for path in tqdm(picture_files(source), unit="picture", disable=not progress):
            name = path.relative_to(source).as_posix()
            picture = read_picture(path)
            patches = [] if picture is None else [*_patches(picture), *_patches(_half(picture))]
            skipped += not patches
            for patch in patches:
                split, sha256 = split_of(name), sha256_of_file(path)
                pack.add(
                    Prepared(name, split, "patch", name, SIDE, 0, sha256), encode(patch, quality)
                )
        if not pack.rows:
            raise TrainingError(f"no usable picture in {source}")
    return {**{split: count for (split, _), count in pack.rows.items()}, "skipped": skipped}


def _half(picture: Bytes) -> Bytes:
    """Shrink a picture to half its size, but not below the size of a patch."""
    share = max(0.5, SIDE / min(picture.shape[:2]))
    if share >= 0.9:
        return picture[:0]
    size = round(share * picture.shape[1]), round(share * picture.shape[0])
    result: Bytes = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return result


def _patches(picture: Bytes) -> list[Bytes]:
    """Return the most detailed of those patches that cover a picture evenly."""
    if min(picture.shape[:2]) < SIDE:
        return []
    tops, lefts = (
        np.linspace(0, length - SIDE, -(-length // SIDE)).astype(int)
        for length in picture.shape[:2]
    )
    found = [picture[top : top + SIDE, left : left + SIDE] for top in tops for left in lefts]
    ranked = sorted(((_detail(patch), n) for n, patch in enumerate(found)), reverse=True)
    return [found[n] for detail, n in ranked[:_MOST] if detail >= _LEAST_DETAIL]


def _detail(patch: Bytes) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
