"""Pictures for people to judge: a contact sheet of all methods, and a blind comparison of two."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from crsr_video.errors import ConfigError, TrainingError
from crsr_video.evaluation.methods import EvaluatedMethod
from crsr_video.evaluation.metrics import CANONICAL
from crsr_video.evaluation.report import write
from crsr_video.evaluation.samples import (
    DRAWN,
    FIXED,
    TIERS,
    FaceSample,
    as_bytes,
    as_tensor,
    samples,
)
from crsr_video.evaluation.stills import GenuineFaces
from crsr_video.training.genuine import Framing
from crsr_video.types import Bytes

CELL_PX = 256
"""Side of each picture on a sheet."""
TITLE_PX = 20
"""Height of the title above each picture."""


def write_sheet(
    path: Path,
    methods: Sequence[EvaluatedMethod],
    folder: Path,
    *,
    tiers: Sequence[int] = TIERS,
    faces: int = 4,
    real: bool = False,
    seed: int = 0,
    genuine: Sequence[GenuineFaces] = (),
    framing: Framing = CANONICAL,
) -> None:
    """Write a PNG with input, all methods and ground truth side by side.

    Each input size has `faces` rows, with the clean input on the left and the degraded input on the
    right. Below them, half as many real low-resolution faces from each file follow, two in a row.
    Small pictures are enlarged by repeating pixels, and only the middle of large ones is shown,
    because resampling would hide differences.

    Args:
        path: The PNG file.
        methods: Methods to show.
        folder: Prepared faces.
        tiers: Input sizes.
        faces: Number of faces of each input size.
        real: Show photographs instead of synthetic faces. Such a sheet must not be published,
            because the people in them have not consented.
        seed: Seed of the degradations.
        genuine: Real low-resolution faces.
        framing: Part of the head that the methods were trained to see.

    Raises:
        TrainingError: If the file cannot be written, or there is no face to show.
    """
    strips: list[Bytes] = []
    for tier in tiers:
        kind = "real" if real else "synthetic"
        try:
            chosen = list(samples(folder, tier, faces, seed, kind, framing))
        except TrainingError:  # Other input sizes may still have faces.
            chosen = []
        strips += [_row(sample, methods, tier) for sample in chosen]
        for found in genuine:
            strips += _genuine(methods, found, tier, (faces + 1) // 2)
    if not strips:
        raise TrainingError("no face to show")
    _write_picture(path, np.concatenate(strips))


def _row(sample: FaceSample, methods: Sequence[EvaluatedMethod], tier: int) -> Bytes:
    """Return the strips of one face for both kinds of input, side by side."""
    halves = []
    for kind in DRAWN:
        low = sample.inputs[kind]
        pictures = {f"{kind} input, {tier} px": low} | {m.name: m.run(low) for m in methods}
        halves.append(_strip(pictures | {"truth": sample.truth}, 4 * tier))
    return np.concatenate(halves, axis=1)


def _genuine(
    methods: Sequence[EvaluatedMethod], found: GenuineFaces, tier: int, faces: int
) -> list[Bytes]:
    """Return strips of two faces each, with a blank cell instead of the truth."""
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


def _strip(pictures: dict[str, Tensor], largest: int) -> Bytes:
    """Return pictures (1, 3, S, S) in [0, 1] side by side under their titles.

    Small pictures are enlarged by repeating pixels. If the largest picture does not fit into a
    cell, all of them are cropped to the same part around the middle.
    """
    shown = min(1.0, CELL_PX / largest)
    cells = [_cell(picture, title, shown) for title, picture in pictures.items()]
    return np.concatenate(cells, axis=1)


def _cell(picture: Tensor, title: str, shown: float) -> Bytes:
    values = as_bytes(picture[0])
    side, window = values.shape[0], round(values.shape[0] * shown)
    # The middle of the face lies a little below that of the crop.
    top, left = round((side - window) * 0.65), (side - window) // 2
    values = values[top : top + window, left : left + window]
    enlarged = values.repeat(CELL_PX // window, axis=0).repeat(CELL_PX // window, axis=1)
    header = np.full((TITLE_PX, enlarged.shape[1], 3), 255, np.uint8)
    cv2.putText(header, title, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cell: Bytes = np.concatenate([header, enlarged])
    return cell


def _write_picture(path: Path, picture: Bytes) -> None:
    try:
        written = cv2.imwrite(str(path), picture[..., ::-1])
    except cv2.error as error:
        raise TrainingError(f"{path}: cannot be written: {error.err}") from error
    if not written:
        raise TrainingError(f"{path}: cannot be written")


# Blind comparison -----------------------------------------------------------------------------


BLIND_FACES = 24
_COLUMNS = 2
_DEGRADATIONS = ("mild", "hard", "H.264 crf 33")


def write_blind_sheet(
    path: Path, methods: Sequence[EvaluatedMethod], folder: Path, *, tier: int = 64, seed: int = 0
) -> Path:
    """Write a PNG of triples: the baseline's result, and those of two models, named A and B.

    The order of the models is random for each face. A JSON file beside the sheet, the key, tells
    which model is A and which is B.

    Args:
        path: The PNG file.
        methods: The baseline and two models, as `methods.methods` returns them.
        folder: Prepared faces.
        tier: Side of the input in pixels.
        seed: Seed of the degradations and of the order.

    Returns:
        Path of the key.

    Raises:
        ConfigError: If the number of models is not two.
    """
    if len(methods) != 3:
        raise ConfigError("a blind sheet compares two models: name two")
    rng = np.random.default_rng((seed, 24))
    chosen = {name: FIXED[name] for name in _DEGRADATIONS}
    strips, key = [], []
    found = samples(folder, tier, BLIND_FACES, seed, degradations=chosen)
    for number, sample in enumerate(found):
        name = _DEGRADATIONS[number % len(_DEGRADATIONS)]
        low = sample.inputs[name]
        order = [int(i) for i in rng.permutation([1, 2])]
        pictures = {f"{number + 1}: {name}": methods[0].run(low)}
        pictures |= {"A": methods[order[0]].run(low), "B": methods[order[1]].run(low)}
        strips.append(_strip(pictures, 4 * tier))
        key.append({"face": number + 1, "A": methods[order[0]].name, "B": methods[order[1]].name})
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % _COLUMNS)
    rows = [
        np.concatenate(strips[first : first + _COLUMNS], 1)
        for first in range(0, len(strips), _COLUMNS)
    ]
    answers = path.with_suffix(".key.json")
    write(answers, json.dumps(key, indent=1) + "\n")
    _write_picture(path, np.concatenate(rows))
    return answers
