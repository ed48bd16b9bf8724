"""What the networks compute, and what the machine could."""

import time

import torch
from torch import nn

from crsr_video.bench.case import Arithmetic
from crsr_video.bench.passes import Apart
from crsr_video.pipeline import Networks
from crsr_video.weights import load

_SIDE = 1024
"""Of the matrices for the peak."""
_SECONDS = 0.5
"""For which they are multiplied."""


def arithmetic(model: str, networks: Networks, apart: Apart) -> Arithmetic:
    """Figures of the networks, from what the stages took.

    Args: model: name of the weights, or a file.
    """
    pair = load(model)  # anew: what runs may have been rewritten for speed
    macs = {
        side: _macs(pair.consistifier, side) + _macs(pair.superresolver, side)
        for side in apart.crops
    }
    faces = apart.crops.total()
    total = sum(macs[side] * count for side, count in apart.crops.items())
    ms = sum(apart.stages[part] for part in ("consistify", "super-resolve")) * apart.frames
    return Arithmetic(
        precision=networks.placement.precision,
        crop=apart.crops.most_common(1)[0][0] if faces else 0,
        face_macs=total / faces if faces else 0.0,
        achieved=2 * total / (ms / 1000) if faces else 0.0,
        peak=peak(networks.placement.device, networks.placement.dtype),
    )


@torch.inference_mode()
def _macs(network: nn.Module, side: int) -> int:
    """Multiply-adds of the convolutions for one crop."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        width, height = layer.kernel_size
        total += output.numel() * (layer.in_channels // layer.groups) * width * height

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total


@torch.inference_mode()
def peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of CPU time (or, on a GPU, of time) in a large product."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    a = torch.randn(_SIDE, _SIDE, device=device).to(dtype)
    best, end = 0.0, clock() + _SECONDS
    (a @ a).sum().item()
    while clock() < end:
        begin = clock()
        for _ in range(4):
            product = a @ a
        product[0, 0].item()  # waits for a GPU
        best = max(best, 4 * 2 * _SIDE**3 / max(clock() - begin, 1e-9))
    return best
