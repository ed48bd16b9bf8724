"""Run segments, killed by SIGKILL at given moments one after another, and then to the end.

python -m tests.unit.jobs.segments.killing SOURCE FOLDER MOMENT,MOMENT... MOMENT...

A moment is FUNCTION:COUNT. The process is killed after that call of the function. Each word makes
one result, FOLDER/0.mp4 and so on. The program forks, so that libraries are loaded once, and starts
no threads before.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crsr_video import pipeline
from crsr_video.config import Config, OutputSettings
from crsr_video.io import output_file
from crsr_video.io.writer import Writer
from crsr_video.jobs.segments import resuming
from crsr_video.jobs.segments.work_folder import SegmentJournal
from crsr_video.private_folder import PrivateFolder
from tests.unit.jobs.segments.fake_pipeline import build

LENGTH = 10
CONFIG = Config.from_options(
    model="identity", device="cpu", precision="fp32", output=OutputSettings(preset="ultrafast")
)
PLACES: dict[str, tuple[Any, str]] = {
    "frame": (Writer, "push"),
    "file": (output_file, "publish"),
    "line": (SegmentJournal, "append"),
    "joined": (Writer, "push_encoded"),
    "cleared": (PrivateFolder, "unlink"),
}


def die_at(moment: str) -> None:
    """Arrange for the process to be killed at a moment."""
    name, count = moment.split(":")
    home, attribute = PLACES[name]
    original: Callable[..., Any] = getattr(home, attribute)
    left = int(count)

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        result = original(*args, **kwargs)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(home, attribute, counting)


def run(source: Path, output: Path, moment: str | None) -> None:
    """Run one attempt in its own process."""
    pid = os.fork()
    if pid == 0:
        if moment is not None:
            die_at(moment)
        outcome = resuming.enhance_resumably(source, output, CONFIG, length=LENGTH)
        print(outcome.statistics.frames, outcome.resumed, flush=True)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed if moment is not None else status == 0, (moment, status)
    if moment is not None:
        print(moment, "result" if output.exists() else "none", flush=True)


if __name__ == "__main__":
    pipeline.build = build
    for number, moments in enumerate(sys.argv[3:]):
        for moment in [*moments.split(","), None]:
            run(Path(sys.argv[1]), Path(sys.argv[2]) / f"{number}.mp4", moment)
