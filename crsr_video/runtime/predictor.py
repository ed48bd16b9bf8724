"""Run a network on its device, in the fastest way that works there."""

import copy
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor, nn

from crsr_video._version import __version__
from crsr_video.imaging.masks import window
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.blocks import use_channels_last
from crsr_video.networks.fused import Fused
from crsr_video.networks.plan import factor
from crsr_video.networks.quantised import Quantised
from crsr_video.networks.shuffle import phases, shuffled
from crsr_video.runtime.cuda_graphs import STEP_BY_STEP, Forward, RecordedForward, fastest_launch
from crsr_video.runtime.measurements import measured_once
from crsr_video.runtime.placement import INT8, Placement, processor

_LOG = logging.getLogger(__name__)

_TOLERANCE = 0.1
"""Largest difference, of 1, of a fast way from the plain network. More is a fault, not rounding."""

MOST_INT8_PIXELS = 144 * 112
"""Largest crop, in pixels, for which int8 is faster. A super-resolver took 51 ms in int8 and 86 ms
in bf16 for 144 x 112 pixels; for 128 x 128, where rows are a power of two apart in memory, 101 and
85 (CPU time on a busy machine)."""

Part = tuple[slice, slice]
"""Rows and columns of a crop, in pixels."""

_SAMPLE = 64
"""Side in pixels of the crop with which ways of launching are measured."""

_MISSING = (RuntimeError, NotImplementedError, AttributeError, TypeError, KeyError)
"""Errors where an operation is missing, or takes other arguments in this version of torch."""


class Predictor:
    """A network on its device.

    Call it with float32 (N, 3, S, S) in [0, 1], in any memory. It returns float32 (N, 3, S', S') on
    its device.

    Args:
        network: May be moved to the device and its precision.
        placement: Device and precision.
        windowed: Sides of crops of which only the part is computed that is pasted.
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
    """How the network is computed, in words that begin with the precision."""

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, part: Part | None = None) -> Tensor:
        """Run the network for a part of the crops, by default for the faces in them."""
        with self._placement.applied():
            return self._forward(pictures.to(self._placement.device), part).float()


class Windowed:
    """A forward pass over the part of a crop that is used: two thirds of it for a face.

    Nothing is pasted beyond the mask, so nothing need be computed there. What lies there is shown
    as a network would that has nothing to add.

    Args:
        forward: For pictures of any shape whose sides are multiples of four.
        factor: Enlargement by the network, 1 or 4.
        sides: Sides of the crops of which only the part for the face is computed. Of smaller crops
            the whole is always computed.
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
        rows, columns = part
        computed = self._forward(picture[..., rows, columns].contiguous())
        if self._factor == 1:
            whole = picture.clone()
        else:
            whole = shuffled(phases(picture, self._factor), self._factor)
        rows, columns = (
            slice(self._factor * side.start, self._factor * side.stop) for side in part
        )
        whole[..., rows, columns] = computed
        return whole


class _BySize:
    """Runs small pictures one way and large ones another, which is made when it is first needed."""

    def __init__(self, small: Forward, make_large: Callable[[], Forward]) -> None:
        self._small, self._make_large = small, make_large
        self._large: Forward | None = None

    def __call__(self, picture: Tensor) -> Tensor:
        if picture.shape[-1] * picture.shape[-2] <= MOST_INT8_PIXELS:
            return self._small(picture)
        if self._large is None:
            self._large = self._make_large()
        return self._large(picture)


def _fastest(network: nn.Module, placement: Placement) -> tuple[str, Forward]:
    """Return the fastest way on a CPU that gives the network's own result."""
    if placement.device.type == "cpu" and isinstance(network, Consistifier | SuperResolver):
        for name, make in _fast_ways(network, placement):
            try:
                forward = make()
                if _agrees(name, forward, network):
                    return name, forward
                _LOG.info("%s: computes something else here", name)
            except _MISSING as error:
                # Not a fault, since these operations are no part of torch's stable interface.
                _LOG.info("%s: %s", name, str(error).partition("\n")[0])
    fine = placement.for_weights(int8=False)
    return f"{fine.precision}, {STEP_BY_STEP}", _plain(network, placement)


def _fast_ways(
    network: Consistifier | SuperResolver, placement: Placement
) -> Iterator[tuple[str, Callable[[], Forward]]]:
    """Yield the names of fast ways and what makes them, the fastest first."""
    ranges = network.ranges
    fine = placement.for_weights(int8=False)
    if placement.int8 and ranges is not None:
        # The larger pictures get a copy, since `_plain` changes the network that is quantised.
        yield (
            f"{INT8}, fused, with {fine.precision} above {MOST_INT8_PIXELS} pixels",
            lambda: _BySize(
                Quantised(network, ranges), lambda: _fastest(copy.deepcopy(network), fine)[1]
            ),
        )
    yield f"{fine.precision}, fused", lambda: Fused(network, placement.dtype)


def _agrees(name: str, forward: Forward, network: Consistifier | SuperResolver) -> bool:
    """Return whether a way gives the network's own result but for rounding.

    That depends on processor, versions and weights only, so it is measured once on a machine.
    Measuring takes a third of the time in which a network is made ready.
    """
    subject = f"{processor()} crsr-video {__version__} {name} {_fingerprint(network)}"
    (difference,) = measured_once(
        "network-agreement", subject, 1, lambda: [largest_difference(forward, network)]
    )
    return difference < _TOLERANCE


def _fingerprint(network: Consistifier | SuperResolver) -> str:
    """Return the SHA-256 of the present weights, texture and all, and of their ranges."""
    texture = network.texture if isinstance(network, SuperResolver) else 0.0
    found = hashlib.sha256(repr((type(network).__name__, network.ranges, texture)).encode())
    for name, value in network.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()


@torch.inference_mode()
def largest_difference(forward: Forward, network: nn.Module) -> float:
    """Return the largest difference of a way from the network's own result, of 1."""
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
