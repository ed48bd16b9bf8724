"""All use of torch's unstable interfaces on the CPU, in one place.

`torch.ops.mkldnn`, `torch.ops.onednn` and `torch.cpu._is_*` may change in any release of torch.
Callers catch what a missing operation raises, and run the plain network instead.
"""

from typing import Any

import torch
from torch import Tensor


def has_vnni() -> bool:
    """Return whether processor and torch multiply bytes (VNNI).

    Without VNNI, products are added up in 16 bits, which overflow.
    """
    known = all(hasattr(torch.ops.onednn, n) for n in ("qconv_prepack", "qconv2d_pointwise"))
    return known and _is_supported("_is_vnni_supported") and _has_onednn()


def has_bf16() -> bool:
    """Return whether the processor multiplies matrices of bf16 (AVX-512 BF16 or AMX)."""
    return _is_supported("_is_avx512_bf16_supported") or _is_supported("_is_amx_tile_supported")


def _is_supported(name: str) -> bool:
    return bool(getattr(torch.cpu, name, bool)())


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def pack_weight(
    weight: Tensor, stride: list[int], padding: list[int], input_shape: torch.Size
) -> Tensor:
    """Return the weight of a convolution in oneDNN's own layout for inputs of one shape."""
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(memory_format=torch.channels_last),
        *(padding, stride, [1, 1], 1, list(input_shape)),
    )
    return packed


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int], *, relu: bool
) -> Tensor:
    """Convolve, and apply a ReLU while the result is still in a register."""
    done: Tensor = torch.ops.mkldnn._convolution_pointwise(
        *(x, weight, bias, padding, stride, [1, 1], 1, "relu" if relu else "none", [], ""),
    )
    return done


def convolve_onto(
    onto: Tensor, x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int]
) -> Tensor:
    """Add a convolution to a tensor, in its memory."""
    done: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        *(onto, x, weight, bias, padding, stride, [1, 1], 1),
        *("add", 1.0, None, [], None),
    )
    return done


def pack_byte_weight(
    codes: Tensor,
    steps: Tensor,
    input_step: float,
    *,
    stride: list[int],
    padding: list[int],
    groups: int,
    input_shape: list[int],
) -> Tensor:
    """Return the int8 weight of a convolution in oneDNN's own layout for inputs of one shape."""
    packed: Tensor = torch.ops.onednn.qconv_prepack(
        *(codes.to(torch.int8), steps, input_step, 0),
        *(stride, padding, [1, 1], groups, input_shape),
    )
    return packed


def convolve_bytes(*arguments: Any) -> Tensor:
    """Convolve unsigned bytes; the arguments are those of ``qconv2d_pointwise``."""
    done: Tensor = torch.ops.onednn.qconv2d_pointwise(*arguments)
    return done


def convolve_bytes_onto(*arguments: Any) -> Tensor:
    """Add a convolution of bytes to bytes; see ``qconv2d_pointwise.binary``."""
    done: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(*arguments)
    return done
