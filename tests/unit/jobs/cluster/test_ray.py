"""A small Ray cluster on this machine gives the same frames as one process."""

import hashlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import av
import pytest

from crsr_video.api import enhance
from crsr_video.config import Config, OutputSettings
from crsr_video.jobs import cluster
from crsr_video.jobs.queue import Failed, Finished, Job
from crsr_video.jobs.segments import planning
from tests.support.paths import ROOT
from tests.support.video import make_video

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.ray,
    # Ray leaves pipes and processes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CONFIG = Config.from_options(
    model="identity", device="cpu", precision="fp32", output=OutputSettings(codec="ffv1")
)
LENGTH = 40


def contents(path: Path) -> list[tuple[Any, ...]]:
    """Return times and frames of the video, and all other packets."""
    with av.open(str(path)) as file:
        frames = [
            (f.pts, hashlib.md5(f.to_ndarray().tobytes()).hexdigest()) for f in file.decode(video=0)
        ]
    with av.open(str(path)) as file:
        others = [
            (p.stream_index, p.pts, bytes(p))
            for p in file.demux()
            if p.size and p.stream.type != "video"
        ]
    return frames + others


class Killer(threading.Thread):
    """Kills the first process that writes a segment."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder, self._over = folder, threading.Event()
        self.killed: list[int] = []

    def run(self) -> None:
        while not self.killed and not self._over.is_set():
            for part in self._folder.glob("*.part*"):
                self.killed += [pid for pid in writers(part) if kill(pid)]
            time.sleep(0.005)

    def end(self) -> None:
        self._over.set()
        self.join()


def writers(path: Path) -> list[int]:
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == path and int(link.parts[2]) != os.getpid():
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return sorted(set(found))


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.usefixtures("face_models")
def test_a_killed_worker_does_not_change_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_FRAMES", LENGTH)
    monkeypatch.setattr(planning, "WARM_UP_FRAMES", 12)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    long = make_video(tmp_path / "long.mkv", size=(960, 540), frames=200, b_frames=2, audio=1)
    short = make_video(tmp_path / "short.mkv", frames=12)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    jobs = [Job(path, out / path.name) for path in (broken, long, short)]
    events: list[Any] = []
    killer = Killer(out / ".long.mkv.resume")
    killer.start()
    before = signal.getsignal(signal.SIGTERM)
    try:
        cluster.run(jobs, CONFIG, events.append, address="local", workers=2)
    finally:
        killer.end()
    assert killer.killed
    assert capfd.readouterr().out == ""  # --json events are written there.
    assert signal.getsignal(signal.SIGTERM) == before
    failed = [event for event in events if isinstance(event, Failed)]
    assert [event.job.source for event in failed] == [broken]
    finished = {e.job.source: e.summary for e in events if isinstance(e, Finished)}
    assert set(finished) == {long, short}
    assert finished[long].statistics.frames == 200
    for source in (long, short):
        expected = tmp_path / "plain" / source.name
        expected.parent.mkdir(exist_ok=True)
        enhance(source, expected, config=CONFIG.with_options(resume=True))
        assert contents(out / source.name) == contents(expected)
    assert sorted(path.name for path in out.iterdir()) == ["long.mkv", "short.mkv"]
