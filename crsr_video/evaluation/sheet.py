"""A contact sheet: input, bicubic, ours and truth side by side, for people to judge."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crsr_video.errors import TrainingError
from crsr_video.evaluation.samples import INPUTS, TIERS, Sample, samples

CELL = 256
"""Side of each picture on the sheet: small ones are enlarged by repeating pixels, and large ones
show their middle, so that no resampling hides anything."""

_HEADER = 22
Bytes = NDArray[np.uint8]


@torch.inference_mode()
def write_sheet(
    path: Path,
    networks: dict[str, nn.Module],
    folder: Path,
    *,
    faces: int = 4,
    real: bool = False,
    seed: int = 0,
) -> None:
    """Write a PNG: `faces` rows for each tier, clean input on the left, degraded on the right.

    Args:   real: show photographs instead of synthetic faces. Their copyright may be cleared, the
                  privacy of the people in them is not: keep such a sheet to yourself.
    Raises: TrainingError: it cannot be written, or there are no such faces.
    """
    strips: list[Bytes] = []
    for tier in TIERS:
        for sample in _chosen(folder, tier, faces, real, seed):
            halves = [_half(sample, kind, networks, tier) for kind in INPUTS]
            strips.append(np.concatenate(halves, axis=1))
    if not strips:
        raise TrainingError("no face to show")
    if not cv2.imwrite(str(path), np.concatenate(strips)[..., ::-1]):
        raise TrainingError(f"cannot write {path}")


def _chosen(folder: Path, tier: int, faces: int, real: bool, seed: int) -> Iterator[Sample]:
    """Faces of the wanted kind, spread over the split."""
    kind = "real" if real else "synthetic"
    found = [s for s in samples(folder, tier, seed=seed) if s.entry.kind == kind]
    for number in np.linspace(0, len(found) - 1, min(faces, len(found))).round().astype(int):
        yield found[number]


def _half(sample: Sample, kind: str, networks: dict[str, nn.Module], tier: int) -> Bytes:
    """One face from one kind of input: (CELL + header, 4 CELL, 3)."""
    low = sample.inputs[kind]
    pictures = {
        f"{kind} input, {tier} px": low,
        "bicubic": networks["bicubic"](low),
        "ours": networks["crsr"](low),
        "truth": sample.truth,
    }
    shown = min(1.0, CELL / sample.truth.shape[-1])
    return np.concatenate([_cell(p, title, shown) for title, p in pictures.items()], axis=1)


def _cell(picture: Tensor, title: str, shown: float) -> Bytes:
    """(1, 3, S, S) in [0, 1] under its title; uint8 (CELL + header, CELL, 3).

    Args: shown: part of the side that is seen, around the face's middle.
    """
    values = picture[0].permute(1, 2, 0).float().clamp(0, 1).mul(255).round().byte().numpy()
    side, window = values.shape[0], round(values.shape[0] * shown)
    # The face's middle lies a little below the crop's.
    top, left = round((side - window) * 0.65), (side - window) // 2
    values = values[top : top + window, left : left + window]
    enlarged = values.repeat(CELL // window, axis=0).repeat(CELL // window, axis=1)
    header = np.full((_HEADER, CELL, 3), 255, np.uint8)
    cv2.putText(header, title, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cell: Bytes = np.concatenate([header, enlarged])
    return cell
