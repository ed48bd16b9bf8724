"""How a network is run on the device it was given: the fastest way that works there.

A runner takes and gives numpy: float32 (N, 3, H, W) in [0, 1] to float32 (N, 3, fH, fW).
"""

import logging
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crsr_video.backends.cuda import Recorded, Streamed, quickest
from crsr_video.devices import Placement
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.fused import Fused
from crsr_video.networks.quantised import Quantised

Images = NDArray[np.float32]
Forward = Callable[[Tensor], Tensor]
Runner = Callable[[Images], Images]

_LOG = logging.getLogger(__name__)

_AGREEMENT = 0.1
"""How far any way may be from the plain one, of 1: more is a fault, not rounding."""

_SMALL = 64
"""Side in pixels up to which eight bits are faster: of 128, a super-resolver took 65 ms in them
and 42 in bf16."""

_MISSING = (RuntimeError, NotImplementedError, AttributeError, TypeError, KeyError)
"""What is raised where an operation is missing, or wants other arguments in this version."""


def runner(network: nn.Module, placement: Placement) -> Runner:
    """The way to run a network, which may be moved to the device and its precision for that."""
    device = placement.device
    if device.type == "cuda":
        return Streamed(_launched(network, placement), device)
    return _Plain(_fastest(network, placement), device)


class _Plain:
    """One copy in, one copy out; on a CPU, none."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward, self._device = forward, device

    def __call__(self, images: Images) -> Images:
        output = self._forward(torch.from_numpy(images).to(self._device))
        done: Images = output.float().cpu().contiguous().numpy()
        return done


class _BySize:
    """Small pictures one way, large ones another."""

    def __init__(self, small: Forward, large: Forward) -> None:
        self._small, self._large = small, large

    def __call__(self, picture: Tensor) -> Tensor:
        return (self._small if picture.shape[-1] <= _SMALL else self._large)(picture)


def _fastest(network: nn.Module, placement: Placement) -> Forward:
    """What computes a network that is walked in large steps on a CPU, and as it is elsewhere."""
    if placement.device.type == "cpu" and isinstance(network, Consistifier | SuperResolver):
        for way in _ways(network, placement):
            try:
                forward = way()
                if _agrees(forward, network):
                    return forward
                _LOG.info("%s computes something else here", way.__name__)
            except _MISSING as error:
                # Not a fault: these operations are no part of torch's stable interface.
                _LOG.info("%s: %s", way.__name__, str(error).partition("\n")[0])
    return _plain(network, placement)


def _ways(
    network: Consistifier | SuperResolver, placement: Placement
) -> Iterator[Callable[[], Forward]]:
    """The fastest first."""
    ranges = network.ranges

    def eight_bits() -> Forward:
        assert ranges is not None
        return _BySize(Quantised(network, ranges), Fused(network, placement.dtype))

    def fused() -> Forward:
        return Fused(network, placement.dtype)

    if placement.eight_bits and ranges is not None:
        yield eight_bits
    yield fused


@torch.inference_mode()
def _agrees(forward: Forward, network: nn.Module) -> bool:
    """Whether a way gives the network's own result, but for rounding."""
    picture = torch.linspace(0.2, 0.8, 3 * 16 * 16).reshape(1, 3, 16, 16)
    away = (forward(picture) - _plain_on_cpu(network)(picture)).abs().max()
    return bool(away < _AGREEMENT)


def _plain_on_cpu(network: nn.Module) -> Forward:
    dtype = next(network.parameters()).dtype
    return lambda images: network(images.to(dtype)).float()


def _plain(network: nn.Module, placement: Placement) -> Forward:
    module: nn.Module = network.to(  # type: ignore[call-overload]
        device=placement.device, dtype=placement.dtype, memory_format=torch.channels_last
    )

    def forward(images: Tensor) -> Tensor:
        done: Tensor = module(images.contiguous(memory_format=torch.channels_last))
        return done

    return forward


def _launched(network: nn.Module, placement: Placement) -> Forward:
    """On a GPU: launched one by one, or recorded, whichever is faster there for one face."""
    forward, device = _plain(network, placement), placement.device
    if not any(True for _ in network.parameters()):
        return forward
    sample = torch.zeros(1, 3, 64, 64, device=device)
    subject = f"{torch.cuda.get_device_name(device)} {torch.__version__} {placement.precision}"
    subject += f" {type(network).__name__} {sum(p.numel() for p in network.parameters())}"
    with torch.inference_mode():
        return quickest({"plain": forward, "recorded": Recorded(forward)}, sample, subject)
