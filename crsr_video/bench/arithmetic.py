"""What the networks compute, and what the machine could."""

from collections import Counter

import torch
from torch import nn

from crsr_video.bench import peak
from crsr_video.bench.case import Arithmetic
from crsr_video.bench.passes import Apart
from crsr_video.imaging.masks import window
from crsr_video.pipeline import Networks
from crsr_video.runtime import devices
from crsr_video.runtime.backends import MOST_IN_BYTES, runner
from crsr_video.runtime.devices import Placement
from crsr_video.weights import load

_KNOWN = ("fp32", "bf16", "fp16", devices.EIGHT_BITS)


def arithmetic(model: str, networks: Networks, apart: Apart, gpu_ms: float = 0.0) -> Arithmetic:
    """Figures of the networks, from what the stages took.

    Args: model: name of the weights, or a file.
          gpu_ms: what a GPU computed in all; 0: there is none, and the stages' CPU time counts.
    """
    pair = load(model)  # anew: what runs may have been rewritten for speed
    parts = (pair.consistifier, pair.superresolver)
    windows = {side: _shape(side, networks) for side in apart.crops}
    macs = {
        side: sum(count_macs(part, *shape) for part in parts) for side, shape in windows.items()
    }
    faces = apart.crops.total()
    total = sum(macs[side] * count for side, count in apart.crops.items())
    ms = (
        gpu_ms or sum(apart.stages[part] for part in ("consistify", "super-resolve")) * apart.frames
    )
    way = runner(pair.superresolver.eval(), networks.placement).way
    used = Counter[str]()
    for side, count in apart.crops.items():
        height, width = windows[side]
        used[precision_at(way, height * width, networks.placement)] += macs[side] * count
    if not used.total():  # no faces, or nothing that multiplies
        used = Counter({networks.placement.precision: 1})
    limits = {name: peak.measure(networks.placement.device, name) for name in used}
    # What is done in several arithmetics takes at least what each takes at its own peak.
    least = sum(share / limits[name].rate for name, share in used.items())
    return Arithmetic(
        precision=networks.placement.precision,
        crop=apart.crops.most_common(1)[0][0] if faces else 0,
        face_macs=total / faces if faces else 0.0,
        achieved=2 * total / (ms / 1000) if faces else 0.0,
        peak=used.total() / least,
        used={name: share / used.total() for name, share in used.items()},
        peak_kernel=", ".join(limits[name].kernel for name in used),
        way=way,
    )


def precision_at(way: str, pixels: int, placement: Placement) -> str:
    """In what crops of so many pixels are really computed: fp32, bf16, fp16 or int8.

    Args: way: a runner's own words, which begin with it.
    """
    named = way.partition(",")[0]
    if named not in _KNOWN:
        return placement.precision
    if named == devices.EIGHT_BITS and pixels > MOST_IN_BYTES:
        return placement.fitting(eight_bits=False).precision
    return named


def _shape(side: int, networks: Networks) -> tuple[int, int]:
    """Height and width of what is computed of a crop."""
    if side not in networks.windowed:
        return side, side
    rows, columns = window(side)
    return rows.stop - rows.start, columns.stop - columns.start


@torch.inference_mode()
def count_macs(network: nn.Module, height: int, width: int | None = None) -> int:
    """Multiply-adds of the convolutions for one picture, a square one by default."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        total += output.numel() * (layer.in_channels // layer.groups) * taps

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    network(torch.zeros(1, 3, height, width or height))
    for hook in hooks:
        hook.remove()
    return total
