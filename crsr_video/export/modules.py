"""The networks as modules of plain layers, and the comparison of exported files with them."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from crsr_video.errors import ExportError
from crsr_video.networks import SuperResolver
from crsr_video.networks.blocks import cubic_phases
from crsr_video.weights import NetworkPair

Part = Literal["consistifier", "superresolver", "pair"]
PARTS: tuple[Part, ...] = get_args(Part)

SHAPES = ((1, 32, 32), (3, 16, 24), (2, 20, 36))
"""Batch size, height and width of the test batches. They differ from those used in the export."""


class PortableSuperResolver(nn.Module):
    """A super-resolver that computes its bicubic enlargement with a convolution.

    The network may be converted to float16. Input, output and the enlargement stay float32.
    """

    def __init__(self, network: SuperResolver) -> None:
        super().__init__()
        self.network = network
        self.enlargement = cubic_phases(network.factor).repeat(3, 1, 1, 1)

    def forward(self, consistent: Tensor) -> Tensor:
        """Return (N, 3, 4H, 4W) for (N, 3, H, W) in [0, 1]."""
        padded = functional.pad(consistent, (2, 2, 2, 2), mode="replicate")
        phases = functional.conv2d(padded, self.enlargement, groups=3)
        features = self.network.features(consistent)
        detail = self.network.head(features).float()
        picture = functional.pixel_shuffle(phases + detail, self.network.factor)
        return self.network.with_texture(picture, features)


class Chain(nn.Module):
    """Both networks in sequence, with the clipping that the pipeline applies between them."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, genuine: Tensor) -> Tensor:
        """Return (N, 3, 4H, 4W) for (N, 3, H, W) in [0, 1]."""
        result: Tensor = self.second(self.first(genuine).clamp(0, 1))
        return result


def portable(pair: NetworkPair, part: Part, dtype: torch.dtype) -> nn.Module:
    """Return one network of a pair, or both in a chain, ready for export.

    Raises:
        ExportError: The model has no networks.
    """
    if not isinstance(pair.superresolver, SuperResolver):
        raise ExportError(f"the model '{pair.name}' has no networks to export")
    networks = {
        "consistifier": pair.consistifier.to(dtype),
        "superresolver": PortableSuperResolver(pair.superresolver.to(dtype)),
    }
    module = networks[part] if part in networks else Chain(*networks.values())
    return module.eval()


def reference(pair: NetworkPair, part: Part, picture: Tensor) -> Tensor:
    """Return the result of the pair itself for a picture, in float32."""
    result = picture
    if part != "superresolver":
        result = pair.consistifier(result)
    if part == "pair":
        result = result.clamp(0, 1)
    return result if part == "consistifier" else pair.superresolver(result)


def pictures() -> Iterator[Tensor]:
    """Yield batches of noise, and of smooth pictures with an edge and grain, like face crops."""
    generator = torch.Generator().manual_seed(11)
    for count, height, width in SHAPES:
        yield torch.rand(count, 3, height, width, generator=generator)
        coarse = torch.rand(count, 3, 5, 5, generator=generator)
        smooth = functional.interpolate(coarse, (height, width), mode="bicubic")
        grain = 0.02 * torch.randn(count, 3, height, width, generator=generator)
        smooth[..., height // 3 :, :] *= 0.7
        yield ((smooth + grain).clamp(0, 1) * 255).round() / 255


@torch.inference_mode()
def largest_difference(
    pair: NetworkPair, part: Part, opened: Callable[[Tensor], Tensor], bound: float
) -> float:
    """Return the largest difference between results of a file and the networks; white is 1.

    Args:
        pair: The networks.
        part: The exported part of them.
        opened: Function that runs the exported file.
        bound: The largest difference that is accepted.

    Raises:
        ExportError: The difference exceeds the bound, or the result has another shape.
    """
    worst = 0.0
    for picture in pictures():
        expected, found = reference(pair, part, picture), opened(picture)
        if found.shape != expected.shape:
            raise ExportError(
                f"the exported {part} returns {tuple(found.shape)} for {tuple(picture.shape)}"
            )
        difference = float((found - expected).abs().max())
        if not difference <= bound:  # The comparison is false for NaN.
            raise ExportError(
                f"the exported {part} differs by {difference:.2g} from ours, more than {bound:g}"
            )
        worst = max(worst, difference)
    return worst
