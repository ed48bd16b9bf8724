"""Where and in what arithmetic the networks run."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from crsr_video.errors import DeviceError
from crsr_video.runtime.remembered import remembered

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

EIGHT_BITS = "int8"
"""Name of the precision for networks that were measured for it; see `networks.quantised`."""

_ELSE = ", else "
"""Before the reason for what other weights than measured ones get."""

_PROBE_SPEEDUP = 1.3
"""Half precision is chosen on a CPU only if it is this much faster: it costs some accuracy."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A device, an arithmetic, and the reason for it in words."""

    device: torch.device
    dtype: torch.dtype
    reason: str
    eight_bits: bool = False
    """Run networks whose ranges are known in eight bits, and others in `dtype`."""
    threads: int | None = None
    """CPU threads of the networks. None leaves torch's own number."""

    @property
    def precision(self) -> str:
        """Its short name: fp32, bf16, fp16 or int8."""
        if self.eight_bits:
            return EIGHT_BITS
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run networks in the block with these threads, and with exact fp32 on CUDA.

        Both are restored afterwards. The number of threads is a setting of the calling thread.
        """
        threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self.device.type == "cuda":
            # Networks run in fp32 where they need it: TF32 keeps 10 bits, and bands become visible.
            torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            if self.threads is not None:
                torch.set_num_threads(threads)
            if self.device.type == "cuda":
                torch.backends.cudnn.allow_tf32 = tf32

    def fitting(self, *, eight_bits: bool) -> "Placement":
        """For given weights: without eight bits where those were not measured for them."""
        if not self.eight_bits:
            return self
        coarse, _, fine = self.reason.partition(_ELSE)
        if eight_bits:
            return replace(self, reason=coarse)
        reason = f"{fine} (not {EIGHT_BITS}: its ranges were not measured for these weights)"
        return replace(self, eight_bits=False, reason=reason)


def place(
    device: str = "auto", precision: str = "auto", *, threads: int | None = None
) -> Placement:
    """Choose device, precision and CPU threads.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "fp32", "bf16", "fp16" or "int8".
        threads: CPU threads of networks on the CPU. Defaults to `network_threads`.

    Raises:
        DeviceError: The device is unknown, not here, or cannot do the precision.
    """
    found = _place(device, precision)
    if found.device.type != "cpu":
        return found
    return replace(found, threads=threads or network_threads())


def _place(device: str, precision: str) -> Placement:
    chosen = resolve_device(device)
    if precision == "auto":
        return _fast(chosen)
    if precision == EIGHT_BITS:
        return _coarse(chosen)
    if precision not in _DTYPES:
        raise DeviceError(f"unknown precision '{precision}': use auto, fp32, bf16, fp16 or int8")
    if chosen.type == "cpu" and precision == "fp16":
        raise DeviceError("fp16 is slow and coarse on a CPU: use bf16 or fp32")
    return Placement(chosen, _DTYPES[precision], "as asked")


def network_threads(processes: int = 1) -> int:
    """Intra-op threads for the networks on a CPU.

    Spinning OpenMP teams that share cores with an encoder run many times slower than one thread,
    so they get a small part of the machine.
    Args: processes: how many like this one share the machine.
    """
    return max(1, (os.cpu_count() or 1) // 4 // processes)


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
        # As it was written: torch keeps eight bits of the number.
        if int(name.partition(":")[2] or 0) >= count:
            raise DeviceError(f"device '{name}' is not here: {count} CUDA devices found")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("device 'mps' is not here: it needs Apple silicon")
    elif device.type != "cpu":
        raise DeviceError(f"device '{name}' is not supported: use auto, cpu, cuda, cuda:N or mps")
    return device


def _fast(device: torch.device) -> Placement:
    """What is fast there and good enough."""
    dtype, reason = _fast_dtype(device)
    if device.type == "cpu" and _computes_bytes():
        coarse = f"{EIGHT_BITS} on CPU: the processor multiplies bytes, ranges were measured"
        return Placement(device, dtype, f"{coarse}{_ELSE}{reason}", True)
    return Placement(device, dtype, reason)


def _coarse(device: torch.device) -> Placement:
    """Eight bits, as asked."""
    if device.type != "cpu" or not _computes_bytes():
        raise DeviceError("int8 needs a CPU with VNNI: use auto, bf16 or fp32")
    dtype, reason = _fast_dtype(device)
    return Placement(device, dtype, f"{EIGHT_BITS} as asked{_ELSE}{reason}", True)


def _fast_dtype(device: torch.device) -> tuple[torch.dtype, str]:
    if device.type == "cuda":
        return torch.float16, "fp16 on CUDA: tensor cores"
    if device.type == "mps":
        return torch.float32, "fp32 on MPS"
    # What the processor can do is the same in every run; what a stopwatch says on a busy machine
    # is not, and other arithmetic is another picture. So it is asked once and remembered.
    if _computes_bf16():
        return torch.bfloat16, "bf16 on CPU: the processor has instructions for it"
    slow, fast = remembered("arithmetic", identity(), 2, _measured)
    figures = f"measured {slow * 1e3:.1f} ms in fp32, {fast * 1e3:.1f} ms in bf16"
    if slow > _PROBE_SPEEDUP * fast:
        return torch.bfloat16, f"bf16 on CPU: {figures}"
    return torch.float32, f"fp32 on CPU: {figures}"


def _measured() -> list[float]:
    """Seconds in fp32 and in bf16."""
    return [_probe(torch.float32), _probe(torch.bfloat16)]


def identity() -> str:
    """The processor and the build of torch, which together decide what is fast."""
    name = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        name = next((line for line in lines if line.startswith("model name")), "")
    except OSError:
        name = platform.processor()
    level = torch.backends.cpu.get_cpu_capability()
    return " ".join(f"{platform.machine()} {name} {level} torch {torch.__version__}".split())


def _computes_bytes() -> bool:
    """Whether processor and torch multiply bytes by themselves (VNNI).

    Without VNNI, products are added up in 16 bits, which overflow.
    """
    known = all(hasattr(torch.ops.onednn, n) for n in ("qconv_prepack", "qconv2d_pointwise"))
    able = getattr(torch.cpu, "_is_vnni_supported", bool)()
    return bool(able and known and torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _computes_bf16() -> bool:
    """Whether the processor multiplies matrices of bf16 by itself (AVX-512 BF16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _probe(dtype: torch.dtype) -> float:
    """Seconds for a few convolutions like the networks' own, the best of some runs."""
    layers = nn.Sequential(*(nn.Conv2d(48, 48, 3, padding=1) for _ in range(3)))
    layers = layers.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.zeros(1, 48, 64, 64, dtype=dtype).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(5):
            begin = time.perf_counter()
            layers(x)
            times.append(time.perf_counter() - begin)
    return min(times)
