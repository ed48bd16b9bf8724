"""Run the network for whole frames."""

import torch
from torch.nn import functional

from crsr_video import weights
from crsr_video.networks import BackgroundNetwork
from crsr_video.networks.blocks import use_channels_last
from crsr_video.runtime.placement import Placement
from crsr_video.types import FloatPicture


class BackgroundPredictor:
    """The network for whole frames on its device.

    Args:
        network: The network, which is moved to the device and converted to its precision.
        placement: Device and precision. The network runs in bf16 where others run in int8.
    """

    def __init__(self, network: BackgroundNetwork, placement: Placement) -> None:
        self._placement = placement.for_weights(int8=False)
        self._network = network.eval().to(self._placement.device, self._placement.dtype)
        use_channels_last(self._network)
        self.reach = network.reach

    @torch.inference_mode()
    def __call__(self, picture: FloatPicture, scale: int) -> FloatPicture:
        """Return the change of the enlarged picture: (H, W, 3) to (H * scale, W * scale, 3)."""
        height, width = picture.shape[:2]
        x = torch.from_numpy(picture).to(self._placement.device).permute(2, 0, 1)[None]
        x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        with self._placement.applied():
            change = self._network.correction(x, scale)[0, :, : height * scale, : width * scale]
        done: FloatPicture = change.permute(1, 2, 0).contiguous().cpu().numpy()
        return done


def load_background(placement: Placement) -> BackgroundPredictor:
    """Load the shipped network for whole frames.

    Raises:
        WeightsError: The weights are missing or damaged.
    """
    with placement.applied():
        return BackgroundPredictor(weights.load_background(), placement)
