"""Comparison of an exported file's results with those of the networks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.errors import ExportError
from crsr_video.export.modules import Part, reference
from crsr_video.weights import NetworkPair

SHAPES = ((1, 32, 32), (3, 16, 24), (2, 20, 36))
"""Batch size, height and width of the test batches. They differ from those used in the export."""


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
def check(pair: NetworkPair, part: Part, opened: Callable[[Tensor], Tensor], bound: float) -> float:
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
        away = float((found - expected).abs().max())
        if not away <= bound:  # The comparison is false for NaN.
            raise ExportError(
                f"the exported {part} differs by {away:.2g} from ours, more than {bound:g}"
            )
        worst = max(worst, away)
    return worst
