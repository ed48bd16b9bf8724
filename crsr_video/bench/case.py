"""What is measured, and what came out."""

from dataclasses import dataclass, field

from crsr_video.config import Precision


@dataclass(frozen=True, slots=True)
class Case:
    """One clip, enhanced in one way."""

    size: str
    """A key of `clip.SIZES`."""
    faces: int
    """In every frame, 0 to 4."""
    preset: str
    """Of the encoder, x264."""
    frames: int
    model: str
    runs: int
    """Times that everything is measured; what is told are the medians."""
    device: str = "auto"
    """Of the networks, as in `Config`."""
    precision: Precision = "auto"
    """Likewise."""
    hwaccel: str = "none"
    """Device that decodes, of both ways; see `ReadSettings`."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one way through a clip."""

    wall_ms: float
    """A frame."""
    cpu_ms: float
    """Of all threads together, a frame."""

    @property
    def fps(self) -> float:
        """Frames a second, end to end."""
        return 1000 / self.wall_ms


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What the networks compute, and how fast."""

    precision: str
    """That was chosen: fp32, bf16, fp16 or int8."""
    crop: int
    """Side of most faces' crops, pixels; 0 without faces."""
    face_macs: float
    """Multiply-adds of both networks for a face, on average."""
    achieved: float
    """Of both networks as they run here, floating-point operations a second of CPU time (on a
    GPU, of time)."""
    peak: float
    """Likewise, of a product of large matrices in the same arithmetic; of several, as they were
    used."""
    used: dict[str, float] = field(default_factory=dict)
    """Share of the multiply-adds by arithmetic: large crops may be computed in another one."""
    peak_kernel: str = ""
    """What multiplied the matrices, in words."""
    way: str = ""
    """How the super-resolver is computed, in words."""


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """Medians over the runs of one case."""

    case: Case
    plain: Speed
    """Decoded and encoded by the same code with the same settings, nothing done in between."""
    enhanced: Speed
    stages: dict[str, float]
    """CPU milliseconds a frame, each stage by itself and the codecs on one thread."""
    enhanced_faces: float
    """A frame."""
    arithmetic: Arithmetic
    peak_bytes: int
    """Most memory that the process held; 0: not known here."""
    device: str = "cpu"
    """What ran the networks: cpu, mps, or a GPU's name."""
    device_bytes: int = 0
    """Most memory of the GPU that was held; 0 without one."""
    transfer_ms: float | None = 0.0
    """For which the GPU copied to and from the processor's memory, a frame; 0 without one, None
    if it does not say."""
    notices: tuple[str, ...] = ()
    """What the decoder has to tell: that a device was not there, say."""

    @property
    def slowdown(self) -> float:
        """Time of enhancing over that of plain transcoding."""
        return self.enhanced.wall_ms / self.plain.wall_ms

    @property
    def transfer_share(self) -> float | None:
        """Of the time of an enhanced frame; other work may go on meanwhile."""
        return None if self.transfer_ms is None else self.transfer_ms / self.enhanced.wall_ms

    @property
    def more_cpu(self) -> float:
        """CPU time of enhancing over that of plain transcoding."""
        return self.enhanced.cpu_ms / self.plain.cpu_ms


@dataclass(frozen=True, slots=True)
class Startup:
    """From the start of a process to the first enhanced frame of a 640x480 file, seconds."""

    total: float
    """As the command does it."""
    parts: dict[str, float]
    """What each thing takes when they are done one after another."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything."""

    machine: dict[str, str]
    cases: tuple[CaseFigures, ...]
    startup: Startup | None = field(default=None)
