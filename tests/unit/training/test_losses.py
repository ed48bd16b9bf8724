import pytest
import torch

from crsr_video.networks import Discriminator
from crsr_video.training import losses
from crsr_video.training.losses import characteristic, charbonnier


def test_charbonnier_is_zero_where_both_agree() -> None:
    picture = torch.rand(2, 3, 8, 8)
    assert charbonnier(picture, picture).item() == pytest.approx(0.0, abs=1e-8)


def test_charbonnier_is_nearly_l1_for_large_differences() -> None:
    zero = torch.zeros(1, 3, 4, 4)
    assert charbonnier(zero, zero + 0.5).item() == pytest.approx(0.499, abs=1e-5)


def test_charbonnier_has_a_gradient_that_vanishes_at_zero() -> None:
    picture = torch.zeros(4, requires_grad=True)
    charbonnier(picture, torch.zeros(4)).backward()
    assert picture.grad is not None and torch.equal(picture.grad, torch.zeros(4))


def test_charbonnier_counts_in_float32() -> None:
    half = torch.full((1000,), 0.1, dtype=torch.bfloat16)
    assert charbonnier(half, torch.zeros(1000)).dtype == torch.float32


def test_characteristic_weighs_its_two_terms() -> None:
    truth = torch.zeros(4, 3, 8, 8)
    consistent, kept = truth + 0.2, truth[:2] + 0.1
    toward = characteristic(consistent, kept, truth, toward=1.0, keep=0.0).item()
    keep = characteristic(consistent, kept, truth, toward=0.0, keep=1.0).item()
    both = characteristic(consistent, kept, truth, toward=2.0, keep=3.0).item()
    assert toward == pytest.approx(0.199, abs=1e-5)
    assert keep == pytest.approx(0.099, abs=1e-5)
    assert both == pytest.approx(2 * toward + 3 * keep)


def test_hinge_stops_caring_beyond_the_margin() -> None:
    sure = torch.full((2, 1, 3, 3), 1.5)
    assert losses.hinge_critic(sure, -sure).item() == 0
    assert losses.hinge_critic(-sure, sure).item() == pytest.approx(5.0)
    assert losses.hinge_critic(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(2.0)


def test_the_maker_wants_high_verdicts() -> None:
    verdict = torch.tensor([1.0, 3.0], requires_grad=True)
    loss = losses.hinge_maker(verdict)
    loss.backward()
    assert loss.item() == pytest.approx(-2.0)
    assert verdict.grad is not None and torch.equal(verdict.grad, torch.tensor([-0.5, -0.5]))


def test_feature_matching_compares_features_but_not_verdicts() -> None:
    real = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2, 2)]
    made = [real[0] + 1, real[1] + 3, real[2] + 100]
    assert losses.feature_matching(real, made).item() == pytest.approx(2.0)


def test_spectral_norm_bounds_a_critics_slope() -> None:
    torch.manual_seed(0)
    critic = Discriminator(channels=4, halvings=1)
    with torch.no_grad():
        for layer in critic.layers:
            layer.parametrizations.weight.original.mul_(50)
    picture = torch.rand(2, 3, 16, 16)
    for _ in range(30):  # power iterations: one a call
        critic(picture)
    critic.eval()
    with torch.no_grad():
        step = critic(picture + 1e-3)[-1] - critic(picture)[-1]
    # Three layers and a verdict of 3x3 and 4x4 kernels: each matrix has norm 1, each convolution
    # at most the square root of its kernel's size.
    assert step.abs().max() < 1e-3 * 3 * 4 * 3 * 3 * 16


@pytest.mark.parametrize("loss", [losses.identity, losses.cycle])
def test_identity_and_cycle_want_the_same_picture(loss) -> None:
    picture = torch.rand(2, 3, 8, 8)
    assert loss(picture, picture).item() == pytest.approx(0.0, abs=1e-8)
    assert loss(picture + 0.1, picture).item() == pytest.approx(0.099, abs=1e-4)


def test_content_sees_low_frequencies_only() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    stripes = flat.clone()
    stripes[..., ::2] += 0.2
    stripes[..., 1::2] -= 0.2
    assert losses.content(stripes, flat, 8).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.content(flat + 0.1, flat, 8).item() == pytest.approx(0.099, abs=1e-4)
