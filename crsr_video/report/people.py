"""One person's part of the page: pictures with sliders, figures, plots."""

import base64

from crsr_video.report.facts import Picture, TrackFacts
from crsr_video.report.markup import Markup, joined, tag
from crsr_video.report.plots import clock, plot

_COUNT = {1: "one", 2: "two"}


def person(track: TrackFacts) -> Markup:
    """The card of one face."""
    head = tag(
        "div",
        tag("h3", f"Face {track.id}"),
        tag("span", f"{clock(track.first_seconds)} to {clock(track.last_seconds)}"),
        tag("span", f"{track.frames:,} frames"),
        class_="who",
    )
    return tag(
        "article",
        head,
        _pictures(track),
        facts(track),
        _plots(track),
        id=f"face{track.id}",
        class_=f"card person {_COUNT.get(len(track.pictures), '')}".strip(),
    )


def _pictures(track: TrackFacts) -> Markup:
    if not track.pictures:
        return tag("p", "No picture: this face was left alone.", class_="none")
    return tag("div", *(_pair(track.id, p) for p in track.pictures), class_="pairs")


def _pair(number: int, picture: Picture) -> Markup:
    told = f"Face {number} at {clock(picture.seconds)}"
    return tag(
        "figure",
        tag(
            "div",
            tag("img", class_="is", src=_address(picture.after), alt=f"{told}, after"),
            tag("img", class_="was", src=_address(picture.before), alt=f"{told}, before"),
            tag("span", class_="line"),
            tag("span", "before", class_="label left"),
            tag("span", "after", class_="label right"),
            tag(
                "input",
                type="range",
                min=0,
                max=100,
                value=50,
                aria_label=f"{told}: percent of the width shown as before",
            ),
            class_="pair",
        ),
        tag("figcaption", clock(picture.seconds)),
    )


def _address(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def facts(track: TrackFacts) -> Markup:
    """A face's figures as a list."""
    rows: list[tuple[str, object]] = [
        ("Enhanced", f"{track.enhanced:,} of {track.frames:,} frames"),
        ("Width", f"{track.size_median:.0f} px ({track.size_min:.0f} to {track.size_max:.0f})"),
    ]
    if track.enhanced:
        ends = f"{track.strength_min:.2f} to {track.strength_max:.2f}"
        rows.append(("Strength", f"{track.strength_mean:.2f} ({ends})"))
    if track.backed_off is not None:
        taken = track.backed_off
        rows.append(
            (
                "Backed off",
                f"to {taken.mean:.0%} in {taken.frames:,} frames ({taken.lowest:.0%} at least), "
                f"for {taken.cause}",
            )
        )
    if track.flicker is not None:
        rows.append(
            ("Flicker", f"{track.flicker.before:.2f} before, {track.flicker.after:.2f} after")
        )
    if track.identity is not None:
        rows.append(("Likeness", f"{track.identity.likeness_mean:.3f} before to after"))
        before, after = track.identity.steady_before, track.identity.steady_after
        if before is not None and after is not None:
            rows.append(("Steadiness", f"{before:.3f} before, {after:.3f} after"))
    rows += [(f"Left alone, {count:,} frames", why) for why, count in track.skipped.items()]
    pairs = (joined(tag("dt", name), tag("dd", value)) for name, value in rows)
    return tag("dl", *pairs, class_="facts")


def _plots(track: TrackFacts) -> Markup:
    curves = track.curves
    both = {
        "before": curves.get("flicker_before"),
        "after": curves.get("flicker_after"),
    }
    drawn = [
        plot("Width", "px", {"width": curves["size"]} if "size" in curves else {}),
        plot(
            "Strength",
            "",
            {"strength": curves["strength"]} if "strength" in curves else {},
            top=1.0,
        ),
        plot("Flicker", "", {k: v for k, v in both.items() if v is not None}),
    ]
    found = [part for part in drawn if part is not None]
    return tag("div", *found, class_="plots") if found else Markup()
