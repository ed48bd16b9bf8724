"""The ways to run networks on a CPU, compared with the networks themselves."""

import pytest
import torch
from torch.nn import functional

from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.blocks import enlarge
from crsr_video.networks.codes import ByteConvolution, Codes, Scale, repeated_pixels, smoothing
from crsr_video.networks.fused import FusedNetwork
from crsr_video.networks.plan import convolutions, run_steps
from crsr_video.networks.quantised import QuantisedNetwork, RangeObserver
from crsr_video.networks.shuffle import (
    cubic_subpixels,
    fast_pixel_shuffle,
    pixel_shuffle_by_two,
    subpixels_first,
)
from tests.support.processor import needs_onednn, needs_vnni

SIZES = [(32, 32), (12, 40), (64, 64), (4, 4)]


def trained(make):
    """Return the network with small random weights, like a trained one."""
    torch.manual_seed(4)
    network = make().eval()
    for module in convolutions(network).values():
        torch.nn.init.normal_(module.weight, std=0.6 / module.weight[0].numel() ** 0.5)
        torch.nn.init.normal_(module.bias, std=0.02)
    with torch.no_grad():
        network.head.weight.mul_(0.02)
    return network.requires_grad_(False)


def networks():
    return [
        trained(lambda: Consistifier((8, 12, 16), 1)),
        trained(lambda: SuperResolver((8, 12, 16), (2, 1), 1, (1, 2))),
        textured(),
    ]


def textured():
    """Return a super-resolver with a texture head as strong as its fidelity head."""
    network = trained(lambda: SuperResolver((8, 12, 16), (2, 1), 1, (1, 2), tail=8))
    with torch.no_grad():
        network.tail.last.weight.mul_(0.02)
    network.texture = 0.7
    return network


NAMES = ["consistifier", "superresolver", "textured"]


def pictures(height=32, width=32, count=2):
    generator = torch.Generator().manual_seed(8)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    large = functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (large + 0.05 * torch.rand(large.shape, generator=generator)).clamp(0, 1)


def ranges_of(network):
    observer = RangeObserver(network)
    for size in (32, 64):
        run_steps(network, observer, pictures(size, size, 4))
    return observer.ranges


@needs_onednn
@torch.inference_mode()
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("network", networks(), ids=NAMES)
def test_fused_in_float32_is_the_network_itself(network, size):
    picture = pictures(*size)
    assert (FusedNetwork(network, torch.float32)(picture) - network(picture)).abs().max() < 2e-6


@needs_onednn
@torch.inference_mode()
@pytest.mark.parametrize("network", networks(), ids=NAMES)
def test_fused_in_bf16_is_as_close_as_the_network_in_bf16(network):
    picture, exact = pictures(), network(pictures())
    fused = FusedNetwork(network, torch.bfloat16)(picture)
    again = type(network)
    assert fused.dtype == torch.float32
    plain = again.forward(_copy(network).to(torch.bfloat16), picture)
    far = (plain - exact).abs().max()
    assert far > 0
    assert (fused - exact).abs().max() < 1.5 * far


def _copy(network):
    import copy

    return copy.deepcopy(network)


@needs_vnni
@torch.inference_mode()
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("network", networks(), ids=NAMES)
def test_eight_bits_lose_little(network, size):
    """This includes the edges, which are padded differently."""
    picture = pictures(*size)
    exact, found = network(picture), QuantisedNetwork(network, ranges_of(network))(picture)
    base = picture if network is None or isinstance(network, Consistifier) else enlarge(picture, 4)
    correction = (exact - base).square().mean().sqrt()
    error = (found - exact).square().mean().sqrt()
    assert found.shape == exact.shape
    assert correction > 1e-3
    assert error < 0.06 * correction


@needs_vnni
@torch.inference_mode()
@pytest.mark.parametrize("network", networks(), ids=NAMES)
def test_in_eight_bits_a_picture_does_not_depend_on_its_batch(network):
    quantised, batch = QuantisedNetwork(network, ranges_of(network)), pictures(count=3)
    together = quantised(batch)
    for index in range(3):
        assert torch.equal(quantised(batch[index : index + 1]), together[index : index + 1])


@needs_vnni
def test_ranges_of_another_network_are_refused():
    small, large, _ = networks()
    with pytest.raises(KeyError):
        QuantisedNetwork(large, ranges_of(small))(pictures())


