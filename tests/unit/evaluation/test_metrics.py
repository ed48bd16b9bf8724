import numpy as np
import pytest
from scipy.linalg import sqrtm

from crsr_video.errors import TrainingError
from crsr_video.evaluation.metrics import frechet_distance, kernel, kid, unit_rms


def test_frechet_agrees_with_the_matrix_root(rng) -> None:
    a, b = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)), rng.normal(1, 2, (150, 6))
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(first @ second).real
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = apart + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_frechet_in_one_dimension_is_known() -> None:
    a = np.array([[-1.0], [1.0]]) / np.sqrt(2)  # mean 0, deviation 1
    assert frechet_distance(a, 3 * a + 5) == pytest.approx(25 + 4)


def test_frechet_of_a_set_with_itself_is_nothing_even_with_few_pictures(rng) -> None:
    few = rng.normal(size=(5, 64))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)


def test_kid_agrees_with_loops(rng) -> None:
    a, b = rng.normal(size=(7, 4)), rng.normal(0.5, 1, (7, 4))

    def k(x, y):
        return (x @ y / 4 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    within = sum(k(a[i], a[j]) + k(b[i], b[j]) for i, j in pairs) / 42
    between = sum(k(x, y) for x in a for y in b) / 49
    assert kid(a, b)[0] == pytest.approx(within - 2 * between)


def test_kid_is_about_zero_for_one_distribution(rng) -> None:
    a, b = (
        unit_rms(rng.normal(size=(300, 16)) + 1),
        unit_rms(rng.normal(size=(300, 16)) + 1),
    )
    same, error = kid(a, b)
    other, _ = kid(a, unit_rms(rng.normal(size=(300, 16)) + 2))
    assert abs(same) < 4 * error < other


def test_the_standard_error_of_kid_is_its_spread_over_new_pictures(rng) -> None:
    def drawn():
        return kid(
            unit_rms(rng.normal(size=(60, 8)) + 1),
            unit_rms(rng.normal(size=(80, 8)) + 1.3),
        )

    values, errors = np.array([drawn() for _ in range(60)]).T
    assert values.std() == pytest.approx(errors.mean(), rel=0.3)


def test_unit_rms_makes_the_kernel_one_of_cosines(rng) -> None:
    x = rng.normal(size=(3, 8))
    cosines = x @ x.T / np.outer(*[np.linalg.norm(x, axis=1)] * 2)
    np.testing.assert_allclose(kernel(unit_rms(x), unit_rms(x)), (cosines + 1) ** 3)


@pytest.mark.parametrize(("distance", "least"), [(frechet_distance, "two"), (kid, "three")])
def test_one_picture_is_no_set(distance, least, rng) -> None:
    with pytest.raises(TrainingError, match=f"{least} pictures"):
        distance(rng.normal(size=(1, 4)), rng.normal(size=(9, 4)))
