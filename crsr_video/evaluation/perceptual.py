"""Perceptual similarity: GMSD, LPIPS, and Inception features for FID.

The weights of LPIPS and Inception are not part of this package. They are used if they are on this
machine, and never fetched.
"""

import warnings
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from crsr_video.errors import TrainingError
from crsr_video.imaging.colour import LUMA_WEIGHTS

Measure = Callable[[Tensor, Tensor], Tensor]
"""From prediction and truth, (N, 3, H, W) in [0, 1], to (N,). Lower is better."""

_STABILITY = 170 / 255**2
"""Constant of the paper for values in [0, 1]."""
_ALEXNET = "alexnet-owt-*.pth"
"""File of torchvision that LPIPS needs."""


def gmsd(prediction: Tensor, truth: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation of each picture, (N,). 0 is the best.

    The similarity is 1 where edges are as strong as in the truth. Its standard deviation over the
    picture measures how unevenly edges were lost or invented. Computed on luma at half size.

    Source: Xue, Zhang, Mou and Bovik 2014, "Gradient Magnitude Similarity Deviation".

    Args:
        prediction: (N, 3, H, W), clamped to [0, 1].
        truth: (N, 3, H, W) in [0, 1].
    """
    x, y = (_gradient(picture.clamp(0, 1)) for picture in (prediction, truth))
    similarity = (2 * x * y + _STABILITY) / (x.square() + y.square() + _STABILITY)
    return similarity.flatten(1).std(1, correction=0)


def _gradient(picture: Tensor) -> Tensor:
    """Gradient magnitude of luma at half size by Prewitt's operator."""
    luma = (picture * picture.new_tensor(LUMA_WEIGHTS)[:, None, None]).sum(1, keepdim=True)
    half = functional.avg_pool2d(luma, 2)
    across = picture.new_tensor([[1.0, 0.0, -1.0]]).expand(3, 3) / 3
    both = torch.stack([across, across.T])[:, None]
    return functional.conv2d(half, both).square().sum(1, keepdim=True).sqrt()


def lpips() -> Measure:
    """Load learned perceptual similarity on the features of AlexNet.

    Source: Zhang et al. 2018, in the package `lpips` of the authors.

    Raises:
        TrainingError: If the package or its weights are missing.
    """
    if util.find_spec("lpips") is None:
        raise TrainingError("LPIPS is not measured: the package lpips is not installed")
    weights = Path(torch.hub.get_dir()) / "checkpoints"
    if not any(weights.glob(_ALEXNET)):  # Otherwise the package would fetch them.
        raise TrainingError(f"LPIPS is not measured: no {_ALEXNET} in {weights}")
    network: Any = import_module("lpips").LPIPS(net="alex", verbose=False).eval()

    @torch.inference_mode()
    def measure(prediction: Tensor, truth: Tensor) -> Tensor:
        distances: Tensor = network(prediction.clamp(0, 1), truth, normalize=True)
        return distances.flatten()

    return measure


class Inception:
    """Features for the standard FID from a TorchScript file of the user.

    The common file is `inception-2015-12-05.pt` of NVIDIA's StyleGAN repositories. It takes uint8
    (N, 3, H, W), resizes pictures itself, and returns features with `return_features=True`. A file
    without this option is called with pictures only. Run a file only if you trust it.
    """

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
            TrainingError: If it is not a TorchScript file.
        """
        try:
            with warnings.catch_warnings():  # The format is deprecated.
                warnings.simplefilter("ignore", DeprecationWarning)
                network: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location="cpu"
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise TrainingError(f"{path} is not a TorchScript file") from error
        self._network = network.eval()
        names = {argument.name for argument in self._network.forward.schema.arguments}
        self._options = {"return_features": True} if "return_features" in names else {}

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> NDArray[np.float64]:
        """Features of (N, 3, S, S) in [0, 1]; (N, D)."""
        codes = pictures.clamp(0, 1).mul(255).round().byte()
        features: Tensor = self._network(codes, **self._options)
        return features.flatten(1).double().numpy()
