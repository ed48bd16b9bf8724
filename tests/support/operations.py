"""Both implementations of the picture operations, and networks for stages, for tests."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from crsr_video.imaging.numpy_operations import NumpyOperations
from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.runtime.placement import Placement
from crsr_video.runtime.predictor import Predictor

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")
NUMPY = NumpyOperations()
TORCH = TorchOperations(CPU.device)

OPENCV_5 = int(cv2.__version__.split(".")[0]) >= 5


def predictor(network: torch.nn.Module) -> Predictor:
    """A network on the processor in float32."""
    return Predictor(network, CPU)


def predicting(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[torch.Tensor], Any]:
    """A function of arrays in place of a network."""
    return lambda pictures: torch.from_numpy(function(pictures.numpy()))


def array(picture: Any) -> np.ndarray:
    """A picture of either implementation as an array."""
    return np.asarray(picture)
