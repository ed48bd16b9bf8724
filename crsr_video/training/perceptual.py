"""The perceptual method: a texture head beside the fidelity head, on one trunk.

    F = psi(x), T = F + tail(x), x = phi(d) or phi(a)
    L = pix(F, y) + w_p pix(T, y) + w_f feat(T, y) + w_i id(T, y) + w_a adv(T)
        + w_c chroma(T, y) + w_t |x - a|

A pixel loss alone leaves out what it is not sure of; the other terms make T look like a
photograph. F is a constant in all terms of T, so only the pixel loss trains the fidelity head. The
trunk serves both heads: what reaches it from the terms of T is multiplied by `coupling`.

feat compares feature maps of EfficientNet-lite0 (ImageNet), id embeddings of dlib's
face-recognition network; both are frozen (see `feature_network`, `recognition`). adv is a
projected discriminator on the same maps, without the one of the lowest resolution, whose gradient
draws a lattice. Only photographs are shown to it as real.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks import SuperResolver
from crsr_video.training.adversary import fixed
from crsr_video.training.appearance import EYES, IRIS_RADIUS
from crsr_video.training.draws import Draw, Wanted
from crsr_video.training.feature_network import CHANNELS, FeatureNetwork
from crsr_video.training.losses import (
    charbonnier,
    chroma_difference,
    feature_difference,
    hinge_critic,
    hinge_maker,
    identity_difference,
)
from crsr_video.training.method import Method, joined, scaled, values
from crsr_video.training.recognition import RecognitionNetwork, chips
from crsr_video.training.run import Part, Run

_JUDGED = 4
"""Feature maps that the discriminator sees: all but the coarsest."""
_WINDOW = 160
"""Side in pixels of the part of a picture that the feature network sees: half of the time of a step
went into the whole of 256 pixels, and texture does not need it."""
_WHOLE_FACE = 64
"""Least side in LR pixels of a whole face whose identity is compared."""


@dataclass(frozen=True, kw_only=True)
class Perceptual(Method):
    """Train phi, the trunk with both heads, and a discriminator."""

    name: ClassVar[str] = "perceptual"
    textured_pixel: float = 1.0
    """Weight of pix(T, y)."""
    features: float = 0.15
    """Weight of feat(T, y)."""
    identity: float = 0.3
    """Weight of id(T, y)."""
    adversarial: float = 0.006
    """Weight of adv(T), the mean over the discriminator's heads."""
    chroma: float = 1.0
    """Weight of chroma(T, y)."""
    toward: float = 0.5
    """Weight of phi(x) = a."""
    coupling: float = 0.1
    """Share of the gradient that passes from the terms of T into the trunk."""
    hopeless: float = 0.09
    """Root mean square difference of d and a, of 1, beyond which id(T, y) does not count."""
    clean_share: float = 0.25
    """Part of each batch whose input is a."""
    extra: float = 0.35
    """Share of pictures with a degradation of `spoiling.EXTRA_KINDS`."""
    consistifier_rate: float = 0.3
    """Learning rate of phi, over the trunk's."""
    tail_rate: float = 4.0
    """Learning rate of the tail, over the trunk's."""
    critic_rate: float = 2.0
    """Learning rate of the discriminator, over the trunk's."""

    @property
    def wanted(self) -> Wanted:
        """Degraded pairs of varied faces, half of them photographs."""
        return Wanted(
            tiers=self.tiers, degraded=True, photographs=True, varied=True, extra=self.extra
        )

    def parts(self) -> dict[str, Part]:
        """Phi, psi with its tail, and the discriminator."""
        return {
            "consistifier": self._consistifier(rate=self.consistifier_rate),
            "superresolver": Part(
                "superresolver", self._size.superresolver, faster={"tail.": self.tail_rate}
            ),
            "critic_texture": Part(
                "feature_discriminator",
                {"channels": CHANNELS[:_JUDGED]},
                rate=self.critic_rate,
                critic=True,
            ),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """One update."""
        assert draw.degraded is not None
        plain = round(len(draw.target) * self.clean_share)
        # The first half of a batch are photographs: clean ones are taken from both halves.
        is_clean = torch.zeros(len(draw.target), dtype=torch.bool)
        is_clean[torch.linspace(0, len(draw.target) - 1, plain).round().long()] = True
        mask = is_clean.view(-1, 1, 1, 1).to(draw.target.device)
        small = torch.where(mask, draw.artificial, draw.degraded)
        super_resolver = run["superresolver"]
        assert isinstance(super_resolver, SuperResolver) and super_resolver.tail is not None
        features = run.pretrained("features", FeatureNetwork.load)
        with run.autocast():
            consistent = run["consistifier"](joined(small))
            trunk = super_resolver.features(consistent)
            plain_picture = super_resolver.draw(consistent, trunk)
            change = super_resolver.tail(scaled(trunk, self.coupling))
            textured = plain_picture.detach() + change
            augment = _augmentation(textured, run.step, run.seed)
            shown, truth = augment(textured), augment(draw.target)
            with torch.no_grad():
                truth_maps = features(truth)
            made_maps = features(shown)
            critic = run["critic_texture"]
            with fixed(critic):
                verdicts = critic(shown, made_maps)
            terms = {
                "fidelity": charbonnier(plain_picture, draw.target),
                "textured": self.textured_pixel * charbonnier(textured, draw.target),
                "features": self.features * feature_difference(made_maps, truth_maps),
                "adversarial": self.adversarial * _mean(hinge_maker(v) for v in verdicts),
                "chroma": self.chroma * self._chroma(draw, textured),
                "characteristic": self.toward * charbonnier(consistent, draw.artificial),
            }
            identity = self._identity(run, draw, small, textured)
            if identity is not None:
                terms["identity"] = identity
        run.update(terms, rate=rate, clip=self.clip)
        judged = self._judged(run, draw, shown, made_maps, truth, truth_maps)
        if judged:
            run.update_critics(judged, rate=rate, clip=10 * self.clip)
        return {"identity": 0.0, **values(terms, judged)}

    def _chroma(self, draw: Draw, textured: Tensor) -> Tensor:
        """The chroma term: everywhere, and in finer cells at the eyes of whole faces."""
        everywhere = chroma_difference(textured, draw.target)
        side = textured.shape[-1]
        if draw.face != draw.artificial.shape[-1] or side < 4 * _WHOLE_FACE:
            return everywhere
        eyes = _eyes(side, textured.device)
        return everywhere + chroma_difference(textured, draw.target, 4, eyes)

    def _identity(self, run: Run, draw: Draw, small: Tensor, textured: Tensor) -> Tensor | None:
        """The identity term over the faces that can be recognised; None if there are none."""
        side = small.shape[-1]
        if not self.identity or draw.face != side or side < _WHOLE_FACE:
            return None
        away = (small - draw.artificial).square().mean((1, 2, 3)).sqrt()
        hopeful = away < self.hopeless
        if not bool(hopeful.any()):
            return None
        network = run.pretrained("recognition", RecognitionNetwork.load)
        with torch.no_grad():
            truth = network(chips(draw.target[hopeful]))
        made = network(chips(textured[hopeful]))
        share = float(hopeful.float().mean())
        return self.identity * share * identity_difference(made, truth)

    def _judged(
        self,
        run: Run,
        draw: Draw,
        shown: Tensor,
        made_maps: list[Tensor],
        truth: Tensor,
        truth_maps: list[Tensor],
    ) -> dict[str, Tensor]:
        """The discriminator's loss, if there are photographs in the batch."""
        count = draw.photographs
        if not count:
            return {}
        critic = run["critic_texture"]
        with run.autocast():
            # One pass over both: the statistics of spectral normalisation are updated once.
            pictures = torch.cat([truth[:count], shown.detach()])
            maps = [
                torch.cat([real[:count], made.detach()])
                for real, made in zip(truth_maps, made_maps, strict=True)
            ]
            verdicts = critic(pictures, maps)
            return {"critic": _mean(hinge_critic(v[:count], v[count:]) for v in verdicts)}


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _eyes(side: int, device: torch.device) -> Tensor:
    """Weights of the places of a canonical crop, all at the eyes; (S, S) with a mean of one."""
    places = (torch.arange(side) + 0.5) / side
    weights = torch.zeros(side, side)
    for x, y in EYES:
        distance = (places[None] - x).square() + (places[:, None] - y).square()
        weights += torch.exp(-distance / (2 * (1.5 * IRIS_RADIUS) ** 2))
    return (weights / weights.mean()).to(device)


def _mean(terms: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()


def _augmentation(like: Tensor, step: int, seed: int) -> Callable[[Tensor], Tensor]:
    """A random change of light, place and side that is the same for made and true pictures.

    A discriminator that sees few faces learns them by heart unless they are changed (Zhao et al.
    2020, Karras et al. 2020).
    """
    rng = np.random.default_rng((seed, step, 1))
    n, side = len(like), like.shape[-1]

    def random(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1)).astype(np.float32)).to(like)

    gain, offset = random(0.8, 1.2), random(-0.12, 0.12)
    window = min(side, _WINDOW)
    margin = side // 16 + 1 if window == side else 0
    top, left = (int(v) for v in rng.integers(0, side + 2 * margin - window + 1, 2))
    mirrored = bool(rng.random() < 0.5)

    def augment(pictures: Tensor) -> Tensor:
        changed = (pictures - 0.5) * gain + 0.5 + offset
        padded = functional.pad(changed, (margin,) * 4, mode="reflect")
        cut = padded[..., top : top + window, left : left + window]
        cut = cut.flip(3) if mirrored else cut
        return cut.contiguous(memory_format=torch.channels_last)

    return augment
