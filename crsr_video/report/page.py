"""The report as one self-contained HTML page, which loads nothing and runs only its own script."""

import base64
import hashlib
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from crsr_video.formatting import format_bytes, format_time
from crsr_video.report.facts import (
    UNSPECIFIED,
    Curve,
    MediaFacts,
    PersonFacts,
    RunReport,
    VisibleSpan,
)

PEOPLE_WITH_CARDS = 24
"""Largest number of people with pictures and plots. The people who are seen longest are shown."""
PEOPLE_IN_TABLE = 500
"""Largest number of people in the table. The people who are seen longest are listed."""

_UNKNOWN = "unknown"
_PLOT_WIDTH, _PLOT_HEIGHT = 300.0, 84.0
_AXIS_ENDS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""The axis of a plot ends at one of these numbers times a power of ten."""
_TIMELINE_WIDTH = 1000
_SPANS_READ_ALOUD = 12

# Control characters are not allowed in HTML. Lone surrogates stand for bytes that are not text.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Bidirectional control marks can make a file name look like another one.
_BIDI_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    kind: str
    """CSS class: "before", "after" or "only"."""
    points: str


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    unit: str
    description: str
    lines: tuple[_Line, ...]
    highest: float
    first_seconds: float
    last_seconds: float


@dataclass(frozen=True, slots=True)
class _Bar:
    kind: str
    """CSS class: "on" or "off"."""
    label: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class _Timeline:
    """The interval that the timeline shows, and one row of bars for each person."""

    begin: float
    end: float
    rows: tuple[tuple[PersonFacts, tuple[_Bar, ...], str], ...]
    cuts: tuple[float, ...]


def as_html(report: RunReport) -> str:
    """Return the report as an HTML page."""
    longest = sorted(report.people, key=lambda person: (-person.frames, person.id))
    cards = sorted(longest[:PEOPLE_WITH_CARDS], key=lambda person: person.id)
    rows = sorted(longest[:PEOPLE_IN_TABLE], key=lambda person: person.id)
    total = len(report.people) + report.people_left_out
    return render(
        "page.html",
        script=_resource("page.js"),
        report=report,
        tiles=_tiles(report),
        notices=_notices(report),
        timeline=_timeline(report, cards) if cards else None,
        cards=cards,
        people_without_card=total - len(cards),
        rows=rows,
        people_without_row=total - len(rows),
        source=_media_rows(report.source),
        output=_media_rows(report.output),
        settings=_flat(report.settings),
        command=shlex.join(report.command) if report.command else "started from Python",
        slowest_stage=max(report.stages.values(), default=0.0) or 1.0,
        frames_made=max(report.frames.total - report.frames.resumed, 1),
    )


def render(template: str, *, script: str = "", **values: Any) -> str:
    """Render a template of this package as a page with the style of reports.

    Args:
        template: File name of the template.
        script: The only script that the page may run.
        **values: Values of the template.
    """
    style = _resource("page.css")
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; base-uri 'none'"
    policy += f"; script-src {_digest(script)}; form-action 'none'" if script else ""
    page = _environment().from_string(_resource(template))
    return page.render(style=Markup(style), script=Markup(script), policy=Markup(policy), **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True, finalize=_clean, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"person_figures": _person_figures, "plots": _plots}
    environment.filters |= {
        "clock": format_time,
        "count": "{:,}".format,
        "file_name": lambda path: PurePath(path).name,
        "size": format_bytes,
        "link": quote,
        "jpeg_url": lambda jpeg: "data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
        "percent": "{:.0%}".format,
    }
    return environment


@cache
def _resource(name: str) -> str:
    return resources.files("crsr_video.report").joinpath(name).read_text("utf-8").rstrip("\n")


def _clean(value: Any) -> Any:
    """Remove characters that HTML forbids or that reverse the direction of text."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _BIDI_MARKS.sub("", _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", value))


