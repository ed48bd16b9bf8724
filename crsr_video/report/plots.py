"""Small plots and the timeline, as SVG without any script."""

import math
from collections.abc import Mapping, Sequence

from crsr_video.report.facts import Curve, Span
from crsr_video.report.markup import Markup, joined, tag

_WIDTH, _HEIGHT = 300.0, 84.0
_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Values times a power of ten at which an axis may end."""


def clock(seconds: float) -> str:
    """A time as people write it: 0:04.2, 1:02:03."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    minutes, rest = divmod(seconds, 60)
    if minutes >= 60:
        return f"{sign}{int(minutes // 60)}:{int(minutes % 60):02d}:{int(rest):02d}"
    return f"{sign}{int(minutes)}:{int(rest):02d}.{int(rest * 10 % 10)}"


def plot(
    title: str, unit: str, curves: Mapping[str, Curve], *, top: float | None = None
) -> Markup | None:
    """Curves over time, with a legend where there are several; None: nothing to draw.

    Args: curves: by name; the first is drawn as "before" if there are two.
          top: value at the upper edge; None: from the highest value.
    """
    drawn = {name: curve for name, curve in curves.items() if len(curve.values) > 1}
    if not drawn:
        return None
    first = min(curve.seconds[0] for curve in drawn.values())
    last = max(curve.seconds[-1] for curve in drawn.values())
    highest = top or _round_up(max(max(curve.values) for curve in drawn.values()))
    kinds = ("before", "after") if len(drawn) == 2 else ("only",)
    lines = [
        tag(
            "polyline",
            class_=f"curve {kind}",
            points=_points(curve, first, max(last - first, 1e-9), highest),
            vector_effect="non-scaling-stroke",
        )
        for kind, curve in zip(kinds, drawn.values(), strict=True)
    ]
    grid = [
        tag("line", class_="grid", x1=0, x2=_WIDTH, y1=y, y2=y, vector_effect="non-scaling-stroke")
        for y in (0.5, _HEIGHT / 2, _HEIGHT - 0.5)
    ]
    legend = [
        tag("span", name, class_=f"key {kind}") for kind, name in zip(kinds, drawn, strict=True)
    ]
    told = "; ".join(
        f"{name} {min(c.values):.3g} to {max(c.values):.3g} {unit}".strip()
        for name, c in drawn.items()
    )
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("b", title),
            tag("span", unit) if unit else "",
            *legend[: 2 * (len(drawn) > 1)],
        ),
        tag(
            "div",
            tag("span", f"{highest:.3g}", class_="high"),
            tag("span", "0", class_="low"),
            tag(
                "svg",
                *grid,
                *lines,
                viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
                preserveAspectRatio="none",
                role="img",
                aria_label=f"{title}: {told}",
            ),
            class_="axes",
        ),
        tag("div", tag("span", clock(first)), tag("span", clock(last)), class_="ends"),
        class_="plot",
    )


def _round_up(value: float) -> float:
    """A round number a little above a value."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= 1.02 * value or step == 10.0)


def _points(curve: Curve, first: float, length: float, highest: float) -> str:
    pairs = zip(curve.seconds, curve.values, strict=True)
    places = (
        ((t - first) / length * _WIDTH, (1 - min(max(v / highest, 0.0), 1.0)) * _HEIGHT)
        for t, v in pairs
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def bar(spans: Sequence[Span], cuts: Sequence[float], begin: float, length: float) -> Markup:
    """When a face was in view, along a time that is `length` seconds long."""

    def at(seconds: float) -> float:
        return 1000 * (seconds - begin) / length

    marks = [
        tag("rect", class_="cut", x=f"{at(cut):.1f}", y=0, width=1.5, height=10) for cut in cuts
    ]
    rects = [
        tag(
            "rect",
            tag("title", f"{clock(s.first_seconds)} to {clock(s.last_seconds)}: {_done(s)}"),
            class_="on" if s.enhanced else "off",
            x=f"{at(s.first_seconds):.1f}",
            y=1.5,
            width=f"{max(at(s.last_seconds) - at(s.first_seconds), 3):.1f}",
            height=7,
        )
        for s in spans
    ]
    told = ", ".join(
        f"{clock(s.first_seconds)} to {clock(s.last_seconds)} {_done(s)}" for s in spans[:12]
    )
    return tag(
        "svg",
        joined(*marks, *rects),
        viewBox="0 0 1000 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"In view {told}",
    )


def _done(span: Span) -> str:
    return "enhanced" if span.enhanced else "left alone"
