"""Sheets of samples: what the networks make of a few faces right now."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crsr_video.networks import Bicubic, Identity, SuperResolver
from crsr_video.training.draws import Draw, Source
from crsr_video.training.run import Run

_ROWS = 6


class SampleSheet:
    """Makes pictures of the first faces that a source draws; the same ones each time.

    Args: source: of faces that are not trained on.
    """

    def __init__(self, source: Source) -> None:
        self._draw = source.at(0)

    @torch.inference_mode()
    def __call__(self, run: Run) -> NDArray[np.uint8]:
        """One row a face: input, bicubic, phi (enlarged by pixels), psi(phi), truth; (H, W, 3)."""
        low, truth = _shown(self._draw)
        low = low.to(run.device)
        phi = run.average("consistifier") if "consistifier" in run.averages else Identity()
        consistent = phi(low).clamp(0, 1)
        columns = [_enlarged(low), Bicubic()(low), _enlarged(consistent)]
        if "superresolver" in run.averages:
            columns += _results(run.average("superresolver"), consistent)
        if self._draw.genuine is None:
            columns.append(truth.to(run.device))
        sheet = torch.cat([c.float().cpu() for c in columns], 3)
        pictures = sheet.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
        return np.concatenate(list(pictures))


def _shown(draw: Draw) -> tuple[Tensor, Tensor]:
    """Inputs and truths of the first faces."""
    low = next(x for x in (draw.genuine, draw.degraded, draw.artificial) if x is not None)
    return low[:_ROWS], draw.target[:_ROWS]


def _results(network: nn.Module, consistent: Tensor) -> list[Tensor]:
    """The super-resolver's picture, and the one with all texture if it has a texture head."""
    pictures = [network(consistent)]
    if isinstance(network, SuperResolver) and network.tail is not None:
        pictures.append(pictures[0] + network.tail(network.features(consistent)))
    return pictures


def _enlarged(low: Tensor) -> Tensor:
    return low.repeat_interleave(4, 2).repeat_interleave(4, 3)
