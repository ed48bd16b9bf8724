"""Load the networks that a configuration names, and the network for whole frames."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from crsr_video import weights
from crsr_video.config import EnhancerConfig
from crsr_video.networks import BackgroundNetwork, SuperResolver
from crsr_video.networks.blocks import use_channels_last
from crsr_video.runtime.placement import Placement, place
from crsr_video.runtime.predictor import Predictor
from crsr_video.types import FloatPicture

_WINDOWED = (64, 96, 128)
"""Sides of the crops for which the networks compute only the part that is pasted. The face comes
out the same (within 0.005 dB for talking faces of 48 and 96 pixels), in two thirds of the time.
Crops of 32 pixels would lose 0.1 to 0.4 dB."""


@dataclass(frozen=True, slots=True)
class Predictors:
    """The networks, ready to run in one thread."""

    consistify: Predictor
    super_resolve: Predictor
    super_resolve_half: Predictor
    """The super-resolver for faces that are hardly enlarged, see `SuperResolver.at_half_size`."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Networks:
    """The loaded networks of a configuration. Any number of pipelines may share them."""

    pair: weights.NetworkPair
    placement: Placement
    windowed: tuple[int, ...] = ()
    """Sides of the crops for which the networks compute only the part that is pasted."""
    shared: Predictors | None = None
    """Predictors of all pipelines, if these take turns in one thread."""

    def predictors(self) -> Predictors:
        """Return what runs both networks: the shared predictors, or new ones."""
        if self.shared is not None:
            return self.shared
        large = self.pair.superresolver
        half = large.at_half_size() if isinstance(large, SuperResolver) else large
        networks = (self.pair.consistifier, large, half)
        return Predictors(*(Predictor(n, self.placement, windowed=self.windowed) for n in networks))

    def taking_turns(self) -> "Networks":
        """Return the same networks for pipelines that take turns in one thread, to save memory."""
        return replace(self, shared=self.predictors())


def load_networks(config: EnhancerConfig) -> Networks:
    """Load the networks that a configuration names.

    Raises:
        DeviceError: The device or the precision is not available.
        WeightsError: The weights cannot be loaded.
    """
    pair, placement = _resolve(config)
    # The networks of the identity pair change nothing anywhere.
    return Networks(pair, placement, () if pair.name == weights.IDENTITY else _WINDOWED)


def resolve_placement(config: EnhancerConfig) -> Placement:
    """Return where and in what precision `load_networks` lets the networks run."""
    return _resolve(config)[1]


def _resolve(config: EnhancerConfig) -> tuple[weights.NetworkPair, Placement]:
    networks = config.networks
    placement = place(networks.device, networks.precision, threads=networks.threads)
    with placement.applied():  # Beside other work, one thread checks weights fastest.
        pair = weights.load(networks.model).with_texture(networks.texture)
    return pair, placement.for_weights(int8=pair.eight_bits)


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
