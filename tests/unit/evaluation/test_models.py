from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from crsr_video.evaluation.models import Embedder, same_person
from crsr_video.imaging.geometry import crop_from_frame
from crsr_video.imaging.warping import warp
from crsr_video.track.recognition import cosine
from tests.support.face_models import face_model

MODELS = util.find_spec("face_recognition_models")
needs_dlibs_models = pytest.mark.skipif(MODELS is None, reason="dlib's models are not installed")


def astronaut(size: int = 256) -> tuple[np.ndarray, torch.Tensor]:
    """A photograph, and the canonical crop of its face by given landmarks."""
    picture = data.astronaut()
    points = [[203, 101], [247, 103], [223, 130], [201, 139], [246, 140]]
    crop = warp(picture, crop_from_frame(points, size), size, size).clip(0, 255) / 255
    return picture, torch.from_numpy(crop).permute(2, 0, 1)


def test_likeness_of_known_vectors() -> None:
    a, b = np.array([[1.0, 0], [2, 0]]), np.array([[0, 3.0], [1.5, 0]])
    assert cosine(a, b).tolist() == [0, 1]
    assert same_person(a, b).tolist() == [False, True]


@needs_dlibs_models
def test_the_embedding_is_close_to_that_of_dlibs_own_alignment() -> None:
    dlib = pytest.importorskip("dlib")
    picture, crop = astronaut()
    folder = Path(MODELS.submodule_search_locations[0]) / "models"
    predictor = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    shape = predictor(picture, dlib.rectangle(182, 78, 270, 166))
    chip = dlib.get_face_chip(picture, shape, size=150, padding=0.25)
    network = dlib.face_recognition_model_v1(
        str(folder / "dlib_face_recognition_resnet_model_v1.dat")
    )
    expected = np.array(network.compute_face_descriptor(chip))
    assert np.linalg.norm(Embedder()(crop[None])[0] - expected) < 0.35  # strangers: 0.8


def test_identity_falls_with_quality() -> None:
    face_model("recognition")
    crop = astronaut()[1][None]
    blurred = [torch.nn.functional.avg_pool2d(crop, k, 1, k // 2) for k in (9, 27)]
    found = Embedder()(torch.cat([crop, *blurred, crop]))
    likeness = cosine(found, np.repeat(found[:1], 4, 0))
    assert likeness[0] == pytest.approx(1) and likeness[3] == pytest.approx(1)
    assert 1 > likeness[1] > likeness[2]
