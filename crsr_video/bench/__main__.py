"""One case in a process of its own: a job as JSON on the command line, its figures on stdout."""

import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crsr_video.bench.case import Case


def _case(clip: Path, job: dict[str, Any]) -> dict[str, Any]:
    from crsr_video.bench.measure import measure

    _limit_opencv(job["case"].get("device", "auto"))

    return asdict(measure(Case(**job["case"]), clip))


def _startup(clip: Path, job: dict[str, Any]) -> dict[str, Any]:
    from crsr_video.bench import startup

    if job["apart"]:
        return {"parts": startup.parts(clip, job["spawned"])}
    return {"total": startup.total(clip, job["spawned"])}


def _limit_opencv(device: str) -> None:
    """Let OpenCV use one thread beside networks on the CPU, as the command line does."""
    import cv2

    from crsr_video.runtime.devices import resolve_device

    if resolve_device(device).type == "cpu":
        cv2.setNumThreads(1)


def main() -> None:
    """Do what is asked for and print what came out."""
    # As the command line does: the collector rarely runs while the libraries are loaded.
    gc.set_threshold(50_000, 20, 100)
    job = json.loads(sys.argv[1])
    act = {"case": _case, "startup": _startup}[job["kind"]]
    print(json.dumps(act(Path(job["clip"]), job)))


if __name__ == "__main__":
    main()
