import numpy as np
import pytest
import torch

from crsr_video.imaging.chips import chip_from_crop
from crsr_video.imaging.geometry import TEMPLATE, apply
from crsr_video.imaging.tensor_chips import chips
from crsr_video.weights.packages import load_recognition
from tests.support.face_models import face_model


def test_eyes_come_to_lie_where_dlib_wants_them() -> None:
    for size in (64, 512):
        eyes = apply(chip_from_crop(size), TEMPLATE[:2] * size - 0.5)
        assert eyes == pytest.approx(np.array([[47.7, 47.0], [102.3, 47.0]]), abs=6)


def test_a_part_of_the_crop_shows_the_same_face() -> None:
    scale, dy = 0.65, -0.01
    middle = np.array([[127.5, 127.5 + 256 * dy]])
    part = apply(chip_from_crop(256, scale, dy), [[127.5, 127.5]])
    assert part == pytest.approx(apply(chip_from_crop(256), middle), abs=0.2)


def test_chips_follow_their_transform() -> None:
    crop = torch.zeros(1, 3, 256, 256)
    crop[..., 110:134, :] = 1  # a band over the eyes of the template, which lie at 0.47
    seen = chips(crop)[0, 0].mean(1)
    rows = torch.arange(150.0)
    middle = float((rows * seen).sum() / seen.sum()) / 150
    assert chips(crop).shape == (1, 3, 150, 150)
    assert abs(middle - 0.3142) < 0.04


def test_our_recognition_network_agrees_with_dlib() -> None:
    """The expected values are those of dlib 20.0.1's own `face_recognition_model_v1`."""
    chip = np.random.default_rng(0).integers(0, 256, (150, 150, 3), np.uint8)
    x = torch.from_numpy(chip).permute(2, 0, 1)[None].float() / 255
    embedding, _ = load_recognition(face_model("recognition"))(x)
    expected = [-0.09219, -0.086401, -0.25115, 0.143045, 0.21494, -0.097385, -0.062993, 0.133079]
    assert embedding[0, ::16].numpy() == pytest.approx(np.array(expected), abs=1e-5)
