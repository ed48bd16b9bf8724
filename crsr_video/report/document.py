"""Put a report together from what was observed, the files and the machine."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from crsr_video import __version__, weights
from crsr_video.config import Config
from crsr_video.pipeline import Statistics
from crsr_video.report import media
from crsr_video.report.facts import FORMAT, VERSION, FrameFacts, MediaFacts, Report, Seen
from crsr_video.runtime.devices import Placement
from crsr_video.track import face_models

MOST_TRACKS = 10_000
"""Faces in a report; of more, those seen longest."""

_LIBRARIES = ("torch", "av", "numpy", "opencv-contrib-python", "ai-edge-litert")


class Done(Protocol):
    """What is known of a finished run, as `enhancer.Summary` has it."""

    @property
    def statistics(self) -> Statistics:
        """Counts and times."""
        ...

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        ...

    @property
    def startup_seconds(self) -> float:
        """Of those, before the first frame."""
        ...

    @property
    def truncated(self) -> bool:
        """The source ended before its end."""
        ...

    @property
    def concealed(self) -> int:
        """Frames patched up."""
        ...

    @property
    def damaged(self) -> int:
        """Packets lost."""
        ...

    @property
    def resumed(self) -> int:
        """Frames of an earlier run."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user was told."""
        ...

    @property
    def fps(self) -> float:
        """Frames a second, once started."""
        ...

    @property
    def partial(self) -> bool:
        """The source was cut off or damaged."""
        ...


def assemble(
    done: Done,
    seen: Seen,
    *,
    source: MediaFacts,
    output: MediaFacts,
    config: Config,
    placement: Placement,
    command: Sequence[str] = (),
) -> Report:
    """All that is to be told of a finished run.

    Args: source, output: what was read and written, see `media`.
    """
    counts = done.statistics
    tracks = sorted(seen.tracks, key=lambda track: (-track.frames, track.id))[:MOST_TRACKS]
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        complete=not done.partial,
        command=tuple(command),
        settings=_settings(config),
        versions=_versions(),
        hashes=_hashes(config),
        device=str(placement.device),
        precision=placement.precision,
        source=source,
        output=output,
        frames=FrameFacts(
            total=counts.frames,
            changed=seen.changed,
            passed_through=counts.passed_through,
            concealed=done.concealed,
            damaged=done.damaged,
            resumed=done.resumed,
            truncated=done.truncated,
        ),
        faces=counts.faces,
        enhanced=counts.enhanced,
        people=counts.tracks,
        skipped=dict(sorted(counts.skipped.items())),
        masks=seen.masks,
        seconds=round(done.seconds, 3),
        startup_seconds=round(done.startup_seconds, 3),
        fps=round(done.fps, 2),
        stages={name: round(seconds, 3) for name, seconds in counts.stage_seconds.items()}
        | {"report": round(seen.seconds, 3)},
        cuts=seen.cuts,
        tracks=tuple(sorted(tracks, key=lambda track: track.id)),
        tracks_left_out=len(seen.tracks) - len(tracks),
        notices=tuple(done.notices),
    )


def as_json(report: Report) -> str:
    """The report without its pictures, a line for every part and every face."""
    facts = {"format": FORMAT, "version": VERSION, **asdict(report)}
    tracks = facts.pop("tracks")
    for track in tracks:
        track.pop("pictures")
    lines = [f"{_text(key)}: {_text(value)}" for key, value in facts.items()]
    lines.append('"tracks": [' + ",".join("\n" + _text(track) for track in tracks) + "\n]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _text(value: Any) -> str:
    # ASCII only: names of files may hold what no encoding of text does.
    return json.dumps(value, allow_nan=False)


def _settings(config: Config) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(config).items()}


def _plain(value: Any) -> Any:
    """A choice in JSON's types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return [
            _plain(inner) for inner in (sorted(value) if isinstance(value, frozenset) else value)
        ]
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _versions() -> dict[str, str]:
    found = {"crsr-video": __version__, "Python": platform.python_version()}
    found |= {name: _version(name) for name in _LIBRARIES}
    return found | {"FFmpeg": media.ffmpeg(), "system": platform.platform()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _hashes(config: Config) -> dict[str, str]:
    """SHA-256 of the weights and, where faces were looked for, of the models that look."""
    pair = weights.load(config.model)
    found = {f"weights {pair.name}": pair.sha256}
    if config.tracks is None:
        for model in face_models.status():
            if model.present:
                digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
                found[f"face model {model.model.name}"] = digest
    return found
