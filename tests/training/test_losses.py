import pytest
import torch

from crsr_video.training.losses import characteristic, charbonnier, is_finite


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


@pytest.mark.parametrize(("value", "good"), [(1.0, True), (float("nan"), False), (1e400, False)])
def test_is_finite(value: float, good: bool) -> None:
    assert is_finite(torch.tensor(value)) is good
