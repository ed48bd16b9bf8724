import numpy as np
import pytest
import torch

from crsr_video.training.camera import (
    Grid,
    add_noise,
    codes_from_light,
    exposed,
    light_from_codes,
    resampled,
    sensor,
)


def grid(step: float, side: int, start: tuple[float, float] = (0.0, 0.0), count: int = 1) -> Grid:
    return Grid(torch.tensor([start] * count), torch.full((count,), step), side)


def ramp(side: int = 64) -> torch.Tensor:
    """Return a picture whose first channel is y / side, and whose second is x / side."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([y, x, x + y]).float()[None] / side


@pytest.mark.parametrize("step", [0.7, 1.0, 1.3, 4.0])
def test_both_samplers_keep_constants_and_look_where_they_are_told(step: float) -> None:
    places = grid(step, 8, (10.25, 12.5))
    defocus = torch.tensor([1.5])
    for look in (lambda p: sensor(p, places, defocus), lambda p: resampled(p, places)):
        assert torch.allclose(look(torch.full((1, 3, 64, 64), 0.3)), torch.tensor(0.3), atol=1e-5)
        seen = look(ramp()) * 64
        expected = torch.arange(8) * step
        assert torch.allclose(seen[0, 0, :, 3], expected + 10.25, atol=0.06)
        assert torch.allclose(seen[0, 1, 3], expected + 12.5, atol=0.06)


def test_resampling_on_the_same_grid_changes_nothing() -> None:
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resampled(pictures, grid(1.0, 16, count=2)), pictures, atol=1e-6)


def test_pictures_are_mirrored_beyond_their_edges() -> None:
    pictures = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = resampled(pictures, grid(1.0, 24, (-8.0, -8.0)))
    rows = torch.cat([pictures.flip(2), pictures, pictures.flip(2)], 2)
    assert torch.allclose(seen, torch.cat([rows.flip(3), rows, rows.flip(3)], 3), atol=1e-6)


def test_defocus_is_gaussian_and_as_wide_as_asked() -> None:
    point = torch.zeros(1, 3, 65, 65)
    point[..., 32, 32] = 1
    seen = sensor(point, grid(1.0, 65), torch.tensor([3.0]))[0, 0]
    place = torch.arange(65.0) - 32
    assert float(seen.sum()) == pytest.approx(1, abs=1e-3)
    # A cell is one pixel wide, which adds 1/12, and so does what a pixel is.
    assert float((seen.sum(0) * place**2).sum()) == pytest.approx(9 + 2 / 12, rel=0.03)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
def test_motion_blur_is_a_centred_line(angle: float) -> None:
    point = torch.zeros(2, 3, 65, 65)
    point[..., 32, 32] = 1
    way = torch.tensor([np.sin(angle), np.cos(angle)], dtype=torch.float32)
    smear = torch.stack([9 * way, 0 * way])
    seen = exposed(point, grid(1.0, 65, count=2), torch.ones(2), smear)[:, 0]
    place = torch.arange(65.0) - 32
    y, x = place[:, None], place[None]
    along, across = way[0] * y + way[1] * x, way[1] * y - way[0] * x
    assert float((seen[0] * along).sum()) == pytest.approx(0, abs=1e-3)
    assert float((seen[0] * across).sum()) == pytest.approx(0, abs=1e-3)
    spread = [float((s * along**2).sum()) for s in seen]
    assert spread[0] - spread[1] == pytest.approx(81 / 12, rel=0.1)
    assert float((seen[0] * across**2).sum()) == pytest.approx(
        float((seen[1] * across**2).sum()), rel=0.05
    )


def test_noise_is_as_strong_as_asked_and_repeats_by_seed() -> None:
    grey = torch.full((2, 3, 128, 128), 0.5)
    read, shot = torch.tensor([4 / 255, 0.0]), torch.tensor([6 / 255, 0.0])
    first, again, other = (
        add_noise(grey, read, shot, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    expected = np.sqrt((4 / 255) ** 2 + 0.5 * (6 / 255) ** 2)
    assert float(first[0].std()) == pytest.approx(expected, rel=0.03)
    assert torch.equal(first[1], grey[1])
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_light_and_codes_are_inverse() -> None:
    codes = torch.linspace(0, 1, 101)
    light = light_from_codes(codes)
    assert torch.allclose(codes_from_light(light), codes, atol=1e-6)
    assert light[0] == 0 and light[-1] == 1 and light[50] == pytest.approx(0.2597, abs=1e-3)
