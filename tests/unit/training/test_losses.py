import pytest
import torch

from crsr_video.networks import Discriminator
from crsr_video.training import losses
from crsr_video.training.losses import charbonnier


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


def test_hinge_stops_caring_beyond_the_margin() -> None:
    sure = torch.full((2, 1, 3, 3), 1.5)
    assert losses.hinge_discriminator(sure, -sure).item() == 0
    assert losses.hinge_discriminator(-sure, sure).item() == pytest.approx(5.0)
    assert losses.hinge_discriminator(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(2.0)


def test_the_generator_wants_high_scores() -> None:
    score = torch.tensor([1.0, 3.0], requires_grad=True)
    loss = losses.hinge_generator(score)
    loss.backward()
    assert loss.item() == pytest.approx(-2.0)
    assert score.grad is not None and torch.equal(score.grad, torch.tensor([-0.5, -0.5]))


def test_spectral_norm_bounds_a_discriminators_slope() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=4, halvings=1)
    with torch.no_grad():
        for layer in discriminator.layers:
            layer.parametrizations.weight.original.mul_(50)
    picture = torch.rand(2, 3, 16, 16)
    for _ in range(30):  # power iterations: one a call
        discriminator(picture)
    discriminator.eval()
    with torch.no_grad():
        step = discriminator(picture + 1e-3)[-1] - discriminator(picture)[-1]
    # Three layers and a score of 3x3 and 4x4 kernels: each matrix has norm 1, each convolution
    # at most the square root of its kernel's size.
    assert step.abs().max() < 1e-3 * 3 * 4 * 3 * 3 * 16


def test_low_frequency_difference_sees_low_frequencies_only() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    stripes = flat.clone()
    stripes[..., ::2] += 0.2
    stripes[..., 1::2] -= 0.2
    assert losses.low_frequency_difference(stripes, flat, 8).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.low_frequency_difference(flat + 0.1, flat, 8).item() == pytest.approx(
        0.099, abs=1e-4
    )
