"""Enhance one damaged file with the whole program, and judge the result.

Everything is the program's own but the tracker, which would dominate the time and find no face in
a test picture: in its place every frame has one face in its middle, so that all stages work.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

import crsr_video
from crsr_video import pipeline
from crsr_video.errors import CrsrError
from crsr_video.io.sources.opening import main_video, open_container, packets_of
from crsr_video.stages.base import Stage
from crsr_video.types import Frame, TrackedFrame
from tests.integration.fuzz.seeds import FRAMES
from tests.support.frames import make_face

CONFIG = crsr_video.Config.from_options(model="identity", device="cpu", precision="fp32")
MAX_DRIFT = 0.05
"""Seconds by which sound may move against where the damaged file has it."""


class OneFace(Stage[Frame, TrackedFrame]):
    """Stand-in for the tracker that finds one face in every frame."""

    def push(self, frame: Frame) -> list[TrackedFrame]:
        side = min(frame.width, frame.height)
        face = make_face(frame.width / 2, frame.height / 2, side, confidence=1.0)
        return [TrackedFrame(frame, (face,))]


@dataclass
class Verdict:
    """Outcome of one case."""

    outcome: str
    """whole, partial, refused; or a finding: leftover, foreign, unreadable, lost, drift, silent."""
    words: str = ""
    seconds: float = 0.0
    frames: int = 0
    concealed: int = 0
    damaged: int = 0
    quiet: bool = False
    """Frames of the seed are missing, and nothing was said."""


def judge(path: Path) -> dict[str, Any]:
    """Enhance a file that lies alone in its folder, and judge the outcome."""
    begin, said = time.monotonic(), list[str]()
    try:
        summary = crsr_video.enhance(path, config=CONFIG, on_notice=said.append)
    except CrsrError as error:
        verdict = Verdict("refused", str(error))
        if "\n" in str(error):
            verdict.outcome = "foreign"
    except Exception as error:
        verdict = Verdict("foreign", f"{type(error).__name__}: {error}"[:300])
    else:
        verdict = _result(path, summary, said)
    verdict.seconds = time.monotonic() - begin
    kept = {path} if verdict.outcome in ("refused", "foreign") else {path, *_named(path)}
    left = set(path.parent.iterdir()) - kept
    if left:
        verdict = Verdict("leftover", str(sorted(p.name for p in left)), verdict.seconds)
    return asdict(verdict)


def _named(path: Path) -> Iterator[Path]:
    return path.parent.glob(f"{path.stem}.enhanced.*")


def _result(path: Path, summary: Any, said: list[str]) -> Verdict:
    """Judge a run that ended without an error."""
    seen, done = summary.statistics, Verdict("partial" if summary.partial else "whole")
    done.frames, done.concealed, done.damaged = seen.frames, summary.concealed, summary.damaged
    done.words = "; ".join(said)[:1000]
    done.quiet = not summary.partial and seen.frames < FRAMES and not _explained(said)
    try:
        found = _times(summary.output)
    except (FFmpegError, ValueError) as error:
        return Verdict("unreadable", f"{error} after: {done.words}")
    if len(found) != seen.frames:
        return Verdict("unreadable", f"{len(found)} of {seen.frames} frames; {done.words}")
    there = _plain_count(path)
    if seen.frames < there and done.outcome == "whole" and not _explained(said):
        return Verdict("lost", f"{seen.frames} frames of {there}; {done.words}")
    drift = _drift(path, summary.output)
    if drift > MAX_DRIFT and not any(
        word in s for s in said for word in ("moved", "clock", "too early")
    ):
        return Verdict("drift", f"sound moved by {drift:.3f} s; {done.words}")
    return done


def _explained(said: list[str]) -> bool:
    """Return whether a notice says that pictures, or their true times, are lost."""
    words = ("damage", "ends before", "missing", "clock", "contradicted", "without data")
    return any(word in line for line in said for word in words)


def _times(path: Path) -> list[int]:
    """Return the presentation times of a result, whose frames must all decode without an error."""
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        stream = next(s for s in container.streams.video if not s.disposition & 0x400)
        frames = list(container.decode(stream))
        assert all(f.width and f.height for f in frames)
        return [f.pts for f in frames if f.pts is not None]


def _plain_count(path: Path) -> int:
    """Return the number of frames that a plain decoding loop gets out of a file."""
    count = 0
    with open_container(path) as container:
        stream = main_video(container, path)
        try:
            for packet in packets_of(container, stream):
                try:
                    count += len(packet.decode())
                except (FFmpegError, ValueError):
                    continue
        except (FFmpegError, ValueError):
            pass
    return count


def _drift(source: Path, result: Path) -> float:
    """Return the range, in seconds, of the shifts of packets that both files contain."""
    old, new = _sound(source), _sound(result)
    shifts = [new[key] - old[key] for key in old.keys() & new.keys()]
    return float(max(shifts) - min(shifts)) if shifts else 0.0


def _sound(path: Path) -> dict[tuple[int, str], Fraction]:
    """Return the times of audio packets by track and content, for contents that occur once."""
    found: dict[tuple[int, str], list[Fraction]] = {}
    with open_container(path) as container:
        tracks = {s.index: i for i, s in enumerate(container.streams.audio)}
        try:
            for packet in packets_of(container):
                if packet.stream_index not in tracks or packet.size <= 8:
                    continue
                if packet.pts is not None and packet.pts == packet.dts:  # Else it is damage.
                    key = tracks[packet.stream_index], hashlib.sha1(bytes(packet)).hexdigest()
                    found.setdefault(key, []).append(packet.pts * packet.time_base)
        except (FFmpegError, ValueError):
            pass
    return {key: times[0] for key, times in found.items() if len(times) == 1}


def prepare() -> None:
    """Replace the tracker in this process."""
    pipeline.replay_for = lambda *_, **__: OneFace()
