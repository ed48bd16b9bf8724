"""The device on which the networks run, and their precision."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from crsr_video import machine
from crsr_video.errors import DeviceError
from crsr_video.networks import onednn
from crsr_video.networks.blocks import use_channels_last
from crsr_video.runtime.measurements import measured_once

INT8 = "int8"
"""Precision for networks whose activation ranges were measured; see `networks.quantised`."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Number types of the precisions in which torch computes."""

_PROBE_SPEEDUP = 1.3
"""Bfloat16 is chosen on a CPU only if it is this much faster, because it costs some accuracy."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, a precision, and the reason for the choice."""

    device: torch.device
    dtype: torch.dtype
    reason: str
    int8: bool = False
    """Whether networks with known activation ranges run in int8, and only the others in `dtype`."""
    fallback_reason: str = ""
    """With `int8`, the reason for `dtype`."""
    threads: int | None = None
    """Number of CPU threads of the networks. Defaults to torch's own number."""

    @property
    def precision(self) -> str:
        """Short name of the precision: fp32, bf16, fp16 or int8."""
        if self.int8:
            return INT8
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    def for_weights(self, *, int8: bool) -> "Placement":
        """Return the placement for given weights.

        Args:
            int8: Whether the activation ranges of these weights are known.
        """
        if not self.int8 or int8:
            return self
        reason = f"{self.fallback_reason} (not {INT8}: ranges of these weights were not measured)"
        return replace(self, reason=reason, int8=False, fallback_reason="")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run networks in the block with these threads, and with exact fp32 on CUDA.

        Both settings are restored afterwards. The number of threads is set for the calling thread
        only.
        """
        threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self.device.type == "cuda":
            # TF32 would keep 10 mantissa bits where networks compute in fp32: bands become visible.
            torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            if self.threads is not None:
                torch.set_num_threads(threads)
            if self.device.type == "cuda":
                torch.backends.cudnn.allow_tf32 = tf32


def place(
    device: str = "auto", precision: str = "auto", *, threads: int | None = None
) -> Placement:
    """Choose device, precision and CPU threads.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "fp32", "bf16", "fp16" or "int8".
        threads: Number of CPU threads of networks on the CPU. Defaults to `network_threads`.

    Raises:
        DeviceError: The device is unknown or missing, or cannot compute in that precision.
    """
    found = _place(resolve_device(device), precision)
    if found.device.type != "cpu":
        return found
    return replace(found, threads=threads or network_threads())


def network_threads(processes: int = 1) -> int:
    """Return how many threads the networks should use on a CPU.

    Spinning OpenMP teams that share cores with an encoder run many times slower than one thread, so
    the networks get a small part of the machine.

    Args:
        processes: Number of processes like this one that share the machine.
    """
    return max(1, (os.cpu_count() or 1) // 4 // processes)


def _place(chosen: torch.device, precision: str) -> Placement:
    if precision == "auto":
        fine = _fast(chosen)
        if chosen.type != "cpu" or not onednn.has_vnni():
            return fine
        reason = f"{INT8} on CPU: the processor multiplies bytes, ranges were measured"
        return replace(fine, reason=reason, int8=True, fallback_reason=fine.reason)
    if precision == INT8:
        if chosen.type != "cpu" or not onednn.has_vnni():
            raise DeviceError("int8 needs a CPU with VNNI: use auto, bf16 or fp32")
        fine = _fast(chosen)
        return replace(fine, reason=f"{INT8} as asked", int8=True, fallback_reason=fine.reason)
    if precision not in DTYPES:
        raise DeviceError(f"unknown precision '{precision}': use auto, fp32, bf16, fp16 or int8")
    if chosen.type == "cpu" and precision == "fp16":
        raise DeviceError("fp16 is slow and coarse on a CPU: use bf16 or fp32")
    return Placement(chosen, DTYPES[precision], "as asked")


def processor() -> str:
    """Describe the processor and the build of torch, which together decide what is fast."""
    level = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {machine.processor()} {level} torch {torch.__version__}"


def resolve_device(name: str) -> torch.device:
    """Return the device of a name such as "auto", "cpu" or "cuda:1".

    Raises:
        DeviceError: The name is unknown, or there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device '{name}': use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        # The number is read from the name, since torch keeps only eight bits of it.
        if int(name.partition(":")[2] or 0) >= count:
            raise DeviceError(f"device '{name}' was not found: there are {count} CUDA devices")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device 'mps' was not found: it needs Apple silicon")
    elif device.type != "cpu":
        raise DeviceError(f"device '{name}' is not supported: use auto, cpu, cuda, cuda:N or mps")
    return device


def _fast(device: torch.device) -> Placement:
    """Choose the fastest floating-point precision that is accurate enough."""
    if device.type == "cuda":
        return Placement(device, torch.float16, "fp16 on CUDA: tensor cores")
    if device.type == "mps":
        return Placement(device, torch.float32, "fp32 on MPS")
    if onednn.has_bf16():
        reason = "bf16 on CPU: the processor has instructions for it"
        return Placement(device, torch.bfloat16, reason)
    slow, fast = measured_once("precision", processor(), 2, _measure)
    figures = f"measured {slow * 1e3:.1f} ms in fp32, {fast * 1e3:.1f} ms in bf16"
    if slow > _PROBE_SPEEDUP * fast:
        return Placement(device, torch.bfloat16, f"bf16 on CPU: {figures}")
    return Placement(device, torch.float32, f"fp32 on CPU: {figures}")


def _measure() -> list[float]:
    return [seconds_of_convolutions(torch.float32), seconds_of_convolutions(torch.bfloat16)]


def seconds_of_convolutions(dtype: torch.dtype) -> float:
    """Return the least time of several runs of a few convolutions like those of the networks."""
    layers = nn.Sequential(*(nn.Conv2d(48, 48, 3, padding=1) for _ in range(3)))
    layers = layers.to(dtype=dtype)
    use_channels_last(layers)
    x = torch.zeros(1, 48, 64, 64, dtype=dtype).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(5):
            begin = time.perf_counter()
            layers(x)
            times.append(time.perf_counter() - begin)
    return min(times)
