"""What is measured of the networks, and what came out."""

from dataclasses import asdict, dataclass
from typing import Any

from crsr_video.config import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be measured."""

    models: tuple[str, ...] = ("fast",)
    batches: tuple[int, ...] = (1, 8, 64)
    """Faces that are computed together."""
    sides: tuple[int, ...] = (64,)
    """Of the crops, pixels; multiples of 4."""
    device: str = "auto"
    precision: Precision = "auto"
    runs: int = 5
    """Times that everything is measured; what is told are the medians."""
    against: tuple[str, ...] = ()
    """Of `contenders.RIVALS`."""


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """Of one batch; milliseconds are medians."""

    model: str
    runner: str
    """`contenders.OURS` or who else computed it."""
    way: str
    """How, in words."""
    precision: str
    """In which these crops were computed: fp32, bf16, fp16 or int8."""
    device: str
    """cpu, mps, or a GPU's name."""
    threads: int
    """Of the networks, on a CPU."""
    side: int
    batch: int
    ms: float
    """From arrays to arrays; on a GPU with its copies, which overlap with other batches."""
    cpu_ms: float
    """Of all threads."""
    face_macs: int
    """Multiply-adds of both networks for one face."""
    achieved: float
    """Floating-point operations a second of CPU time (on a GPU, of time), likewise."""
    peak: float
    """The same of a product of large matrices in the same arithmetic."""
    peak_kernel: str
    """What multiplied them."""
    upload_ms: float | None
    """To the GPU, waited for, of both networks; None without one."""
    compute_ms: float | None
    download_ms: float | None
    device_bytes: int
    """Most memory of the GPU that this took, weights included; 0 without one."""
    psnr: float | None
    """Of the result to that of plain fp32, dB, 1 being white; None: not looked at."""

    @property
    def faces_per_second(self) -> float:
        """Of time."""
        return 1000 * self.batch / self.ms

    @property
    def transfer_share(self) -> float:
        """Of the copies in the time of all steps, each waited for; 0 without a GPU."""
        steps = (self.upload_ms, self.compute_ms, self.download_ms)
        up, middle, down = (step or 0.0 for step in steps)
        return (up + down) / max(up + middle + down, 1e-9)


def as_dict(row: NetworkFigures) -> dict[str, Any]:
    """For JSON."""
    derived = {
        "faces_per_second": row.faces_per_second,
        "peak_share": row.achieved / row.peak,
        "transfer_share": row.transfer_share,
    }
    return asdict(row) | derived
