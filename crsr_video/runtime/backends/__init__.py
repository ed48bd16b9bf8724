"""How a network is run on the device it was given: the fastest way that works there.

A runner takes and gives numpy: float32 (N, 3, H, W) in [0, 1] to float32 (N, 3, fH, fW).
"""

import copy
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crsr_video import __version__
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.fused import Fused
from crsr_video.networks.plan import factor
from crsr_video.networks.quantised import Quantised
from crsr_video.runtime import devices
from crsr_video.runtime.backends.cuda import Streamed
from crsr_video.runtime.backends.launches import PLAIN, launched
from crsr_video.runtime.backends.windowed import Windowed
from crsr_video.runtime.devices import Placement
from crsr_video.runtime.remembered import remembered

Images = NDArray[np.float32]
Forward = Callable[[Tensor], Tensor]
Way = tuple[str, Forward]
"""How a network is computed, in words, and what does it."""


class Runner(Protocol):
    """A network where it was placed."""

    way: str
    """How it is computed, in words."""

    forward: Forward
    """The same from and to tensors on the device."""

    def __call__(self, images: Images) -> Images:
        """Forward pass."""


_LOG = logging.getLogger(__name__)

_AGREEMENT = 0.1
"""How far any way may be from the plain one, of 1: more is a fault, not rounding."""

MOST_IN_BYTES = 112 * 96
"""Pixels of a crop up to which eight bits are faster: of 112 x 96, a super-resolver took 16 ms in
them and 24 in bf16; of 128 x 128, where rows are a power of two apart in memory, 61 and 39."""

_SAMPLE = 64
"""Side in pixels of the crop by which ways of launching are measured."""

_MISSING = (RuntimeError, NotImplementedError, AttributeError, TypeError, KeyError)
"""What is raised where an operation is missing, or wants other arguments in this version."""


def runner(
    network: nn.Module,
    placement: Placement,
    *,
    compiling: bool = False,
    windowed: Collection[int] = (),
) -> Runner:
    """The way to run a network, which may be moved to the device and its precision for that.

    Args: compiling: on a GPU, find out whether `torch.compile` pays, which takes minutes the
          first time.
          windowed: sides of crops of which only the part is computed that is used.
    """
    device = placement.device
    on_gpu = device.type == "cuda"
    way, forward = (
        _launched(network, placement, compiling) if on_gpu else _fastest(network, placement)
    )
    if isinstance(network, Consistifier | SuperResolver) and windowed:
        forward = Windowed(forward, factor(network), windowed)
    return Streamed(forward, device, way=way) if on_gpu else _Plain(way, forward, device)


class _Plain:
    """One copy in, one copy out; on a CPU, none."""

    def __init__(self, way: str, forward: Forward, device: torch.device) -> None:
        self.way = way
        self.forward, self._device = forward, device

    def __call__(self, images: Images) -> Images:
        output = self.forward(torch.from_numpy(images).to(self._device))
        done: Images = output.float().cpu().contiguous().numpy()
        return done


class _BySize:
    """Most pictures one way, large ones another, which is made when the first of them comes."""

    def __init__(self, small: Forward, make_large: Callable[[], Forward]) -> None:
        self._small, self._make_large = small, make_large
        self._large: Forward | None = None

    def __call__(self, picture: Tensor) -> Tensor:
        if picture.shape[-1] * picture.shape[-2] <= MOST_IN_BYTES:
            return self._small(picture)
        if self._large is None:
            self._large = self._make_large()
        return self._large(picture)


def _fastest(network: nn.Module, placement: Placement) -> Way:
    """What computes a network that is walked in large steps on a CPU, and as it is elsewhere."""
    if placement.device.type == "cpu" and isinstance(network, Consistifier | SuperResolver):
        for name, make in _ways(network, placement):
            try:
                forward = make()
                if _agrees(name, forward, network):
                    return name, forward
                _LOG.info("%s: computes something else here", name)
            except _MISSING as error:
                # Not a fault: these operations are no part of torch's stable interface.
                _LOG.info("%s: %s", name, str(error).partition("\n")[0])
    fine = placement.fitting(eight_bits=False)
    return f"{fine.precision}, step by step", _plain(network, placement)


def _ways(
    network: Consistifier | SuperResolver, placement: Placement
) -> Iterator[tuple[str, Callable[[], Forward]]]:
    """The fastest first, each with its name."""
    ranges = network.ranges
    fine = placement.fitting(eight_bits=False)
    if placement.eight_bits and ranges is not None:
        # A copy: what `_plain` does to a network would change what is quantised later.
        yield (
            f"{devices.EIGHT_BITS}, fused, with {fine.precision} above {MOST_IN_BYTES} pixels",
            lambda: _BySize(
                Quantised(network, ranges), lambda: _fastest(copy.deepcopy(network), fine)[1]
            ),
        )
    yield f"{fine.precision}, fused", lambda: Fused(network, placement.dtype)


def _agrees(name: str, forward: Forward, network: Consistifier | SuperResolver) -> bool:
    """Whether a way gives the network's own result, but for rounding.

    What comes out depends on nothing but the subject, so it is looked at once on a machine: it
    takes a third of the time of getting a network ready.
    """
    subject = f"{devices.identity()} crsr-video {__version__} {name} {_content(network)}"
    (away,) = remembered("network-agreement", subject, 1, lambda: [_away(forward, network)])
    return away < _AGREEMENT


def _content(network: Consistifier | SuperResolver) -> str:
    """SHA-256 of the weights as they are now, texture and all, and of their ranges."""
    texture = network.texture if isinstance(network, SuperResolver) else 0.0
    found = hashlib.sha256(repr((type(network).__name__, network.ranges, texture)).encode())
    for name, value in network.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()


@torch.inference_mode()
def _away(forward: Forward, network: nn.Module) -> float:
    """The largest difference from the network's own result, of 1."""
    picture = torch.linspace(0.2, 0.8, 3 * 16 * 16).reshape(1, 3, 16, 16)
    return float((forward(picture) - _plain_on_cpu(network)(picture)).abs().max())


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


def _launched(network: nn.Module, placement: Placement, compiling: bool) -> Way:
    """On a GPU: in the way of launching that is the fastest there."""
    forward, device = _plain(network, placement), placement.device
    if not any(True for _ in network.parameters()):
        return f"{placement.precision}, {PLAIN}", forward
    sample = torch.zeros(1, 3, _SAMPLE, _SAMPLE, device=device)
    subject = f"{torch.cuda.get_device_name(device)} {torch.__version__} {placement.precision}"
    subject += f" {type(network).__name__} {sum(p.numel() for p in network.parameters())}"
    with torch.inference_mode():
        name, forward = launched(network, forward, sample, subject, compiling=compiling)
    return f"{placement.precision}, {name}", forward
