"""What is going on in a live run, for people who watch it and for programs."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crsr_video.live.latency import Quantiles


@dataclass(frozen=True, slots=True)
class LiveStatistics:
    """A moment of a run, or all of it."""

    seconds: float
    """Since the first frame came."""
    frames_in: int
    frames_out: int
    fps_in: float
    """Lately; of a finished run: on the whole."""
    fps_out: float
    dropped: int
    """Frames that were left out, for newer ones waited."""
    latency: Quantiles
    """Lately; of a finished run: of all frames."""
    level: str
    """Of quality: "full" or what is done instead."""
    steps: int
    """Changes of level."""
    faces: int
    """In the frame that left last."""
    faces_seen: int
    """Summed over all frames so far."""
    enhanced: int
    """Of those, changed."""
    stages: Mapping[str, float]
    """Milliseconds a frame, of every stage."""
    reconnections: int
    memory: float | None
    """MiB in use."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, rounded to what they are worth."""
        facts = asdict(self)
        facts["latency"] = {f"{name}_ms": round(ms, 1) for name, ms in facts["latency"].items()}
        facts["stages"] = {name: round(ms, 2) for name, ms in self.stages.items()}
        for name in ("seconds", "fps_in", "fps_out"):
            facts[name] = round(facts[name], 2)
        facts["memory_mib"] = facts.pop("memory")
        return facts


def resident() -> float | None:
    """MiB of memory that this process holds now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
