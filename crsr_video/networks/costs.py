"""Cost of a network in multiply-adds."""

import torch
from torch import Tensor, nn


@torch.inference_mode()
def count_macs(network: nn.Module, *inputs: Tensor) -> int:
    """Count the multiply-adds of the convolutions in one forward pass.

    Args:
        network: The network, on the CPU.
        inputs: Arguments of the forward pass.
    """
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        total += output.numel() * (layer.in_channels // layer.groups) * taps

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def count_parameters(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
