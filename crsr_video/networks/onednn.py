"""All uses of torch's unstable interfaces for matrices and convolutions.

`torch.ops.mkldnn`, `torch.ops.onednn`, `torch._int_mm` and `torch.cpu._is_*` may change in any
release of torch. If an operation is missing, callers catch the exception that it raises, and run
the plain network instead.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def has_vnni() -> bool:
    """Return whether the processor and torch support products of bytes (VNNI).

    Without VNNI, products are added up in 16 bits, which can overflow.
    """
    known = all(hasattr(torch.ops.onednn, n) for n in ("qconv_prepack", "qconv2d_pointwise"))
    return (
        known and _is_supported("_is_vnni_supported") and bool(torch.backends.mkldnn.is_available())
    )


def has_bf16() -> bool:
    """Return whether the processor multiplies matrices of bf16 (AVX-512 BF16 or AMX)."""
    return _is_supported("_is_avx512_bf16_supported") or _is_supported("_is_amx_tile_supported")


def _is_supported(name: str) -> bool:
    return bool(getattr(torch.cpu, name, bool)())


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
    """Convolve, and if `relu` is set, apply a ReLU while the result is still in a register."""
    done: Tensor = torch.ops.mkldnn._convolution_pointwise(
        *(x, weight, bias, padding, stride, [1, 1], 1, "relu" if relu else "none", [], ""),
    )
    return done


def convolve_onto(
    onto: Tensor, x: Tensor, weight: Tensor, bias: Tensor, stride: list[int], padding: list[int]
) -> Tensor:
    """Add the convolution of `x` to the tensor `onto` in place."""
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
    """Add a convolution of bytes to bytes; the arguments are ``qconv2d_pointwise.binary``'s."""
    done: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(*arguments)
    return done


def matrix_products(a: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return functions that multiply a square matrix of floats or int8 by itself, by name.

    Functions that this release of torch lacks are left out.
    """
    found: dict[str, Callable[[], Tensor]] = {}
    on_cpu = a.device.type == "cpu"
    if a.dtype != torch.int8:
        if on_cpu and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            linear = torch.ops.mkldnn._linear_pointwise
            found["mkldnn._linear_pointwise"] = lambda: linear(a, a, None, "none", [], "")
        return found
    if hasattr(torch, "_int_mm"):
        found["torch._int_mm"] = lambda: torch._int_mm(a, a)
    if on_cpu and hasattr(torch.ops.onednn, "qlinear_prepack"):
        codes, side = a.view(torch.uint8), len(a)
        packed = torch.ops.onednn.qlinear_prepack(a, [side, side])
        scales, zeros = torch.ones(side), torch.zeros(side, dtype=torch.int64)
        multiply = torch.ops.onednn.qlinear_pointwise
        found["onednn.qlinear_pointwise"] = lambda: multiply(
            *(codes, 1.0, 0, packed, scales, zeros, None),
            *(1000.0, 0, torch.uint8, "none", [], ""),
        )
    return found
