"""Convolutions of quantised activations, which `quantised` uses."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crsr_video.networks import onednn

_LARGEST = 127
"""Largest code of a weight."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Quantisation: value = step * (code - zero), with codes from 0 to 255."""

    step: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> "Scale":
        """Return the scale for values from `low` to `high`, in which zero has a code of its own."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = max(high - low, 1e-6) / 255
        return cls(step, round(-low / step))


@dataclass(frozen=True, slots=True)
class Codes:
    """QuantisedNetwork activations."""

    data: Tensor
    """uint8 (N, C, H, W), channels last."""
    scale: Scale


class ByteConvolution:
    """A convolution from codes to codes, prepared for inputs of one shape and scale.

    Args:
        weight: float32 (O, I, K, K).
        bias: float32 (O,).
        x: An example with the shape and the scale of the later inputs.
        stride: As in `nn.Conv2d`.
        padding: As in `nn.Conv2d`, with zeros.
        groups: As in `nn.Conv2d`.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        x: Codes,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        steps = weight.abs().amax((1, 2, 3)).clamp_min(1e-8) / _LARGEST
        codes = (weight / steps.view(-1, 1, 1, 1)).round()
        # oneDNN is slow if the code of zero is not 0, so it always gets 0. The bias compensates for
        # what this adds to every sum, and the border of zeros is added before the convolution.
        shift = x.scale.step * x.scale.zero * steps * codes.sum((1, 2, 3))
        self._bias = bias - shift
        self._border = padding if x.scale.zero else 0
        self._padding = [padding - self._border] * 2
        self._steps = steps
        self._zeros = torch.zeros(len(steps), dtype=torch.int64)
        self._stride, self._groups = [stride] * 2, groups
        self._weight = onednn.pack_byte_weight(
            codes,
            steps,
            x.scale.step,
            stride=self._stride,
            padding=self._padding,
            groups=groups,
            input_shape=list(self._padded(x).shape),
        )

    def __call__(
        self, x: Codes, result: Scale, *, then: str = "none", onto: Codes | None = None
    ) -> Codes:
        """Return the codes of the result.

        Args:
            x: Codes of the input.
            result: Scale of the result.
            then: "none" or "relu".
            onto: Codes to which the result is added in place. With them, `then` has no effect.
        """
        scale = (result.step, result.zero, torch.uint8)
        if onto is None:
            data = onednn.convolve_bytes(
                *self._operands(x), self._bias, *self._geometry(), *scale, then, [], ""
            )
        else:
            data = onednn.convolve_bytes_onto(
                *self._operands(x),
                *(onto.data, self._bias, *self._geometry(), *scale),
                *(onto.scale.step, onto.scale.zero, "sum", 1.0, None, [], None),
            )
        return Codes(data, result)

    def values(self, x: Codes) -> Tensor:
        """Return the result without quantisation, float32 (N, O, H, W), channels last."""
        return onednn.convolve_bytes(
            *self._operands(x), self._bias, *self._geometry(), 1.0, 0, torch.float32, "none", [], ""
        )

    def _operands(self, x: Codes) -> tuple[object, ...]:
        return self._padded(x), x.scale.step, 0, self._weight, self._steps, self._zeros

    def _geometry(self) -> tuple[object, ...]:
        return self._stride, self._padding, [1, 1], self._groups

    def _padded(self, x: Codes) -> Tensor:
        border = (self._border,) * 4
        return functional.pad(x.data, border, value=x.scale.zero) if self._border else x.data


def repeated_pixels(data: Tensor) -> Tensor:
    """Repeat every pixel four times, and the border once more, to (N, C, 2H + 2, 2W + 2).

    Smoothing the result with the kernel 1 2 1 gives the bilinear enlargement: the columns a a b b
    between a and b become (3a + b) / 4 and (a + 3b) / 4.

    Args:
        data: (N, C, H, W).
    """
    height, width = data.shape[2:]
    lines = data.permute(0, 2, 3, 1).index_select(1, _twice(height)).index_select(2, _twice(width))
    return lines.permute(0, 3, 1, 2)


def _twice(length: int) -> Tensor:
    places = torch.arange(-1, 2 * length + 1).div(2, rounding_mode="floor")
    return places.clamp(0, length - 1)


def smoothing(channels: int) -> Tensor:
    """Return the kernel that smooths each channel of `repeated_pixels`, float32 (C, 1, 3, 3)."""
    line = torch.tensor([0.25, 0.5, 0.25])
    return (line[:, None] * line).expand(channels, 1, 3, 3)
