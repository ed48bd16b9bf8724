"""Measures nearer to what people see than squared differences.

GMSD needs nothing. LPIPS and Inception need weights that are not ours to ship: they are used when
they lie on this machine already, and are never fetched.
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

Measure = Callable[[Tensor, Tensor], Tensor]
"""Prediction and truth, (N, 3, H, W) in [0, 1], to (N,); lower is better."""

_LUMA = (0.299, 0.587, 0.114)
_STABILITY = 170 / 255**2
"""The constant of the paper, for values in [0, 1]."""
_ALEXNET = "alexnet-owt-*.pth"
"""The file that torchvision keeps for LPIPS."""


def gmsd(prediction: Tensor, truth: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation, one for each picture; (N,), 0 is the best.

    Where edges are as strong as in the truth, similarity is one; its standard deviation over the
    picture tells how unevenly edges were lost or invented. On luma, at half size.
    Args:   prediction, truth: (N, 3, H, W) in [0, 1]; the prediction is clamped to it.
    Source: Xue, Zhang, Mou and Bovik 2014, "Gradient Magnitude Similarity Deviation".
    """
    x, y = (_gradient(picture.clamp(0, 1)) for picture in (prediction, truth))
    likeness = (2 * x * y + _STABILITY) / (x.square() + y.square() + _STABILITY)
    return likeness.flatten(1).std(1, correction=0)


def _gradient(picture: Tensor) -> Tensor:
    """Magnitude by Prewitt's operator of luma at half size; (N, 3, H, W) to (N, 1, h, w)."""
    luma = (picture * picture.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    half = functional.avg_pool2d(luma, 2)
    across = picture.new_tensor([[1.0, 0.0, -1.0]]).expand(3, 3) / 3
    both = torch.stack([across, across.T])[:, None]
    return functional.conv2d(half, both).square().sum(1, keepdim=True).sqrt()


def lpips() -> Measure:
    """Learned perceptual similarity on AlexNet's features.

    Raises: TrainingError: the package or its weights are not here; the message says which.
    Source: Zhang et al. 2018, by the authors' package `lpips`.
    """
    if util.find_spec("lpips") is None:
        raise TrainingError("LPIPS is left out: the package lpips is not installed")
    weights = Path(torch.hub.get_dir()) / "checkpoints"
    if not any(weights.glob(_ALEXNET)):  # the package would fetch them
        raise TrainingError(f"LPIPS is left out: no {_ALEXNET} in {weights}")
    network: Any = import_module("lpips").LPIPS(net="alex", verbose=False).eval()

    @torch.inference_mode()
    def measure(prediction: Tensor, truth: Tensor) -> Tensor:
        distances: Tensor = network(prediction.clamp(0, 1), truth, normalize=True)
        return distances.flatten()

    return measure


class Inception:
    """Features for the standard FID, from a TorchScript file that the user has.

    The file in common use is `inception-2015-12-05.pt` of NVIDIA's StyleGAN repositories. It takes
    uint8 (N, 3, H, W), enlarges by itself, and is asked for features by `return_features=True`; a
    file without this option is called with pictures alone. Run a file only if you trust it.
    """

    def __init__(self, path: Path) -> None:
        """Load it. Raises TrainingError: it is no TorchScript file."""
        try:
            with warnings.catch_warnings():  # the format is old, and so are the files in it
                warnings.simplefilter("ignore", DeprecationWarning)
                network: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location="cpu"
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise TrainingError(f"{path} is no TorchScript file") from error
        self._network = network.eval()
        names = {argument.name for argument in self._network.forward.schema.arguments}
        self._options = {"return_features": True} if "return_features" in names else {}

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> NDArray[np.float64]:
        """Features of (N, 3, S, S) in [0, 1]; (N, D)."""
        codes = pictures.clamp(0, 1).mul(255).round().byte()
        features: Tensor = self._network(codes, **self._options)
        return features.flatten(1).double().numpy()
