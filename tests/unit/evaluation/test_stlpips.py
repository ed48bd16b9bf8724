import pytest
import torch

from crsr_video.errors import WeightsError
from crsr_video.evaluation.models import STLPIPS

CONVOLUTIONS = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
CONVOLUTIONS += [(256, 512)] + [(512, 512)] * 5
CHANNELS = (64, 128, 256, 512, 512)


@pytest.fixture(scope="module")
def judge() -> STLPIPS:
    """Return the architecture with random weights."""
    generator = torch.Generator().manual_seed(0)
    line = torch.tensor([0.25, 0.5, 0.25])
    weights = {
        "scaling_layer.shift": torch.zeros(1, 3, 1, 1),
        "scaling_layer.scale": torch.ones(1, 3, 1, 1),
    }
    for index, (inside, out) in enumerate(CONVOLUTIONS):
        scale = (2 / (9 * inside)) ** 0.5
        weights[f"net.{index}.weight"] = scale * torch.randn(out, inside, 3, 3, generator=generator)
        weights[f"net.{index}.bias"] = torch.zeros(out)
    for index, channels in enumerate(CHANNELS):
        blur = (line[:, None] * line).expand(channels, 1, 3, 3)
        if index < 4:
            weights[f"net.blur{index}.filt"] = blur
        weights[f"lin{index}.model.1.weight"] = torch.ones(1, channels, 1, 1)
    return STLPIPS(weights)


def pictures(side: int = 48) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_equal_pictures_are_not_apart(judge) -> None:
    assert judge(pictures(), judge.features(pictures())).abs().max() == 0


def test_more_noise_is_farther(judge) -> None:
    truth = judge.features(pictures())
    noise = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    near, far = (judge(pictures() + strength * noise, truth) for strength in (0.02, 0.2))
    assert (far > near).all() and (near > 0).all()


def test_pictures_of_a_batch_are_judged_each_by_itself(judge) -> None:
    truth = pictures()
    made = truth.flip(3)
    together = judge(made, judge.features(truth))
    alone = judge(made[1:], judge.features(truth[1:]))
    assert together[1].item() == pytest.approx(alone.item(), rel=1e-4)


def test_values_beyond_the_range_count_as_clamped(judge) -> None:
    truth = judge.features(pictures())
    assert torch.equal(judge(pictures() * 3, truth), judge((pictures() * 3).clamp(0, 1), truth))


def test_damaged_weights_are_refused(tmp_path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"net.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="cannot read"):
        STLPIPS.load(path)
