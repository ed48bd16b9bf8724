"""One case in a process of its own: a job as JSON on the command line, its figures on stdout."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crsr_video import garbage
from crsr_video.bench.case import Case


def _case(clip: Path, job: dict[str, Any]) -> dict[str, Any]:
    from crsr_video.bench.measure import measure

    return asdict(measure(Case(**job["case"]), clip))


def _startup(clip: Path, job: dict[str, Any]) -> dict[str, Any]:
    from crsr_video.bench import startup

    if job["apart"]:
        return {"parts": startup.parts(clip, job["spawned"])}
    return {"total": startup.total(clip, job["spawned"])}


def main() -> None:
    """Do what is asked for and print what came out."""
    garbage.seldom()
    job = json.loads(sys.argv[1])
    act = {"case": _case, "startup": _startup}[job["kind"]]
    print(json.dumps(act(Path(job["clip"]), job)))


if __name__ == "__main__":
    main()
