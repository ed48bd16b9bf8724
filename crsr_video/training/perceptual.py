"""The perceptual method: a texture head beside the fidelity head, on one trunk.

    F = psi(x), T = F + tail(x), x = phi(d) or phi(a)
    L = w_0 pix(F, y) + w_p pix(T, y) + w_f feat(T, y) + w_i id(T, y) + w_a adv(T)
        + w_c chroma(T, y) + w_t |x - a|

A pixel loss alone leaves out what is uncertain; the other terms make T look like a photograph. F is
treated as a constant in all terms of T, so only the pixel loss trains the fidelity head. The trunk
serves both heads; gradients that reach it from the terms of T are multiplied by `coupling`. If w_0
is 0, the networks only need to draw T: then the terms of T train both heads.

feat compares feature maps of EfficientNet-lite0 (ImageNet), and id compares embeddings of dlib's
face-recognition network. Both networks are frozen (see `feature_network`, `networks.recognition`).
adv is a projected discriminator on the same maps, without the map of the lowest resolution, whose
gradient causes a lattice pattern. Only photographs are shown to it as real. The method is ours, not
the paper's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.imaging.tensor_chips import chips
from crsr_video.networks import SuperResolver
from crsr_video.track import face_models
from crsr_video.training.appearance import EYES, IRIS_RADIUS
from crsr_video.training.draws import Draw, DrawSettings
from crsr_video.training.feature_network import CHANNELS, FeatureNetwork
from crsr_video.training.losses import (
    charbonnier,
    chroma_difference,
    feature_difference,
    frozen,
    hinge_discriminator,
    hinge_generator,
    identity_difference,
)
from crsr_video.training.method import Schedule, TrainingMethod, joined, scaled_gradient
from crsr_video.training.run import NetworkSpec, Run
from crsr_video.weights.packages import load_recognition

_JUDGED_MAPS = 4
"""Number of feature maps that the discriminator sees: all but the coarsest."""
_WINDOW_PX = 160
"""Side of the part of a picture that the feature network sees. With whole pictures of 256 pixels,
it took half of a step's time, and texture does not need them."""
_WHOLE_FACE_PX = 64
"""Least side in LR pixels of a whole face whose identity and eyes are compared."""


@dataclass(frozen=True, kw_only=True)
class Perceptual(TrainingMethod):
    """Train phi, the trunk with both heads, and a discriminator."""

    name: ClassVar[str] = "perceptual"
    schedule: Schedule = field(default_factory=lambda: Schedule(peak=1e-4))
    fidelity: float = 1.0
    """Weight of pix(F, y), w_0."""
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
    """Weight of the term that keeps x close to a."""
    coupling: float = 0.1
    """Share of the gradient that passes from the terms of T into the trunk. With 0.5, fidelity fell
    by 0.1 to 0.3 dB in 500 steps."""
    hopeless: float = 0.09
    """RMS difference between phi's input and a, out of 1, above which id(T, y) does not count."""
    frozen: bool = False
    """Whether phi, the trunk and the fidelity head keep their weights."""
    clean_share: float = 0.25
    """Part of each batch whose input is a."""
    extra: float = 0.35
    """Share of pictures with one of `degradations.EXTRA_KINDS`."""
    consistifier_rate: float = 0.3
    """Learning rate of phi, relative to the trunk's."""
    tail_rate: float = 4.0
    """Learning rate of the tail, relative to the trunk's."""
    discriminator_rate: float = 2.0
    """Learning rate of the discriminator, relative to the trunk's."""

    @property
    def draw_settings(self) -> DrawSettings:
        """Degraded pairs of varied faces, half of them photographs."""
        return DrawSettings(
            tiers=self.tiers, degraded=True, photographs=True, varied=True, extra=self.extra
        )

    def specs(self) -> dict[str, NetworkSpec]:
        """Return phi, psi with its tail, and the discriminator."""
        return {
            "consistifier": self._consistifier(0.0 if self.frozen else self.consistifier_rate),
            "superresolver": self._superresolver(
                rates={"tail.": self.tail_rate, "": 0.0 if self.frozen else 1.0}
            ),
            "discriminator_texture": NetworkSpec(
                "feature_discriminator",
                {"channels": CHANNELS[:_JUDGED_MAPS]},
                rate=self.discriminator_rate,
                is_discriminator=True,
            ),
        }

    def step(self, run: Run, draw: Draw, rate: float) -> dict[str, float]:
        """Update once."""
        super_resolver, discriminator = run["superresolver"], run["discriminator_texture"]
        assert isinstance(super_resolver, SuperResolver) and super_resolver.tail is not None
        network = run.pretrained("features", FeatureNetwork.load)
        small, target = self._inputs(draw), draw.target
        with run.autocast():
            with torch.set_grad_enabled(not self.frozen):
                consistent = run["consistifier"](small)
                features = super_resolver.features(consistent)
                faithful = super_resolver.draw(consistent, features)
            change = super_resolver.tail(scaled_gradient(features, self.coupling))
            textured = (faithful.detach() if self.fidelity else faithful) + change
            augment = _augmentation(textured, run.step, run.seed)
            generated, truth = augment(textured), augment(target)
            with torch.no_grad():
                truth_maps = network(truth)
            maps = network(generated)
            with frozen(discriminator):
                scores = discriminator(generated, maps)
            terms = {
                "fidelity": self.fidelity * charbonnier(faithful, target),
                "textured": self.textured_pixel * charbonnier(textured, target),
                "features": self.features * feature_difference(maps, truth_maps),
                "adversarial": self.adversarial * _mean(hinge_generator(s) for s in scores),
                "chroma": self.chroma * self._chroma_term(draw, textured),
                "toward": self.toward * charbonnier(consistent, draw.artificial),
                **self._identity_term(run, draw, small, textured),
            }
            # The first pictures of a batch are photographs.
            real = [truth, *truth_maps[:_JUDGED_MAPS]]
            made = [generated, *maps[:_JUDGED_MAPS]]
            judged = _discriminator_term(run, draw.photographs, real, made)
        return {"identity": 0.0, **self._update(run, rate, terms, judged)}

    def _inputs(self, draw: Draw) -> Tensor:
        """Return the input (N, 3, T, T), which is degraded except for some faces in both halves."""
        assert draw.degraded is not None
        count = len(draw.target)
        is_clean = torch.zeros(count, dtype=torch.bool)
        chosen = torch.linspace(0, count - 1, round(count * self.clean_share)).round().long()
        is_clean[chosen] = True
        mask = is_clean.view(-1, 1, 1, 1).to(draw.target.device)
        return joined(torch.where(mask, draw.artificial, draw.degraded))

    def _chroma_term(self, draw: Draw, textured: Tensor) -> Tensor:
        """Return the difference of chroma, and that of the colour of the eyes of whole faces.

        The cells at the eyes are finer, and brightness counts there: irises would turn lighter.
        """
        everywhere = chroma_difference(textured, draw.target)
        if not _is_whole_face(draw):
            return everywhere
        eyes = _eye_weights(textured.shape[-1], textured.device)
        return everywhere + chroma_difference(textured, draw.target, 4, eyes, with_luma=True)

    def _identity_term(
        self, run: Run, draw: Draw, small: Tensor, textured: Tensor
    ) -> dict[str, Tensor]:
        """Return the difference of identity for the faces whose input is good enough."""
        error = (small - draw.artificial).square().mean((1, 2, 3)).sqrt()
        hopeful = error < self.hopeless
        if not (self.identity and _is_whole_face(draw) and bool(hopeful.any())):
            return {}
        network = run.pretrained(
            "recognition", lambda: load_recognition(face_models.resolve("recognition"))
        )
        with torch.no_grad():
            truth = network(chips(draw.target[hopeful]))
        difference = identity_difference(network(chips(textured[hopeful])), truth)
        return {"identity": self.identity * float(hopeful.float().mean()) * difference}


