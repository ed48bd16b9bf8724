"""Run a network on its device with the fastest implementation that works there."""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor, nn

from crsr_video._version import __version__
from crsr_video.errors import first_lines
from crsr_video.imaging.masks import window
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.blocks import MULTIPLE, use_channels_last
from crsr_video.networks.fused import FusedNetwork
from crsr_video.networks.plan import factor
from crsr_video.networks.quantised import QuantisedNetwork
from crsr_video.networks.shuffle import cubic_subpixels, fast_pixel_shuffle
from crsr_video.runtime.cuda_graphs import STEP_BY_STEP, Forward, RecordedForward, fastest_launch
from crsr_video.runtime.measurements import measured_once
from crsr_video.runtime.placement import INT8, Placement, processor

_LOG = logging.getLogger(__name__)

_MAX_DIFFERENCE = 0.1
"""Largest accepted difference between a fast implementation and the plain network, for pictures in
[0, 1]. A larger difference is a fault, not rounding."""

Part = tuple[slice, slice]
"""Rows and columns of a crop, in pixels."""

_SAMPLE = 64
"""Side in pixels of the crop with which ways of launching kernels are measured."""

_MISSING = (RuntimeError, NotImplementedError, AttributeError, TypeError, KeyError)
"""Errors if this version of torch lacks an operation, or the operation takes other arguments."""


class Predictor:
    """A network on its device.

    Call it with float32 (N, 3, S, S) in [0, 1] on any device. It returns float32 (N, 3, S', S') on
    its own device.

    Args:
        network: The network, which may be moved to the device and converted to its precision.
        placement: Device and precision.
        windowed: Sides of those crops for which only the pasted part is computed.
    """

    def __init__(
        self, network: nn.Module, placement: Placement, *, windowed: Collection[int] = ()
    ) -> None:
        network.eval()
        self._placement = placement
        with placement.applied():
            if placement.device.type == "cuda":
                self.method, forward = _launched(network, placement)
            else:
                self.method, forward = _fastest(network, placement)
        if isinstance(network, Consistifier | SuperResolver):
            self._forward = Windowed(forward, factor(network), windowed)
        else:
            self._forward = Windowed(forward, 1, ())

    method: str
    """Description of how the network is computed. It begins with the precision."""

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, part: Part | None = None) -> Tensor:
        """Run the network for a part of the crops, which defaults to the part for the face."""
        with self._placement.applied():
            return self._forward(pictures.to(self._placement.device), part).float()


class Windowed:
    """A forward pass over the part of a crop that is used, which is two thirds of it for a face.

    Nothing outside the mask is pasted, so nothing needs to be computed there. The result there is
    that of a network without any correction.

    Args:
        forward: Forward pass for pictures of any shape whose sides are multiples of four.
        factor: Factor by which the network enlarges pictures, 1, 2 or 4.
        sides: Sides of the crops for which only the part for the face is computed. Crops smaller
            than all of these are always computed as a whole.
    """

    def __init__(self, forward: Forward, factor: int, sides: Collection[int]) -> None:
        self._forward, self._factor, self._sides = forward, factor, frozenset(sides)

    def __call__(self, picture: Tensor, part: Part | None = None) -> Tensor:
        """Map float32 (N, 3, S, S) to (N, 3, fS, fS)."""
        side = picture.shape[-1]
        if part is None and side in self._sides:
            part = window(side)
        if part is None or side < min(self._sides, default=side + 1):
            return self._forward(picture)
        rows, columns = (_whole_cells(edge, side) for edge in part)
        computed = self._forward(picture[..., rows, columns].contiguous())
        if self._factor == 1:
            whole = picture.clone()
        else:
            whole = fast_pixel_shuffle(cubic_subpixels(picture, self._factor), self._factor)
        rows, columns = (
            slice(self._factor * edge.start, self._factor * edge.stop) for edge in (rows, columns)
        )
        whole[..., rows, columns] = computed
        return whole


