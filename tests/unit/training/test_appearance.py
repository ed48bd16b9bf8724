import numpy as np
import pytest

from crsr_video.training.appearance import (
    CHEEKS,
    EYES,
    IRIS_RADIUS,
    iris_group,
    measure,
    tone_group,
    vary_appearance,
)

SIDE = 256


def portrait(skin: tuple[int, int, int], iris: tuple[int, int, int]) -> np.ndarray:
    """Return a face of plain skin with two discs for eyes."""
    picture = np.full((SIDE, SIDE, 3), skin, np.uint8)
    places = (np.arange(SIDE) + 0.5) / SIDE
    for x, y in EYES:
        inside = (places[None] - x) ** 2 + (places[:, None] - y) ** 2 <= IRIS_RADIUS**2
        picture[inside] = iris
    return picture


@pytest.mark.parametrize(
    ("skin", "group"),
    [((245, 224, 210), "light"), ((180, 135, 105), "tan"), ((70, 45, 35), "dark")],
)
def test_skin_is_grouped_by_the_tone_of_the_cheeks(skin, group) -> None:
    assert tone_group(measure(portrait(skin, (40, 25, 20))).skin_ita) == group


@pytest.mark.parametrize(
    ("iris", "group"),
    [((30, 20, 15), "dark"), ((110, 70, 35), "brown"), ((90, 120, 160), "light")],
)
def test_irises_are_grouped_by_colour(iris, group) -> None:
    found = measure(portrait((220, 180, 160), iris))
    assert iris_group(found.iris_lightness, found.iris_b) == group


def test_a_displaced_iris_is_found() -> None:
    there = np.roll(portrait((220, 180, 160), (90, 120, 160)), 5, axis=1)
    found = measure(there)
    assert iris_group(found.iris_lightness, found.iris_b) == "light"


def test_recolouring_changes_skin_or_eyes_in_about_half_of_the_draws() -> None:
    picture = portrait((200, 150, 120), (60, 40, 30))
    rng = np.random.default_rng(0)
    changed = [not np.array_equal(vary_appearance(picture, rng), picture) for _ in range(60)]
    assert 20 < sum(changed) < 42


def test_recoloured_skin_stays_even_and_the_background_stays() -> None:
    picture = portrait((200, 150, 120), (60, 40, 30))
    picture[:40] = (30, 60, 200)
    rng = np.random.default_rng(1)
    cheek = tuple(round(v * SIDE) for v in CHEEKS[0][::-1])
    seen = False
    for _ in range(20):
        result = vary_appearance(picture, rng)
        seen = seen or abs(int(result[cheek][0]) - 200) > 10
        assert np.abs(result[10, 10].astype(int) - (30, 60, 200)).max() <= 2
    assert seen
