"""Summaries of runs: sentences for people, and the fields of JSON events."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crsr_video import machine
from crsr_video.formatting import format_bytes, format_count

if TYPE_CHECKING:
    from crsr_video.jobs.file import Summary
    from crsr_video.runner import Progress
    from crsr_video.types import RunStatistics

_MUCH_LARGER = 1.5
"""Ratio of result size to source size above which the user is told how to get a smaller file."""

# Fields of events ---------------------------------------------------------------------------------


def progress_facts(state: "Progress") -> dict[str, Any]:
    """The fields of a progress event."""
    return {
        "frames": state.frames,
        "total": state.total,
        "fps": round(state.fps, 2),
        "faces": state.faces,
    }


def summary_facts(summary: "Summary") -> dict[str, Any]:
    """The fields of a summary event."""
    statistics = summary.statistics
    return {
        "output": str(summary.output),
        "is_copy": summary.is_copy,
        "source_bytes": _size_of(summary.source),
        "output_bytes": _size_of(summary.output),
        "frames": statistics.frames,
        "resumed": summary.resumed,
        "faces": statistics.faces,
        "enhanced": statistics.enhanced,
        "tracks": statistics.tracks,
        "people": statistics.people or None,
        "cuts": statistics.cuts,
        "skipped": statistics.skipped,
        "passed_through": statistics.passed_through,
        "concealed": summary.concealed,
        "damaged": summary.damaged,
        "truncated": summary.truncated,
        **timing_facts(summary, statistics.stage_seconds),
        "encoder": summary.plan.encoder,
        "pixel_format": summary.plan.pixel_format,
        "notices": list(summary.notices),
        "reports": [str(path) for path in summary.reports],
    }


def timing_facts(run: Any, stage_seconds: dict[str, float]) -> dict[str, Any]:
    """The fields of a summary event about time and memory.

    Args:
        run: A summary or an analysis, with `seconds`, `startup_seconds` and `fps`.
        stage_seconds: CPU seconds of each stage.
    """
    return {
        "seconds": round(run.seconds, 3),
        "startup_seconds": round(run.startup_seconds, 3),
        "fps": round(run.fps, 2),
        "stage_seconds": {name: round(s, 3) for name, s in stage_seconds.items()},
        "peak_memory_mib": machine.peak_mib(),
    }


def _size_of(path: Path) -> int | None:
    """Return the size of a file in bytes, or None if it is not a file, such as standard output."""
    with suppress(OSError):
        return path.stat().st_size if path.is_file() else None
    return None


# Sentences ----------------------------------------------------------------------------------------


def damage_text(run: Any) -> str:
    """The damage of a source in words, such as "cut off, missing 3 frames".

    Args:
        run: A summary or an analysis, with `truncated`, `concealed` and `damaged`.
    """
    damage = ["cut off"] if run.truncated else []
    if run.concealed:
        damage.append(f"damaged in {format_count(run.concealed, 'frame')}")
    if run.damaged:
        damage.append(f"missing {format_count(run.damaged, 'frame')}")
    return ", ".join(damage)


def timing_line(run: Any, frames: int) -> str:
    """Speed and start-up time of a run in words."""
    done = f"Processed {format_count(frames, 'frame')} in {run.seconds:.1f} s"
    return f"{done}: {run.fps:.1f} fps after {run.startup_seconds:.1f} s to start"


def stage_line(frames: int, stage_seconds: dict[str, float]) -> list[str]:
    """CPU time of each stage in words, or nothing if there was no frame."""
    if not frames:
        return []
    stages = [f"{name} {s / frames * 1e3:.1f}" for name, s in stage_seconds.items()]
    return [f"Time per frame in ms: {', '.join(stages)}"]


def people_text(statistics: "RunStatistics") -> str:
    """How many people were enhanced, and in how many of their appearances.

    If it is unknown which tracks show the same person, the faces of all frames are counted instead.
    """
    enhanced, faces, people = statistics.enhanced, statistics.faces, statistics.people
    if statistics.frames == 1:
        share = f"{enhanced} of " if enhanced < faces else ""
        return f"Enhanced {share}{format_count(faces, 'face')}"
    if not people:
        share = f"{enhanced} of {faces}" if enhanced < faces else f"all {faces}"
        return f"Enhanced {share} faces in {format_count(statistics.frames, 'frame')}"
    if people == 1:  # One face per frame.
        return f"Enhanced 1 person in {enhanced} of {format_count(faces, 'frame')}"
    if enhanced < faces:  # Some of the people may not be enhanced at all.
        return f"Enhanced {enhanced} of {faces} appearances of {format_count(people, 'person')}"
    return f"Enhanced {format_count(people, 'person')} in all {faces} appearances"


def name_of(summary: "Summary") -> str:
    """Name of the source of a run in messages."""
    return "standard input" if str(summary.source) == "-" else str(summary.source)


def summary_text(summary: "Summary") -> str:
    """Summary of a run in one sentence, with the sizes before and after."""
    return f"{people_text(summary.statistics)}: wrote {written_text(summary)}"


def written_text(summary: "Summary") -> str:
    """The files that a run wrote, and the sizes of its source and result."""
    before, after = _size_of(summary.source), _size_of(summary.output)
    text = summary.plan.name
    if after is not None:
        text += f", {format_bytes(after)}"
        if before is not None:
            text += f" (source: {format_bytes(before)})"
    return " and ".join([text, *map(str, summary.reports)])


def why_nothing_changed(summary: "Summary", *, is_named: bool = True) -> str | None:
    """Why the result is like its source, or None if at least one face was enhanced.

    Args:
        summary: The summary.
        is_named: Whether the sentence names the source.
    """
    statistics = summary.statistics
    if statistics.enhanced:
        return None
    place = f" in {name_of(summary)}" if is_named else ""
    if statistics.passed_through:
        frames = format_count(statistics.passed_through, "frame")
        return f"No frame{place} could be enhanced: {frames} left unchanged after an error"
    end = f"wrote {'a copy to ' if summary.is_copy else ''}{written_text(summary)}"
    if not statistics.faces:
        return f"No face was found{place}: {end}"
    absent = [line for line in summary.notices if " not found: the video has " in line]
    reasons = statistics.skipped
    if len(reasons) > 1:  # What the user turned off needs no explanation.
        reasons = {why: n for why, n in reasons.items() if why != _TURNED_OFF} or reasons
    causes = absent or [
        f"{why} ({n} times)" if n > 1 else why for why, n in sorted(reasons.items())
    ]
    return f"No face was enhanced{place}: {', '.join(causes)}; {end}"


_TURNED_OFF = "turned off by the user"


def advice(summary: "Summary") -> list[str]:
    """Advice about settings that the user may want to change, in sentences."""
    statistics, lines = summary.statistics, []
    alone = sum(n for why, n in statistics.skipped.items() if why != _TURNED_OFF)
    if statistics.enhanced and alone > statistics.faces // 2:
        why = max(statistics.skipped, key=lambda reason: statistics.skipped[reason])
        lines.append(f"most faces were left alone, {statistics.skipped[why]} times because: {why}")
    if statistics.passed_through and statistics.enhanced:
        frames = format_count(statistics.passed_through, "frame")
        lines.append(f"{frames} left unchanged after an error")
    before, after = _size_of(summary.source), _size_of(summary.output)
    crf = summary.plan.choice.options.get("crf")
    if before and after and crf and after > _MUCH_LARGER * before:
        lines.append(
            f"the result is {after / before:.1f} times as large as its source: --for share, or a "
            f"higher --crf than {crf}, makes it smaller"
        )
    return lines


def detail_lines(summary: "Summary") -> list[str]:
    """Times, the encoder, and faces that were left alone, in lines."""
    statistics, plan = summary.statistics, summary.plan
    crf = plan.choice.options.get("crf")
    return [
        timing_line(summary, statistics.frames),
        *stage_line(statistics.frames, statistics.stage_seconds),
        f"Encoded by {plan.encoder}, {plan.pixel_format}{f', crf {crf}' if crf else ''}",
        *(f"Left unchanged: {n} x {why}" for why, n in sorted(statistics.skipped.items())),
    ]
