"""The part of a crop that is computed."""

import numpy as np
import pytest
import torch

from crsr_video.imaging.masks import face_mask, window
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.runtime.backends import runner
from crsr_video.runtime.backends.windowed import Windowed
from crsr_video.runtime.devices import place


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_the_window_holds_the_mask_and_not_much_more(size):
    rows, columns = window(size)
    outside = np.ones((size, size), bool)
    outside[rows, columns] = False
    assert not face_mask(size)[outside].any()
    assert outside.mean() > 0.3
    assert all(n % 4 == 0 for part in (rows, columns) for n in (part.start, part.stop))


def doubtful(network):
    """With weights that are not zero anywhere."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return network.eval()


@pytest.mark.parametrize("make, factor", [(Consistifier, 1), (SuperResolver, 4)])
def test_inside_is_the_networks_own_result_and_outside_nothing_is_added(make, factor, rng):
    network = doubtful(make())
    picture = torch.from_numpy(rng.random((2, 3, 64, 64), np.float32))
    with torch.inference_mode():
        made = Windowed(network, factor, (64,))(picture)
        rows, columns = window(64)
        inside = network(picture[..., rows, columns])
        nothing = torch.nn.functional.interpolate(
            picture, scale_factor=factor, mode="bicubic", align_corners=False
        )
    rows, columns = window(64 * factor)
    torch.testing.assert_close(made[..., rows, columns], inside)
    outside = torch.ones(64 * factor, 64 * factor, dtype=torch.bool)
    outside[rows, columns] = False
    away = (made - (nothing if factor > 1 else picture))[..., outside].abs().max()
    assert away < 1e-5
    assert (made - nothing).abs().max() > 0.001


def test_other_sides_are_computed_whole(rng):
    picture = torch.from_numpy(rng.random((1, 3, 32, 32), np.float32))
    network = doubtful(SuperResolver())
    with torch.inference_mode():
        torch.testing.assert_close(Windowed(network, 4, (64,))(picture), network(picture))


def test_a_runner_may_be_windowed(rng):
    picture = rng.random((1, 3, 64, 64), np.float32)
    network = doubtful(SuperResolver())
    made = runner(network, place("cpu", "fp32"), windowed=(64,))(picture)
    whole = runner(network, place("cpu", "fp32"))(picture)
    rows, columns = window(256)
    middle = slice(rows.start + 64, rows.stop - 64), slice(columns.start + 64, columns.stop - 64)
    assert np.abs(made - whole)[..., 0, 0].max() > 0
    assert np.abs(made - whole)[..., *middle].max() < 0.02
