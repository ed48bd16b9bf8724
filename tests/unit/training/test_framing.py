from pathlib import Path

import numpy as np

from crsr_video.training.data import Faces, Tier, batch, choose_tier
from crsr_video.training.genuine import NPZ_FRAME, FramedFaces, framed
from crsr_video.training.prepare import prepare
from tests.unit.training.made_faces import make_folder


def packed(folder: Path) -> Path:
    make_folder(folder / "faces", {"train": [128, 256]})
    prepare(folder / "faces", folder / "faces.pack")
    return folder / "faces.pack"


def test_framed_faces_are_the_middle_of_whole_ones(tmp_path) -> None:
    path = packed(tmp_path)
    whole, cut = Faces(path, "train"), FramedFaces(path, "train")
    assert cut.count(64) == 2 and cut.count(128) == 1 and cut.count(512) == 0
    small, large = cut.at(0, 64), cut.at(1, 64)
    assert small.shape == (64, 64, 3) and large.shape == (128, 128, 3)
    assert np.array_equal(large, framed(whole.at(1, 128), 128))
    assert cut.at(1, 64) is large  # cut once


def test_framed_faces_make_batches(tmp_path) -> None:
    faces = FramedFaces(packed(tmp_path), "train")
    tier = choose_tier(faces, np.random.default_rng(0), (Tier(16, 16, 3, 1.0),))
    assert batch(faces, tier, np.random.default_rng(0)).shape == (3, 3, 64, 64)
    assert NPZ_FRAME.scale < 1
