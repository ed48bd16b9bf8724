"""Cases of the benchmark of whole files, and their results."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BenchCase:
    """One generated clip, enhanced with one set of options."""

    size: str
    """A key of `clip.SIZES`."""
    faces: int
    """Number of faces in every frame, from 0 to 4."""
    preset: str
    frames: int
    model: str
    runs: int
    """Number of measurements. Results are medians."""
    device: str = "auto"
    precision: str = "auto"
    hwaccel: str = "none"
    """Kind of hardware device that decodes the clip, both for enhancing and for transcoding."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Time per frame, in milliseconds, of one way to process a clip."""

    wall_ms: float
    cpu_ms: float
    """CPU time of all threads."""

    @property
    def fps(self) -> float:
        """Frames per second, end to end."""
        return 1000 / self.wall_ms


@dataclass(frozen=True, slots=True)
class NetworkSpeed:
    """Throughput of both networks inside the pipeline."""

    precision: str
    """The precision of the super-resolver: fp32, bf16, fp16 or int8."""
    crop: int
    """The most frequent crop size in pixels, or 0 without faces."""
    face_macs: float
    """Multiply-adds of both networks for a face, on average."""
    achieved: float
    """Operations per second, two for a multiply-add: per second of CPU time on a CPU, and per
    second of elapsed time on a GPU."""
    peak: float
    """Operations per second of the fastest large matrix product."""
    peak_kernel: str = ""
    """Functions that multiplied the matrices."""
    method: str = ""
    """How the super-resolver is run."""


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """Medians over the runs of one case."""

    case: BenchCase
    plain: Speed
    """Decoding and encoding alone, by the same code with the same settings."""
    enhanced: Speed
    stages: dict[str, float]
    """CPU milliseconds per frame of each stage, measured alone with codecs on one thread."""
    enhanced_faces: float
    networks: NetworkSpeed
    peak_bytes: int
    """Largest memory of the process, or 0 if the system does not report it."""
    device: str = "cpu"
    """Device of the networks: cpu, mps, or the name of a GPU."""
    device_bytes: int = 0
    """Largest memory on the GPU, or 0 without one."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder, for instance that a device is missing."""

    @property
    def slowdown(self) -> float:
        """Time of enhancing divided by that of plain transcoding."""
        return self.enhanced.wall_ms / self.plain.wall_ms

    @property
    def cpu_ratio(self) -> float:
        """CPU time of enhancing divided by that of plain transcoding."""
        return self.enhanced.cpu_ms / self.plain.cpu_ms


@dataclass(frozen=True, slots=True)
class Startup:
    """Start-up times of the program in seconds."""

    help_seconds: float
    """Run time of ``crsr-video --help``."""
    first_frame_seconds: float
    """Time from the start of ``crsr-video enhance`` to the first enhanced frame of 640x480."""


@dataclass(frozen=True, slots=True)
class BenchFigures:
    """Results of a benchmark."""

    machine: dict[str, str]
    cases: tuple[CaseFigures, ...]
    startup: Startup | None = None
