"""What is compared: functions from a small face to one four times larger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crsr_video.evaluation.variants import variants
from crsr_video.networks import Bicubic

BASELINE = "bicubic"


@dataclass(frozen=True)
class Method:
    """One way to enlarge faces."""

    name: str
    run: Callable[[Tensor], Tensor]
    """(N, 3, T, T) in [0, 1] to (N, 3, 4T, 4T), float32, clamped to [0, 1]."""
    model: str = ""
    """As the user named it; empty for the baseline."""
    sha256: str = ""
    """Of the checkpoint."""


def methods(models: Sequence[str], *, bf16: bool = False) -> list[Method]:
    """The baseline, then every model.

    Args:   models: as `variant` reads them.
            bf16: run the networks in bfloat16, as live use does.
    Raises: ConfigError: the same model twice.
            WeightsError: a model cannot be loaded.
    """
    made = [Method(BASELINE, runner(Bicubic()))]
    for name, one in variants(models).items():
        pair = one.pair()
        parts = [] if one.alone else [pair.consistifier]
        network = nn.Sequential(*parts, pair.superresolver)
        made.append(Method(name, runner(network, bf16=bf16), one.text, pair.sha256))
    return made


def runner(network: nn.Module, *, bf16: bool = False) -> Callable[[Tensor], Tensor]:
    """A network as a plain function; its output is float32 in [0, 1]."""

    @torch.inference_mode()
    def run(low: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            high: Tensor = network(low)
        return high.float().clamp(0, 1)

    return run