def _is_whole_face(draw: Draw) -> bool:
    side = draw.artificial.shape[-1]
    return draw.face == side and side >= _WHOLE_FACE_PX


def _discriminator_term(
    run: Run, photographs: int, real: list[Tensor], made: list[Tensor]
) -> dict[str, Tensor]:
    """Return the loss of the discriminator if there are photographs in the batch.

    Args:
        run: Holds the discriminator.
        photographs: Number of true pictures at the start of the batch that are photographs.
        real: True pictures and their feature maps.
        made: Generated pictures and their feature maps.
    """
    if not photographs:
        return {}
    # One pass over both updates the statistics of spectral normalisation once.
    pictures, *maps = (
        torch.cat([r[:photographs], m.detach()]) for r, m in zip(real, made, strict=True)
    )
    scores = run["discriminator_texture"](pictures, maps)
    losses = (hinge_discriminator(s[:photographs], s[photographs:]) for s in scores)
    return {"discriminator": _mean(losses)}


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)
def _eye_weights(side: int, device: torch.device) -> Tensor:
    """Return weights (S, S) of the pixels of a canonical crop at the eyes, with a mean of one."""
    places = (torch.arange(side) + 0.5) / side
    weights = torch.zeros(side, side)
    for x, y in EYES:
        distance = (places[None] - x).square() + (places[:, None] - y).square()
        weights += torch.exp(-distance / (2 * (1.5 * IRIS_RADIUS) ** 2))
    return (weights / weights.mean()).to(device)


def _mean(terms: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()


def _augmentation(like: Tensor, step: int, seed: int) -> Callable[[Tensor], Tensor]:
    """Return a random change of light, position and side for generated and true pictures alike.

    A discriminator that sees few faces memorises them unless they are changed (Zhao et al. 2020,
    Karras et al. 2020).
    """
    rng = np.random.default_rng((seed, step, 1))
    count, side = len(like), like.shape[-1]
    window = min(side, _WINDOW_PX)
    margin = side // 16 + 1 if window == side else 0
    top, left = (int(v) for v in rng.integers(0, side + 2 * margin - window + 1, 2))
    is_mirrored = bool(rng.random() < 0.5)
    gain, offset = (
        torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32)).to(like)
        for low, high in ((0.8, 1.2), (-0.12, 0.12))
    )

    def augment(pictures: Tensor) -> Tensor:
        changed = (pictures - 0.5) * gain + 0.5 + offset
        padded = functional.pad(changed, (margin,) * 4, mode="reflect")
        cut = padded[..., top : top + window, left : left + window]
        cut = cut.flip(3) if is_mirrored else cut
        return cut.contiguous(memory_format=torch.channels_last)

    return augment
