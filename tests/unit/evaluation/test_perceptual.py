import sys
import types

import numpy as np
import pytest
import torch
from scipy import ndimage

from crsr_video.errors import TrainingError
from crsr_video.evaluation import perceptual
from crsr_video.evaluation.perceptual import Inception, gmsd, lpips


def slow_gmsd(x: np.ndarray, y: np.ndarray) -> float:
    """As the paper has it, on values in [0, 255]; (3, H, W)."""
    maps = []
    for picture in (x, y):
        luma = np.tensordot([0.299, 0.587, 0.114], picture * 255, 1)
        half = luma.reshape(luma.shape[0] // 2, 2, luma.shape[1] // 2, 2).mean((1, 3))
        parts = [ndimage.prewitt(half, axis=axis) / 3 for axis in (0, 1)]
        maps.append(np.hypot(*parts)[1:-1, 1:-1])
    a, b = maps
    return ((2 * a * b + 170) / (a**2 + b**2 + 170)).std()


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 24, 20, generator=generator)
    return (truth + 0.2 * torch.randn(truth.shape, generator=generator)).clamp(0, 1), truth


def test_gmsd_agrees_with_a_slow_reference(pictures) -> None:
    made, truth = pictures
    expected = [
        slow_gmsd(a.double().numpy(), b.double().numpy()) for a, b in zip(*pictures, strict=True)
    ]
    assert gmsd(made, truth).tolist() == pytest.approx(expected, abs=1e-5)


def test_gmsd_of_the_truth_is_nothing_and_of_a_blur_is_not(pictures) -> None:
    truth = pictures[1]
    blurred = torch.nn.functional.avg_pool2d(truth, 5, 1, 2)
    assert gmsd(truth, truth).max() == 0
    assert gmsd(blurred, truth).min() > 0.05


def test_lpips_says_what_is_missing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(perceptual.util, "find_spec", lambda _: None)
    with pytest.raises(TrainingError, match="package lpips"):
        lpips()
    monkeypatch.setattr(perceptual.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(TrainingError, match="alexnet"):
        lpips()


def test_lpips_is_used_when_its_weights_are_here(monkeypatch, tmp_path, pictures) -> None:
    class Fake(torch.nn.Module):
        def forward(self, x, y, normalize):
            assert normalize
            return (x - y).abs().mean((1, 2, 3), keepdim=True)

    fake = types.SimpleNamespace(LPIPS=lambda **_: Fake())
    monkeypatch.setitem(sys.modules, "lpips", fake)
    monkeypatch.setattr(perceptual.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-1.pth").touch()
    assert lpips()(*pictures).shape == (2,)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is old, as is Inception.
def test_inception_is_asked_for_features_if_it_knows_them(tmp_path) -> None:
    class Asked(torch.nn.Module):
        def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return x.float().mean((2, 3)) + (1 if return_features else 0)

    torch.jit.script(Asked()).save(str(tmp_path / "network.pt"))
    features = Inception(tmp_path / "network.pt")(torch.full((2, 3, 8, 8), 0.2))
    assert features.tolist() == [[52] * 3] * 2


def test_no_inception_network(tmp_path) -> None:
    path = tmp_path / "network.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="TorchScript"):
        Inception(path)
