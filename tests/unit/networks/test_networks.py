import cv2
import numpy as np
import pytest
import torch

from crsr_video.networks import (
    MULTIPLE,
    BackgroundNetwork,
    Bicubic,
    Consistifier,
    FeatureDiscriminator,
    IdentityConsistifier,
    SuperResolver,
)
from crsr_video.networks.blocks import enlarge, without_lattice

SMALL_C = {"channels": (4, 6, 8), "middle": 1}
SMALL_SR = {"channels": (4, 6, 8), "down": (1, 1), "middle": 1, "up": (1, 1)}


def pictures(height=16, width=24, count=2):
    torch.manual_seed(5)
    return torch.rand(count, 3, height, width)


def stirred(network):
    """Return the network with every parameter random, as if trained."""
    torch.manual_seed(6)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (12, 40), (MULTIPLE, MULTIPLE)])
def test_the_consistifier_keeps_the_size(size):
    output = stirred(Consistifier(**SMALL_C))(pictures(*size))
    assert output.shape == (2, 3, *size)
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (12, 40), (MULTIPLE, MULTIPLE)])
@pytest.mark.parametrize("network", [Bicubic(), stirred(SuperResolver(**SMALL_SR))])
def test_super_resolvers_enlarge_four_times(network, size):
    height, width = size
    output = network(pictures(height, width))
    assert output.shape == (2, 3, 4 * height, 4 * width)
    assert torch.isfinite(output).all()
    assert network.factor == 4


@torch.inference_mode()
def test_the_default_networks_start_as_identity_and_bicubic():
    x = pictures(16, 16, 1)
    assert torch.equal(Consistifier()(x), x)
    assert torch.equal(SuperResolver()(x), Bicubic()(x))
    assert torch.equal(IdentityConsistifier()(x), x)


@torch.inference_mode()
@pytest.mark.parametrize("factor", BackgroundNetwork.factors)
def test_the_background_network_starts_as_the_bicubic_enlargement(factor):
    x = pictures(16, 22, 1)
    assert torch.equal(BackgroundNetwork()(x, factor), enlarge(x, factor))


@torch.inference_mode()
@pytest.mark.parametrize("factor", BackgroundNetwork.factors)
def test_the_background_network_sees_no_farther_than_its_reach(factor):
    network = stirred(BackgroundNetwork(channels=6, width=4))
    x = pictures(96, 96, 1)
    changed = x.clone()
    changed[..., 48, 48] += 1
    difference = (network.correction(x, factor) - network.correction(changed, factor)).abs()
    seen = difference.sum((0, 1)).nonzero() // factor - 48
    assert 8 < seen.abs().max() <= network.reach


@pytest.mark.parametrize(
    "make", [lambda: Consistifier(**SMALL_C), lambda: SuperResolver(**SMALL_SR)]
)
def test_a_first_step_of_training_can_leave_the_start(make):
    """All-zero heads must still receive a gradient."""
    network = make()
    output = network(pictures())
    (output - 0.3).square().mean().backward()
    assert network.head.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "make", [lambda: Consistifier(**SMALL_C), lambda: SuperResolver(**SMALL_SR)]
)
def test_every_parameter_matters(make):
    network = stirred(make())
    network(pictures()).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if not p.grad.abs().max() > 0]
    assert not silent


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_bicubic_keeps_a_constant_colour(value):
    colour = torch.tensor([value, 0.5, 1 - value]).view(1, 3, 1, 1)
    output = Bicubic()(colour.expand(1, 3, 8, 8))
    assert (output - colour).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_follows_the_half_pixel_rule(factor):
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    output = enlarge(ramp, factor)[0, 0, 8].numpy()
    expected = (np.arange(16 * factor) + 0.5) / factor - 0.5
    inner = slice(3 * factor, -3 * factor)
    # The kernel bends a ramp by up to 0.048 of a step; a wrong rule would be off by 0.25 or more.
    assert np.abs(output - expected)[inner].max() < 0.05
    assert output + output[::-1] == pytest.approx(15 * np.ones_like(output), abs=1e-4)


def test_enlarging_is_what_opencv_calls_cubic():
    """Paste subtracts OpenCV's enlargement from the network's: they must agree to far below a
    code of 16 bits."""
    x = pictures(20, 20, 1)
    ours = enlarge(x, 4)[0].permute(1, 2, 0).numpy()
    theirs = cv2.resize(
        x[0].permute(1, 2, 0).contiguous().numpy(), (80, 80), interpolation=cv2.INTER_CUBIC
    )
    assert np.abs(ours - theirs).max() < 2e-6