@needs_vnni
@torch.inference_mode()
def test_a_fresh_network_in_eight_bits_corrects_nothing():
    network = SuperResolver((8, 12, 16), (1, 1), 1, (1, 1)).eval()
    assert (
        QuantisedNetwork(network, ranges_of(network))(pictures()) - network(pictures())
    ).abs().max() < 1e-6


@torch.inference_mode()
def test_a_way_leaves_weights_and_input_alone():
    network, picture = networks()[1], pictures()
    weights, before = network.head.weight.clone(), picture.clone()
    FusedNetwork(network, torch.bfloat16)(picture)
    assert torch.equal(network.head.weight, weights)
    assert torch.equal(picture, before)


@torch.inference_mode()
def test_walking_is_what_the_network_does():
    for network in networks():
        assert (
            run_steps(network, RangeObserver(network), pictures()) - network(pictures())
        ).abs().max() < 1e-5


@needs_onednn
@torch.inference_mode()
def test_without_texture_the_texture_head_takes_no_part():
    network, picture = textured(), pictures()
    network.texture = 0.0
    plain = FusedNetwork(network, torch.float32)(picture)
    torch.nn.init.normal_(network.tail.first.weight)
    assert torch.equal(FusedNetwork(network, torch.float32)(picture), plain)
    assert "tail.first" not in ranges_of(network)


@torch.inference_mode()
def test_pixel_shuffle_by_two_shuffles_reordered_channels():
    x = torch.rand(2, 12, 5, 7)
    ordered = subpixels_first(x.transpose(0, 1)).transpose(0, 1)
    found = pixel_shuffle_by_two(ordered.contiguous(memory_format=torch.channels_last))
    assert torch.equal(found, functional.pixel_shuffle(x, 2))
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", [(5, 7), (16, 16)])
@torch.inference_mode()
def test_the_cheap_shuffle_moves_the_same_numbers(factor, size):
    x = torch.rand(2, 3 * factor**2, *size).contiguous(memory_format=torch.channels_last)
    found = fast_pixel_shuffle(x, factor)
    assert found.is_contiguous()
    assert torch.equal(found, functional.pixel_shuffle(x, factor))


@torch.inference_mode()
def test_cubic_subpixels_are_the_enlarged_picture():
    picture = pictures(16, 20)
    assert (
        fast_pixel_shuffle(cubic_subpixels(picture, 4), 4) - enlarge(picture, 4)
    ).abs().max() < 1e-6


def test_repeated_and_smoothed_pixels_are_bilinear():
    x = torch.randint(0, 256, (2, 5, 6, 9), dtype=torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    expected = functional.interpolate(x.float(), scale_factor=2, mode="bilinear")
    found = functional.conv2d(repeated_pixels(x).float(), smoothing(5), groups=5)
    assert (found - expected).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("low", "high"), [(-3.0, 5.0), (0.0, 2.0), (1.0, 2.0), (-2.0, -1.0), (0, 0)]
)
def test_zero_is_always_a_code(low, high):
    scale = Scale.of(low, high)
    assert 0 <= scale.zero <= 255
    assert scale.step * (255 - scale.zero) >= high - scale.step
    assert -scale.step * scale.zero <= low + scale.step


@needs_vnni
@torch.inference_mode()
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0)])
@pytest.mark.parametrize("zero", [0, 100])
def test_a_convolution_of_codes_means_what_it_says(stride, padding, zero):
    torch.manual_seed(2)
    weight, bias = torch.randn(6, 5, 3, 3), torch.randn(6)
    data = torch.randint(0, 256, (2, 5, 9, 11), dtype=torch.uint8)
    codes = Codes(data.contiguous(memory_format=torch.channels_last), Scale(0.01, zero))
    layer = ByteConvolution(weight, bias, codes, stride=stride, padding=padding)
    values = 0.01 * (data.float() - zero)
    expected = functional.conv2d(values, weight, bias, stride, padding)
    assert (layer.values(codes) - expected).abs().max() < 0.01 * expected.abs().max()
    scale = Scale.of(float(expected.min()), float(expected.max()))
    found = layer(codes, scale)
    assert (scale.step * (found.data.float() - scale.zero) - expected).abs().max() < 2 * scale.step
    onto = Codes(torch.full_like(found.data, 30), Scale(scale.step, 20))
    added = layer(codes, Scale(2 * scale.step, scale.zero // 2), onto=onto)
    meant = 2 * scale.step * (added.data.float() - scale.zero // 2)
    assert (meant - 10 * scale.step - expected).abs().max() < 4 * scale.step