def _digest(text: str) -> str:
    """Return the hash by which a content security policy allows an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _tiles(report: RunReport) -> list[tuple[str, str, str]]:
    """Return the title, figure and explanation of each tile at the top of the page."""
    frames, masks = report.frames, report.masks
    changed = f"{frames.resumed:,} from an earlier run"
    if frames.changed is not None:
        changed = f"{frames.changed / max(frames.total, 1):.0%} changed"
    enhanced = f"{report.enhanced:,} of {report.faces:,} faces enhanced"
    tiles = [
        ("Frames", f"{frames.total:,}", changed),
        ("People", f"{len(report.people) + report.people_left_out:,}", enhanced),
    ]
    if masks is not None:
        area = f"on average, at most {masks.highest:.1%}"
        tiles.append(("Changed area", f"{masks.mean:.1%}", area))
    tiles.append(("Speed", f"{report.fps:.1f} fps", f"{report.seconds:.1f} s in total"))
    if frames.passed_through or not report.complete:
        failed = f"{frames.passed_through:,} left unchanged after an error"
        tiles.append(("Repaired frames", f"{frames.concealed:,}", failed))
    return tiles


def _notices(report: RunReport) -> list[str]:
    notices = list(report.notices)
    if report.frames.truncated:
        notices.append("The source ended early.")
    if report.frames.damaged:
        packets = "packet" if report.frames.damaged == 1 else "packets"
        notices.append(f"{report.frames.damaged:,} video {packets} could not be decoded.")
    return notices


def _timeline(report: RunReport, people: Sequence[PersonFacts]) -> _Timeline:
    begin = min(0.0, *(person.first_seconds for person in people))
    last = max(person.last_seconds for person in people)
    length = max(last - begin, min(report.output.seconds, 1e6), 0.1)

    def position(seconds: float) -> float:
        return _TIMELINE_WIDTH * (seconds - begin) / length

    def bar(span: VisibleSpan) -> _Bar:
        x, end = position(span.first_seconds), position(span.last_seconds)
        return _Bar("on" if span.enhanced else "off", _span_label(span), x, max(end - x, 3))

    rows = tuple(
        (
            person,
            tuple(map(bar, person.spans)),
            "Visible " + ", ".join(map(_span_label, person.spans[:_SPANS_READ_ALOUD])),
        )
        for person in people
    )
    return _Timeline(begin, begin + length, rows, tuple(map(position, report.cuts)))


def _span_label(span: VisibleSpan) -> str:
    state = "enhanced" if span.enhanced else "left unchanged"
    return f"{format_time(span.first_seconds)} to {format_time(span.last_seconds)}, {state}"


def _person_figures(person: PersonFacts) -> list[tuple[str, str]]:
    width = f"{person.size_median:.0f} px ({person.size_min:.0f} to {person.size_max:.0f})"
    rows = [("Enhanced", f"{person.enhanced:,} of {person.frames:,} frames"), ("Width", width)]
    if person.enhanced:
        ends = f"{person.strength_min:.2f} to {person.strength_max:.2f}"
        rows.append(("Strength", f"{person.strength_mean:.2f} ({ends})"))
    if person.backed_off is not None:
        taken = person.backed_off
        share = f"to {taken.mean:.0%} (at least {taken.lowest:.0%})"
        rows.append(("Backed off", f"{share} in {taken.frames:,} frames because of {taken.cause}"))
    if person.flicker is not None:
        flicker = f"{person.flicker.before:.2f} before, {person.flicker.after:.2f} after"
        rows.append(("Flicker", flicker))
    if person.identity is not None:
        rows.append(("Likeness", f"{person.identity.likeness_mean:.3f} before to after"))
        before, after = person.identity.steady_before, person.identity.steady_after
        if before is not None and after is not None:
            rows.append(("Steadiness", f"{before:.3f} before, {after:.3f} after"))
    rows += [(f"Unchanged in {count:,} frames", why) for why, count in person.skipped.items()]
    return rows


def _plots(person: PersonFacts) -> list[_Plot]:
    curves = person.curves
    wanted = [
        ("Width", "px", {"width": curves.get("size")}, None),
        ("Strength", "", {"strength": curves.get("strength")}, 1.0),
        (
            "Flicker",
            "",
            {"before": curves.get("flicker_before"), "after": curves.get("flicker_after")},
            None,
        ),
    ]
    found = (_plot(title, unit, named, top) for title, unit, named, top in wanted)
    return [plot for plot in found if plot is not None]


def _plot(
    title: str, unit: str, curves: Mapping[str, Curve | None], top: float | None
) -> _Plot | None:
    """Scale curves to the size of a plot, or return None if there is nothing to draw.

    Args:
        title: Name of the quantity.
        unit: Unit of the values.
        curves: Curves by name. If there are two, the first one is the one before enhancement.
        top: Value at the upper edge. None means a round number above the highest value.
    """
    drawn = {name: c for name, c in curves.items() if c is not None and len(c.values) > 1}
    if not drawn:
        return None
    first = min(curve.seconds[0] for curve in drawn.values())
    last = max(curve.seconds[-1] for curve in drawn.values())
    highest = top or _round_up(max(max(curve.values) for curve in drawn.values()))
    kinds = ("before", "after") if len(drawn) == 2 else ("only",)
    length = max(last - first, 1e-9)
    ranges = (
        f"{name} {min(c.values):.3g} to {max(c.values):.3g} {unit}".strip()
        for name, c in drawn.items()
    )
    return _Plot(
        title,
        unit,
        f"{title}: {'; '.join(ranges)}",
        tuple(
            _Line(name, kind, _points(curve, first, length, highest))
            for kind, (name, curve) in zip(kinds, drawn.items(), strict=True)
        ),
        highest,
        first,
        last,
    )


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(end * power for end in _AXIS_ENDS if end * power >= 1.02 * value or end == 10.0)


def _points(curve: Curve, first: float, length: float, highest: float) -> str:
    places = (
        ((t - first) / length * _PLOT_WIDTH, (1 - min(max(v / highest, 0.0), 1.0)) * _PLOT_HEIGHT)
        for t, v in zip(curve.seconds, curve.values, strict=True)
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _media_rows(media: MediaFacts) -> dict[str, str]:
    rate = f"{media.rate:.3f}".rstrip("0").rstrip(".") + " fps" if media.rate else _UNKNOWN
    colour = (f"{name} {value}" for name, value in media.colour.items() if value != UNSPECIFIED)
    return {
        "Name": PurePath(media.path).name,
        "Container": media.container,
        "Size": f"{media.bytes / 1e6:,.2f} MB",
        "Duration": format_time(media.seconds) if media.seconds else _UNKNOWN,
        "Video": f"{media.codec}, {media.width} x {media.height}, {rate}",
        "Bit rate": f"{media.bit_rate / 1e6:.2f} Mbit/s" if media.bit_rate else _UNKNOWN,
        "Pixel format": media.pixel_format,
        "Colour": ", ".join(colour) or UNSPECIFIED,
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}".replace("_", "-"), _setting_text(value)))
    return rows


def _setting_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == {} or value == "" else str(value)