@torch.inference_mode()
def test_shifting_the_input_by_a_cell_shifts_the_output():
    consistifier, resolver = stirred(Consistifier(**SMALL_C)), stirred(SuperResolver(**SMALL_SR))
    x = pictures(96, 96, 1)
    moved = x.roll(MULTIPLE, -1)
    far = slice(44, 52)  # beyond the reach of the borders
    a, b = consistifier(x)[..., far, 44:48], consistifier(moved)[..., far, 48:52]
    assert (a - b).abs().max() < 1e-5
    a, b = resolver(x)[..., 176:208, 176:192], resolver(moved)[..., 176:208, 192:208]
    assert (a - b).abs().max() < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize(
    "make", [lambda: Consistifier(**SMALL_C), lambda: SuperResolver(**SMALL_SR)]
)
def test_half_precision_keeps_a_fine_picture(make):
    """Only the correction is computed in bf16, so the picture keeps all its levels."""
    network = make().to(torch.bfloat16)  # still begins as identity or bicubic
    x = torch.linspace(0.4, 0.6, 16 * 16).view(1, 1, 16, 16).repeat(1, 3, 1, 1)
    output = network(x)
    assert output.dtype == torch.float32
    exact = make()(x)
    assert torch.equal(output, exact)


@torch.inference_mode()
def test_pictures_in_a_batch_do_not_mix():
    network = stirred(SuperResolver(**SMALL_SR))
    x = pictures(16, 16, 3)
    together = network(x)
    for index in range(3):
        alone = network(x[index : index + 1])[0]
        assert (together[index] - alone).abs().max() < 1e-5


def resolver_with_texture():
    torch.manual_seed(3)
    return SuperResolver(**SMALL_SR, tail=4)


@torch.inference_mode()
def test_a_fresh_texture_head_adds_nothing():
    network, x = resolver_with_texture(), pictures()
    plain = network(x)
    network.texture = 1.0
    assert torch.equal(network(x), plain)


@torch.inference_mode()
def test_a_fresh_texture_head_draws_no_checkerboard():
    """All sub-pixels of a pixel begin equal (ICNR)."""
    kernels = resolver_with_texture().tail.first.weight.unflatten(0, (-1, 4))
    assert (kernels == kernels[:, :1]).all()


def test_every_parameter_of_the_texture_head_matters():
    network = stirred(resolver_with_texture())
    network.texture = 1.0
    network(pictures()).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in network.parameters())


@torch.inference_mode()
def test_texture_zero_is_the_fidelity_head():
    with_tail, without = stirred(resolver_with_texture()), SuperResolver(**SMALL_SR)
    state = {k: v for k, v in with_tail.state_dict().items() if not k.startswith("tail.")}
    without.load_state_dict(state)
    assert torch.equal(with_tail(pictures()), without(pictures()))


def test_the_feature_discriminator_judges_maps_and_pixels():
    network = FeatureDiscriminator((3, 5), (4, 6), (2, 1), pixels=4)
    maps = [torch.rand(2, 3, 16, 16), torch.rand(2, 5, 8, 8), torch.rand(2, 7, 4, 4)]
    verdicts = network(torch.rand(2, 3, 32, 32), maps)
    assert [tuple(v.shape) for v in verdicts] == [(2, 1, 8, 8), (2, 1, 8, 8), (2, 1, 8, 8)]
    sum(v.sum() for v in verdicts).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_random_mixtures_of_a_discriminator_are_always_the_same():
    first, second = (FeatureDiscriminator((3,), (4,), (1,)).mixture_0 for _ in range(2))
    assert torch.equal(first, second)


@torch.inference_mode()
def test_no_pattern_of_the_input_grid_is_left_of_a_correction():
    noise = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    tile = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    cleaned = without_lattice(0.1 * noise + tile.repeat(1, 1, 16, 24))
    assert (cleaned - without_lattice(0.1 * noise)).abs().max() < tile.abs().mean() * 1.5
    left = cleaned.unflatten(3, (24, 4)).unflatten(2, (16, 4)).mean((2, 4))
    assert (left - left.mean((2, 3), keepdim=True)).abs().max() < 0.01


@torch.inference_mode()
def test_a_value_that_all_subpixels_share_is_no_lattice():
    smooth = torch.nn.functional.interpolate(pictures(4, 4), size=(64, 64), mode="bicubic")
    assert (without_lattice(smooth) - smooth).abs().max() < 0.05
    flat = torch.full((1, 3, 32, 32), 0.3)
    assert torch.allclose(without_lattice(flat), flat)
