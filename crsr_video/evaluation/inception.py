"""Features of an Inception network, for the standard Frechet distance (FID).

The weights are not part of this package. They are read from a file that the user provides.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crsr_video.errors import TrainingError


class Inception:
    """An Inception network from a TorchScript file.

    The common file is `inception-2015-12-05.pt` of NVIDIA's StyleGAN repositories. It takes uint8
    (N, 3, H, W), resizes pictures itself, and returns features with `return_features=True`. A
    network without this option is called with the pictures only. A TorchScript file is a program:
    load it only if you trust it.
    """

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
            TrainingError: If the file is not a TorchScript file.
        """
        try:
            with warnings.catch_warnings():  # The format is deprecated.
                warnings.simplefilter("ignore", DeprecationWarning)
                network: Any = torch.jit.load(str(path), map_location="cpu")
        except (OSError, ValueError, RuntimeError) as error:
            raise TrainingError(f"{path} is not a TorchScript file") from error
        self._network = network.eval()
        names = {argument.name for argument in self._network.forward.schema.arguments}
        self._options = {"return_features": True} if "return_features" in names else {}

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> NDArray[np.float64]:
        """Return features (N, D) of pictures (N, 3, S, S) in [0, 1]."""
        codes = pictures.clamp(0, 1).mul(255).round().byte()
        features: Tensor = self._network(codes, **self._options)
        return features.flatten(1).double().numpy()