def _whole_cells(part: slice, side: int) -> slice:
    """Return a slice that is longer by less than `MULTIPLE` pixels, so that it is divisible by it.

    Args:
        part: Rows or columns of a crop.
        side: Side of the crop, which is divisible by `MULTIPLE`.
    """
    length = -(-(part.stop - part.start) // MULTIPLE) * MULTIPLE
    start = min(part.start, side - length)
    return slice(start, start + length)


def _fastest(network: nn.Module, placement: Placement) -> tuple[str, Forward]:
    """Return the name and forward pass of the fastest way that gives the network's own result."""
    if placement.device.type == "cpu" and isinstance(network, Consistifier | SuperResolver):
        for name, make in _fast_ways(network, placement):
            try:
                forward = make()
                if _agrees(name, forward, network):
                    return name, forward
                _LOG.info("%s: computes something else here", name)
            except _MISSING as error:
                # This is no fault, because these operations are not in torch's stable interface.
                _LOG.info("%s: %s", name, first_lines(error, 1))
    fine = placement.for_weights(int8=False)
    return f"{fine.precision}, {STEP_BY_STEP}", _plain(network, placement)


def _fast_ways(
    network: Consistifier | SuperResolver, placement: Placement
) -> Iterator[tuple[str, Callable[[], Forward]]]:
    """Yield the name of each fast way and a function that makes it, with the fastest first."""
    ranges = network.ranges
    if placement.int8 and ranges is not None:
        yield f"{INT8}, fused", lambda: QuantisedNetwork(network, ranges)
    fine = placement.for_weights(int8=False)
    yield f"{fine.precision}, fused", lambda: FusedNetwork(network, placement.dtype)


def _agrees(name: str, forward: Forward, network: Consistifier | SuperResolver) -> bool:
    """Return whether a fast way gives the network's own result apart from rounding.

    The answer depends only on processor, versions and weights, so it is measured once per machine.
    The measurement takes a third of the time that preparing a network takes.
    """
    subject = f"{processor()} crsr-video {__version__} {name} {_fingerprint(network)}"
    (difference,) = measured_once(
        "network-agreement", subject, 1, lambda: [largest_difference(forward, network)]
    )
    return difference < _MAX_DIFFERENCE


def _fingerprint(network: Consistifier | SuperResolver) -> str:
    """Return the SHA-256 of the network's present weights, texture strength and ranges."""
    texture = network.texture if isinstance(network, SuperResolver) else 0.0
    found = hashlib.sha256(repr((type(network).__name__, network.ranges, texture)).encode())
    for name, value in network.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()


@torch.inference_mode()
def largest_difference(forward: Forward, network: nn.Module) -> float:
    """Return the largest difference from the network's own result, for a picture in [0, 1]."""
    picture = torch.linspace(0.2, 0.8, 3 * 16 * 16).reshape(1, 3, 16, 16)
    dtype = next(network.parameters()).dtype
    return float((forward(picture) - network(picture.to(dtype)).float()).abs().max())


def _plain(network: nn.Module, placement: Placement) -> Forward:
    module = network.to(device=placement.device, dtype=placement.dtype)
    use_channels_last(module)

    def forward(pictures: Tensor) -> Tensor:
        done: Tensor = module(pictures.contiguous(memory_format=torch.channels_last))
        return done

    return forward


@torch.inference_mode()
def _launched(network: nn.Module, placement: Placement) -> tuple[str, Forward]:
    """Return the fastest way of launching the network's kernels on a GPU."""
    forward, device = _plain(network, placement), placement.device
    if not any(True for _ in network.parameters()):
        return f"{placement.precision}, {STEP_BY_STEP}", forward
    sample = torch.zeros(1, 3, _SAMPLE, _SAMPLE, device=device)
    subject = f"{torch.cuda.get_device_name(device)} {torch.__version__} {placement.precision}"
    subject += f" {type(network).__name__} {sum(p.numel() for p in network.parameters())}"
    name, forward = fastest_launch(forward, RecordedForward(forward), sample, subject)
    return f"{placement.precision}, {name}", forward
