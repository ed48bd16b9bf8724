"""The page's tables: faces, files, times, and how it was made."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from crsr_video.report.facts import UNSPECIFIED, MediaFacts, Report, StreamFacts, TrackFacts
from crsr_video.report.markup import Markup, escaped, joined, tag
from crsr_video.report.plots import clock

_UNKNOWN = "unknown"


def faces(tracks: Sequence[TrackFacts], missing: int) -> Markup:
    """A row for every face."""
    names: tuple[str, ...] = ("Face", "From", "To", "Frames", "Enhanced", "Width", "Strength")
    names += ("Back-off", "Flicker before", "after", "Likeness", "Left alone")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    told = f"And {missing:,} more, seen for less time, which are not listed here."
    return tag(
        "div",
        tag("div", tag("table", head, *map(_face, tracks), class_="wide"), class_="scroll"),
        tag("p", told, class_="none") if missing else "",
        class_="card",
    )


def _face(track: TrackFacts) -> Markup:
    flicker, identity, taken = track.flicker, track.identity, track.backed_off
    cells = (
        track.id,
        clock(track.first_seconds),
        clock(track.last_seconds),
        f"{track.frames:,}",
        f"{track.enhanced:,}",
        f"{track.size_median:.0f} px",
        f"{track.strength_mean:.2f}" if track.enhanced else "",
        f"to {taken.mean:.0%}: {taken.cause}" if taken else "",
        f"{flicker.before:.2f}" if flicker else "",
        f"{flicker.after:.2f}" if flicker else "",
        f"{identity.likeness_mean:.3f}" if identity else "",
        "; ".join(f"{count:,} x {why}" for why, count in track.skipped.items()),
    )
    return tag("tr", *(tag("td", cell) for cell in cells))


def files(report: Report) -> Markup:
    """Source and result side by side, and the source's streams."""
    one, other = _media(report.source), _media(report.output)
    head = tag("tr", tag("th"), tag("th", "Source", scope="col"), tag("th", "Result", scope="col"))
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", one[name]), tag("td", other[name]))
        for name in one
    ]
    streams = [
        tag("tr", *(tag("td", cell) for cell in _stream(stream)))
        for stream in report.source.streams
    ]
    names = ("Stream", "Kind", "Codec", "Language", "")
    return tag(
        "div",
        tag("div", tag("table", head, *rows, class_="pairs-of"), class_="card"),
        tag(
            "div",
            tag("table", tag("tr", *(tag("th", name) for name in names)), *streams),
            class_="card scroll",
        ),
        class_="two",
    )


def _media(media: MediaFacts) -> dict[str, str]:
    rate = f"{media.rate:.3f}".rstrip("0").rstrip(".") + " fps" if media.rate else _UNKNOWN
    told = (f"{name} {value}" for name, value in media.colour.items() if value != UNSPECIFIED)
    return {
        "Name": PurePath(media.path).name,
        "Container": media.container,
        "Size": f"{media.bytes / 1e6:,.2f} MB",
        "Duration": clock(media.seconds) if media.seconds else _UNKNOWN,
        "Video": f"{media.codec}, {media.width} x {media.height}, {rate}",
        "Bit rate": f"{media.bit_rate / 1e6:.2f} Mbit/s" if media.bit_rate else _UNKNOWN,
        "Pixel format": media.pixel_format,
        "Colour": ", ".join(told) or "not specified",
    }


def _stream(stream: StreamFacts) -> tuple[object, ...]:
    kept = "enhanced" if stream.main else "kept" if stream.kept else "left out"
    return stream.index, stream.kind, stream.codec, stream.language, kept


def stages(report: Report) -> Markup:
    """Where the time went."""
    most = max(report.stages.values(), default=0.0) or 1.0
    frames = max(report.frames.total - report.frames.resumed, 1)
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", _bar(seconds / most)),
            tag("td", f"{seconds:.2f} s", class_="n"),
            tag("td", f"{seconds / frames * 1e3:.1f} ms a frame", class_="n"),
        )
        for name, seconds in report.stages.items()
    ]
    told = (
        f"{report.seconds:.1f} s in all, {report.startup_seconds:.1f} of them to start, "
        f"{report.fps:.1f} fps on {report.device} in {report.precision}. "
        "Stages share the processor."
    )
    return tag(
        "div", tag("p", told, class_="none"), tag("table", *rows, class_="bars"), class_="card"
    )


def _bar(share: float) -> Markup:
    rect = tag("rect", class_="on", width=f"{100 * share:.1f}", height=10)
    return tag("svg", rect, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")


def how(report: Report) -> Markup:
    """Command, choices, versions, hashes."""
    command = shlex.join(report.command) if report.command else "called from Python"
    machine = {**report.versions, "device": f"{report.device}, {report.precision}"}
    return joined(
        tag("div", tag("pre", command), class_="card"),
        tag("p"),
        tag(
            "div",
            tag("div", _pairs("Choices", _flat(report.settings)), class_="card"),
            tag(
                "div",
                _pairs("Versions", machine.items()),
                tag("p"),
                _pairs("SHA-256", report.hashes.items(), "hash"),
                class_="card",
            ),
            class_="two",
        ),
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}".replace("_", "-"), _word(value)))
    return rows


def _word(value: Any) -> str:
    """A choice as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == {} or value == "" else str(value)


def _pairs(title: str, rows: Iterable[tuple[str, object]], kind: str | None = None) -> Markup:
    head = tag("tr", tag("th", escaped(title), colspan=2, scope="colgroup"))
    lines = (tag("tr", tag("th", n, scope="row"), tag("td", v, class_=kind)) for n, v in rows)
    return tag("table", head, *lines, class_="pairs-of")
