"""Both implementations of the picture operations, and networks for stages, for tests."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from crsr_video.imaging.flow import FLOW_CELLS
from crsr_video.imaging.numpy_operations import NumpyOperations
from crsr_video.imaging.torch_operations import TorchOperations
from crsr_video.runtime.placement import Placement
from crsr_video.runtime.predictor import Predictor

CPU = Placement(torch.device("cpu"), torch.float32, "for the test")
NUMPY = NumpyOperations()
TORCH = TorchOperations(CPU.device)


def _fixed_flow(count: int) -> np.ndarray:
    """Return a smooth motion of up to a hundredth of the crop for each of `count` pictures."""
    y, x = np.mgrid[:FLOW_CELLS, :FLOW_CELLS] / FLOW_CELLS
    field = 0.01 * np.stack([np.sin(5 * y + x), np.cos(4 * x - y)])
    return np.repeat(field[None], count, 0).astype(np.float32)


class _NumpyFixedFlow(NumpyOperations):
    def flows(self, pictures: Any, others: Any) -> tuple[Any, Any]:
        """Return the same motion for all pictures."""
        del others
        return _fixed_flow(len(pictures)), -_fixed_flow(len(pictures))


class _TorchFixedFlow(TorchOperations):
    def flows(self, pictures: Any, others: Any) -> tuple[Any, Any]:
        """Return the same motion for all pictures."""
        del others
        field = self.as_floats(_fixed_flow(len(pictures)))
        return field, -field


NUMPY_FIXED_FLOW, TORCH_FIXED_FLOW = _NumpyFixedFlow(), _TorchFixedFlow(CPU.device)
"""For parity on pictures that have nothing in common, where the search for motion is chaotic: a
difference of rounding may lead it elsewhere."""

OPENCV_5 = int(cv2.__version__.split(".")[0]) >= 5


def predictor(network: torch.nn.Module) -> Predictor:
    """Return a predictor of a network on the CPU in float32."""
    return Predictor(network, CPU)


def predicting(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[torch.Tensor], Any]:
    """Return a predictor that calls a function of arrays in place of a network."""
    return lambda pictures: torch.from_numpy(function(pictures.numpy()))


def array(picture: Any) -> np.ndarray:
    """Return a picture of either implementation as an array."""
    return np.asarray(picture)
