"""Skin tone and iris colour of a face, measured in its canonical crop.

Skin tone is the individual typology angle (ITA) of the cheeks, the usual measure in dermatology
(Chardon, Cretois and Hourseau 1991): ``atan((L - 50) / b)`` in CIELAB, in degrees. High angles mean
light skin, and negative angles dark skin. The lighting and the white balance of a photograph affect
the angle, so the groups are rough. They are used to balance draws and to report results by group.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.imaging.geometry import TEMPLATE
from crsr_video.types import Bytes

Floats = NDArray[np.float32]

TONE_GROUPS = ("dark", "brown", "tan", "intermediate", "light")
"""Skin tone groups, from the lowest angle to the highest."""
_TONE_LIMITS = (-30.0, 10.0, 28.0, 41.0)
"""Angles in degrees that separate `TONE_GROUPS` (Del Bino and Bernerd 2013)."""

IRIS_GROUPS = ("dark", "brown", "light")
"""Groups of iris colours. Light ones are blue, green or grey."""
_DARK_IRIS = 20.0
"""CIELAB lightness below which the colour of an iris cannot be determined."""
_BROWN_IRIS = 5.0
"""CIELAB b above which an iris counts as brown."""

CHEEKS = ((0.345, 0.610), (0.655, 0.610))
"""Centres of the cheeks, (x, y) as fractions of the canonical crop."""
_CHEEK_RADIUS = 0.035
EYES = tuple((float(x), float(y)) for x, y in TEMPLATE[:2])
"""Centres of the eyes, (x, y) as fractions of the canonical crop."""
IRIS_RADIUS = 0.0227
"""Mean radius of an iris as a fraction of the crop. An iris is 11.7 mm wide, and the
pupils are 63 mm apart."""
_EYE_SEARCH = 0.03
"""Maximum distance of the iris from the landmark, as a fraction of the crop."""


@dataclass(frozen=True)
class Appearance:
    """Skin tone and iris colour of one face."""

    skin_ita: float
    """Individual typology angle of the cheeks in degrees."""
    iris_lightness: float
    """CIELAB lightness of the irises, 0 to 100."""
    iris_b: float
    """CIELAB b of the irises, which is positive for brown irises and negative for blue ones."""


def measure(crop: Bytes) -> Appearance:
    """Measure a canonical crop, uint8 (S, S, 3) RGB."""
    lab = _lab(crop)
    side = crop.shape[0]
    skin = np.median(np.concatenate([lab[_disc(side, c, _CHEEK_RADIUS)] for c in CHEEKS]), 0)
    iris = np.median(np.concatenate([_iris(lab, eye) for eye in EYES]), 0)
    ita = np.degrees(np.arctan2(skin[0] - 50, max(float(skin[2]), 1e-3)))
    return Appearance(round(float(ita), 1), round(float(iris[0]), 1), round(float(iris[2]), 1))


def colour_difference(made: Bytes, truth: Bytes) -> tuple[float, float]:
    """Return the CIELAB distances of the mean colours of the cheeks and of the irises.

    Args:
        made: A canonical crop of a face, uint8 (S, S, 3), RGB.
        truth: The true crop of the same face.
    """
    found, wanted = _lab(made), _lab(truth)
    side = truth.shape[0]
    places = [[_disc(side, cheek, _CHEEK_RADIUS) for cheek in CHEEKS]]
    centres = [iris_centre(wanted[..., 0], eye) for eye in EYES]
    places.append([_disc(side, centre, IRIS_RADIUS) for centre in centres])
    skin, iris = (
        float(np.linalg.norm([(found[d] - wanted[d]).mean(0) for d in discs], axis=1).mean())
        for discs in places
    )
    return skin, iris


def tone_group(skin_ita: float) -> str:
    """Return the member of `TONE_GROUPS` for an angle in degrees."""
    return TONE_GROUPS[int(np.searchsorted(_TONE_LIMITS, skin_ita))]


def iris_group(lightness: float, b: float) -> str:
    """Return the member of `IRIS_GROUPS` for CIELAB values of an iris."""
    if lightness < _DARK_IRIS:
        return "dark"
    return "brown" if b > _BROWN_IRIS else "light"


def iris_centre(lightness: Floats, eye: tuple[float, float]) -> tuple[float, float]:
    """Return the centre of an iris, which is the darkest place of its size near the eye.

    Args:
        lightness: (S, S).
        eye: Position (x, y) of the landmark, as fractions of the crop.

    Returns:
        (x, y) as fractions of the crop.
    """
    side = lightness.shape[0]
    reach, radius = max(1, round(_EYE_SEARCH * side)), max(1, round(IRIS_RADIUS * side))
    x, y = (round(v * side - 0.5) for v in eye)
    smooth = cv2.blur(lightness, (2 * radius + 1,) * 2)
    window = smooth[y - reach // 2 : y + reach // 2 + 1, x - reach : x + reach + 1]
    row, column = np.unravel_index(int(np.argmin(window)), window.shape)
    return (
        float(x - reach + column + 0.5) / side,
        float(y - reach // 2 + row + 0.5) / side,
    )


def _lab(crop: Bytes) -> Floats:
    lab: Floats = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab


def _disc(side: int, centre: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    places = (np.arange(side) + 0.5) / side
    disc: NDArray[np.bool_] = (places[None] - centre[0]) ** 2 + (
        places[:, None] - centre[1]
    ) ** 2 <= radius**2
    return disc


def _iris(lab: Floats, eye: tuple[float, float]) -> Floats:
    """Return the pixels (N, 3) of an iris, without reflections and most of the pupil."""
    side = lab.shape[0]
    centre = iris_centre(lab[..., 0], eye)
    ring = _disc(side, centre, 0.85 * IRIS_RADIUS) & ~_disc(side, centre, 0.35 * IRIS_RADIUS)
    pixels = lab[ring]
    order = np.argsort(pixels[:, 0])
    return pixels[order[: max(1, int(0.8 * len(order)))]]


def vary_appearance(crop: Bytes, rng: np.random.Generator) -> Bytes:
    """Change the skin tone, the iris colour or both in half of all crops, uint8 (S, S, 3), RGB.

    Skin is found by its colour, which is close to that of the cheeks. Faces of every skin tone with
    eyes of every colour teach a network that the one does not predict the other.
    """
    change_skin, change_iris = rng.random(2) < 0.3
    if not (change_skin or change_iris):
        return crop
    lab = _lab(crop)
    if change_skin:
        _change_skin(lab, rng)
    if change_iris:
        shift = np.array([0.0, rng.uniform(-5, 5), rng.uniform(-15, 12)], np.float32)
        gain = np.float32(rng.uniform(0.75, 1.3))
        for eye in EYES:
            _change_iris(lab, eye, shift, gain)
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    result: Bytes = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return result


_SKIN_SPREAD = np.array([36.0, 12.0, 12.0], np.float32)
"""Standard deviations of the colour of skin from that of the cheeks, in CIELAB."""


def _change_skin(lab: Floats, rng: np.random.Generator) -> None:
    side = lab.shape[0]
    cheeks = np.concatenate([lab[_disc(side, c, _CHEEK_RADIUS)] for c in CHEEKS])
    distance = (((lab - np.median(cheeks, 0)) / _SKIN_SPREAD) ** 2).sum(-1)
    # The mask is soft, so that highlights and shadows of a cheek change in the same way.
    mask = cv2.GaussianBlur(np.exp(-0.5 * distance), (0, 0), side / 64)[..., None]
    gain = np.array([rng.uniform(0.65, 1.12), 1, 1], np.float32)
    shift = np.array([0, rng.uniform(-2, 2), rng.uniform(-3, 3)], np.float32)
    lab += mask * (lab * (gain - 1) + shift)


def _change_iris(lab: Floats, eye: tuple[float, float], shift: Floats, gain: np.float32) -> None:
    side = lab.shape[0]
    x, y = iris_centre(lab[..., 0], eye)
    places = (np.arange(side, dtype=np.float32) + 0.5) / side
    distance = np.sqrt((places[None] - x) ** 2 + (places[:, None] - y) ** 2)
    inside = 1 / (1 + np.exp(np.minimum((distance / IRIS_RADIUS - 1) * 6, 30)))
    # Reflections and the white of the eye keep their colour.
    dark = 1 / (1 + np.exp((lab[..., 0] - 60) / 6))
    mask = (inside * dark)[..., None].astype(np.float32)
    scale = np.array([gain, 1, 1], np.float32)
    lab += mask * (lab * (scale - 1) + shift)
