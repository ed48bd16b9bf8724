import importlib
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from crsr_video.errors import TrainingError
from crsr_video.evaluation import identity
from crsr_video.evaluation.identity import Embedder, chip, chip_from_crop, cosine, same_person
from crsr_video.imaging.geometry import TEMPLATE, apply, crop_from_frame, scale_of
from crsr_video.imaging.warping import warp
from crsr_video.training.genuine import NPZ_FRAME

has_dlib = all(util.find_spec(name) for name in ("dlib", "face_recognition_models"))
needs_dlib = pytest.mark.skipif(not has_dlib, reason="the eval extra is not installed")


def astronaut(size: int = 256) -> tuple[np.ndarray, torch.Tensor]:
    """A photograph, and the canonical crop of its face by given landmarks."""
    picture = data.astronaut()
    points = [[203, 101], [247, 103], [223, 130], [201, 139], [246, 140]]
    crop = warp(picture, crop_from_frame(points, size), size, size).clip(0, 255) / 255
    return picture, torch.from_numpy(crop).permute(2, 0, 1)


def test_eyes_come_to_lie_where_dlib_wants_them() -> None:
    for size in (64, 512):
        eyes = apply(chip_from_crop(size), TEMPLATE[:2] * size - 0.5)
        assert eyes == pytest.approx(np.array([[47.7, 47.0], [102.3, 47.0]]), abs=6)
    assert scale_of(chip_from_crop(1)) == pytest.approx(identity.USEFUL_CROP_PX, rel=0.02)


def test_a_framing_shows_the_same_face_larger() -> None:
    middle = np.array([[127.5, 127.5 + 256 * NPZ_FRAME.dy]])
    framed = apply(chip_from_crop(256, NPZ_FRAME), [[127.5, 127.5]])
    assert framed == pytest.approx(apply(chip_from_crop(256), middle), abs=0.2)


def test_likeness_of_known_vectors() -> None:
    a, b = np.array([[1.0, 0], [2, 0]]), np.array([[0, 3.0], [1.5, 0]])
    assert cosine(a, b).tolist() == [0, 1]
    assert same_person(a, b).tolist() == [False, True]


def test_what_is_missing_is_said(monkeypatch) -> None:
    monkeypatch.setattr(identity, "import_module", lambda _: importlib.import_module("no_dlib"))
    with pytest.raises(TrainingError, match=r"crsr-video\[eval\]"):
        Embedder()


@needs_dlib
def test_the_chip_is_dlibs_own() -> None:
    dlib = importlib.import_module("dlib")
    picture, crop = astronaut()
    folder = Path(util.find_spec("face_recognition_models").submodule_search_locations[0])
    predictor = dlib.shape_predictor(str(folder / "models/shape_predictor_5_face_landmarks.dat"))
    shape = predictor(picture, dlib.rectangle(182, 78, 270, 166))
    theirs = dlib.get_face_chip(picture, shape, size=150, padding=0.25)
    embedder = Embedder()
    network = embedder._network
    wanted = np.array(network.compute_face_descriptor(theirs))
    assert np.linalg.norm(embedder(crop[None])[0] - wanted) < 0.35  # strangers: 0.8


@needs_dlib
def test_identity_falls_with_quality_and_is_cached() -> None:
    crop = astronaut()[1][None]
    blurred = [torch.nn.functional.avg_pool2d(crop, k, 1, k // 2) for k in (9, 27)]
    embedder = Embedder()
    found = embedder(torch.cat([crop, *blurred, crop]))
    likeness = cosine(found, np.repeat(found[:1], 4, 0))
    assert likeness[0] == likeness[3] == pytest.approx(1)
    assert 1 > likeness[1] > likeness[2]
    assert embedder.cached_faces == 3
    assert chip(crop[0]).shape == (150, 150, 3)
