"""Figures as text: Markdown tables."""

from collections.abc import Sequence

from crsr_video.bench.case import CaseFigures, Figures, Startup


def as_text(figures: Figures) -> str:
    """All tables."""
    where = ", ".join(f"{name} {value}" for name, value in figures.machine.items())
    parts = [where]
    if figures.cases:
        parts += [
            "End to end: frames a second and CPU milliseconds a frame, of plain transcoding and"
            " with faces enhanced.",
            _ends(figures.cases),
            "CPU milliseconds a frame of each stage by itself (codecs on one thread).",
            _stages(figures.cases),
            "Networks, and memory.",
            _networks(figures.cases),
        ]
        parts += list(dict.fromkeys(told for one in figures.cases for told in one.notices))
    if figures.startup is not None:
        parts.append(_startup(figures.startup))
    return "\n\n".join(parts)


def _named(one: CaseFigures) -> list[str]:
    return [one.case.size, str(one.case.faces), one.case.preset]


_NAMES = ["size", "faces", "preset"]


def _ends(cases: Sequence[CaseFigures]) -> str:
    head = [*_NAMES, "plain fps", "enhanced fps", "time", "plain CPU", "enhanced CPU", "CPU"]
    rows = [
        [
            *_named(one),
            f"{one.plain.fps:.1f}",
            f"{one.enhanced.fps:.1f}",
            f"{one.slowdown - 1:+.0%}",
            f"{one.plain.cpu_ms:.1f}",
            f"{one.enhanced.cpu_ms:.1f}",
            f"{one.more_cpu - 1:+.0%}",
        ]
        for one in cases
    ]
    return table(head, rows)


def _stages(cases: Sequence[CaseFigures]) -> str:
    names = list(dict.fromkeys(name for one in cases for name in one.stages))
    rows = [
        [*_named(one), *(f"{one.stages.get(name, 0.0):.2f}" for name in names)] for one in cases
    ]
    return table([*_NAMES, *names], rows)


def _networks(cases: Sequence[CaseFigures]) -> str:
    head = [*_NAMES, "enhanced a frame", "crop", "arithmetic", "Mmac a face"]
    head += ["GFLOP/s", "peak", "share", "memory"]
    on_gpu = any(one.device_bytes for one in cases)
    head += ["GPU memory", "transfers a frame", "transfers"] if on_gpu else []
    rows = []
    for one in cases:
        sums = one.arithmetic
        rows.append(
            [
                *_named(one),
                f"{one.enhanced_faces:.2f}",
                f"{sums.crop} px",
                "+".join(sums.used) or sums.precision,
                f"{sums.face_macs / 1e6:.0f}",
                f"{sums.achieved / 1e9:.0f}",
                f"{sums.peak / 1e9:.0f}",
                f"{sums.achieved / sums.peak:.0%}",
                f"{one.peak_bytes / 2**20:.0f} MiB" if one.peak_bytes else "?",
                *(_transfers(one) if on_gpu else []),
            ]
        )
    return table(head, rows)


def _transfers(one: CaseFigures) -> list[str]:
    if not one.device_bytes:
        return ["-", "-", "-"]
    memory = f"{one.device_bytes / 2**20:.0f} MiB"
    if one.transfer_ms is None:
        return [memory, "?", "?"]
    return [memory, f"{one.transfer_ms:.2f} ms", f"{one.transfer_share:.0%}"]


def _startup(startup: Startup) -> str:
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in startup.parts.items())
    return (
        f"First enhanced frame of a 640x480 file: {startup.total:.2f} s after the process was"
        f" started. One after another: {parts}."
    )


def table(head: list[str], rows: Sequence[Sequence[str]], words: int = len(_NAMES)) -> str:
    """Markdown.

    Args: words: columns that hold words; the others hold numbers.
    """
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
