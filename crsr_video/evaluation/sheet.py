"""A contact sheet: input, every method and the truth side by side, for people to judge."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError
from crsr_video.evaluation.degradations import DRAWN
from crsr_video.evaluation.framings import CANONICAL
from crsr_video.evaluation.genuine import GenuineFaces
from crsr_video.evaluation.methods import Method
from crsr_video.evaluation.samples import TIERS, Sample, as_tensor, samples
from crsr_video.training.genuine import Framing

CELL = 256
"""Side of each picture on the sheet: small ones are enlarged by repeating pixels, and large ones
show their middle, so that no resampling hides anything."""

HEADER = 22
"""Height of the title above each picture."""
Bytes = NDArray[np.uint8]


def write_sheet(
    path: Path,
    methods: Sequence[Method],
    folder: Path,
    *,
    tiers: Sequence[int] = TIERS,
    faces: int = 4,
    real: bool = False,
    seed: int = 0,
    genuine: Sequence[GenuineFaces] = (),
    framing: Framing = CANONICAL,
) -> None:
    """Write a PNG: for each tier `faces` rows, clean input on the left, degraded on the right.

    Then half as many genuine faces of each file, two in a row.

    Args:   real: show photographs instead of synthetic faces. Their copyright may be cleared, the
                  privacy of the people in them is not: keep such a sheet to yourself. Genuine
                  faces are always real.
            framing: how much of the head the methods were trained to see.
    Raises: TrainingError: it cannot be written, or there are no such faces.
    """
    strips: list[Bytes] = []
    for tier in tiers:
        kind = "real" if real else "synthetic"
        try:
            chosen = list(samples(folder, tier, faces, seed, kind, framing))
        except TrainingError:  # a sheet may go without
            chosen = []
        strips += [_row(sample, methods, tier) for sample in chosen]
        for found in genuine:
            strips += _genuine(methods, found, tier, (faces + 1) // 2)
    if not strips:
        raise TrainingError("no face to show")
    try:
        written = cv2.imwrite(str(path), np.concatenate(strips)[..., ::-1])
    except cv2.error as error:
        raise TrainingError(f"cannot write {path}: {error.err}") from error
    if not written:
        raise TrainingError(f"cannot write {path}")


def _row(sample: Sample, methods: Sequence[Method], tier: int) -> Bytes:
    """One face from both kinds of input, side by side."""
    return np.concatenate([_half(sample, kind, methods, tier) for kind in DRAWN], axis=1)


def _half(sample: Sample, kind: str, methods: Sequence[Method], tier: int) -> Bytes:
    """One face from one kind of input: (CELL + HEADER, cells * CELL, 3)."""
    low = sample.inputs[kind]
    pictures = {f"{kind} input, {tier} px": low} | {m.name: m.run(low) for m in methods}
    return _strip(pictures | {"truth": sample.truth}, 4 * tier)


def _genuine(methods: Sequence[Method], found: GenuineFaces, tier: int, faces: int) -> list[Bytes]:
    """Strips of two faces each; where the truth would be there is nothing."""
    count = min(faces, found.source.count(tier))
    blank = torch.ones(1, 3, 4 * tier, 4 * tier)
    halves: list[Bytes] = []
    for face in found.source.all(tier, count) if count else ():
        low = as_tensor(face)[None]
        pictures = {f"{found.name}, {tier} px": low} | {m.name: m.run(low) for m in methods}
        halves.append(_strip(pictures | {"": blank}, 4 * tier))
    if len(halves) % 2:
        halves.append(np.full_like(halves[0], 255))
    return [np.concatenate(pair, axis=1) for pair in zip(halves[::2], halves[1::2], strict=True)]


def _strip(pictures: dict[str, Tensor], side: int) -> Bytes:
    shown = min(1.0, CELL / side)
    return np.concatenate([_cell(p, title, shown) for title, p in pictures.items()], axis=1)


def _cell(picture: Tensor, title: str, shown: float) -> Bytes:
    """(1, 3, S, S) in [0, 1] under its title; uint8 (CELL + HEADER, CELL, 3).

    Args: shown: part of the side that is seen, around the face's middle.
    """
    values = picture[0].permute(1, 2, 0).float().clamp(0, 1).mul(255).round().byte().numpy()
    side, window = values.shape[0], round(values.shape[0] * shown)
    # The face's middle lies a little below the crop's.
    top, left = round((side - window) * 0.65), (side - window) // 2
    values = values[top : top + window, left : left + window]
    enlarged = values.repeat(CELL // window, axis=0).repeat(CELL // window, axis=1)
    header = np.full((HEADER, CELL, 3), 255, np.uint8)
    cv2.putText(header, title, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cell: Bytes = np.concatenate([header, enlarged])
    return cell
