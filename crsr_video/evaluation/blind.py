"""A blind comparison of two models: triples in random order, with the key in a second file."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from crsr_video.errors import ConfigError, TrainingError
from crsr_video.evaluation.degradations import FIXED
from crsr_video.evaluation.methods import Method
from crsr_video.evaluation.samples import Bytes, as_bytes, samples

FACES = 24
CELL = 256
_COLUMNS = 2
_HEADER = 20
_DEGRADATIONS = ("mild", "hard", "H.264 crf 33")


def write_blind_sheet(
    path: Path, methods: Sequence[Method], folder: Path, *, tier: int = 64, seed: int = 0
) -> Path:
    """Write a PNG of triples: the input, and what two models made of it, called A and B.

    Which model is A is drawn for each face. The key is written beside the sheet, as JSON: look at
    the sheet before you read it.
    Args:    methods: bicubic and two models, as `methods.methods` makes them.
             folder: prepared faces. tier: side of the input in pixels.
    Returns: the path of the key.
    Raises:  ConfigError: there are not two models. TrainingError: a file cannot be written.
    """
    if len(methods) != 3:
        raise ConfigError("a blind sheet compares two models: name two")
    rng = np.random.default_rng((seed, 24))
    chosen = {name: FIXED[name] for name in _DEGRADATIONS}
    strips, key = [], []
    found = samples(folder, tier, FACES, seed, degradations=chosen)
    for number, sample in enumerate(found):
        name = _DEGRADATIONS[number % len(_DEGRADATIONS)]
        low = sample.inputs[name]
        order = [int(i) for i in rng.permutation([1, 2])]
        pictures = [methods[0].run(low), *(methods[i].run(low) for i in order)]
        titles = [f"{number + 1}: {name}", "A", "B"]
        strips.append(np.concatenate(list(map(_cell, pictures, titles)), 1))
        key.append({"face": number + 1, "A": methods[order[0]].name, "B": methods[order[1]].name})
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % _COLUMNS)
    rows = [
        np.concatenate(strips[first : first + _COLUMNS], 1)
        for first in range(0, len(strips), _COLUMNS)
    ]
    answers = path.with_suffix(".key.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])
        answers.write_text(json.dumps(key, indent=1) + "\n")
    except (OSError, cv2.error) as error:
        raise TrainingError(f"cannot write {path}: {error}") from error
    if not written:
        raise TrainingError(f"cannot write {path}")
    return answers


def _cell(picture: Tensor, title: str) -> Bytes:
    """One picture under its title, at the size of a cell."""
    values = as_bytes(picture[0])
    if values.shape[0] != CELL:
        larger = values.shape[0] < CELL
        method = cv2.INTER_CUBIC if larger else cv2.INTER_AREA
        values = cv2.resize(values, (CELL, CELL), interpolation=method)
    header = np.full((_HEADER, CELL, 3), 255, np.uint8)
    cv2.putText(header, title, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cell: Bytes = np.concatenate([header, values])
    return cell
