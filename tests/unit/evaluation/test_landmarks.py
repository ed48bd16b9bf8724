import numpy as np
import pytest
import torch

from crsr_video.errors import FaceModelError
from crsr_video.evaluation.models import FaceAnalyser, frame_of
from crsr_video.imaging.geometry import TEMPLATE
from crsr_video.io.pictures import as_rgb

from .test_models import astronaut


def test_a_picture_as_a_frame() -> None:
    picture = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    rgb = as_rgb(frame_of(picture)).transpose(2, 0, 1)
    np.testing.assert_allclose(rgb / 255, picture.numpy(), atol=0.5 / 255 + 1e-6)


def test_missing_models_are_not_fetched(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CRSR_VIDEO_FACE_MODELS", str(tmp_path))
    with pytest.raises(FaceModelError, match="--fetch"):
        FaceAnalyser()


@pytest.mark.parametrize("size", [64, 256])
def test_features_are_found_and_worse_ones_are_farther(size) -> None:
    crop = astronaut(size)[1]
    spoilt = torch.nn.functional.avg_pool2d(crop[None], size // 16)
    spoilt = torch.nn.functional.interpolate(spoilt, size=(size, size), mode="bicubic")[0]
    with FaceAnalyser() as reader:
        truth = reader.landmarks(crop)
        np.testing.assert_allclose((truth.points + 0.5) / size, TEMPLATE, atol=0.04)
        assert reader.distance(crop, truth) == pytest.approx(0, abs=0.01)
        assert 0.02 < reader.distance(spoilt, truth) < 0.6
        assert reader.confidence(crop) > 0.8 > reader.confidence(torch.zeros(3, size, size))
