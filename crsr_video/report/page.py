"""The report as one HTML page that needs nothing else: no network, and no script but its own."""

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import PurePath

from crsr_video.report.facts import Report, TrackFacts
from crsr_video.report.markup import Markup, escaped, joined, tag
from crsr_video.report.people import person
from crsr_video.report.plots import bar, clock
from crsr_video.report.tables import faces, files, how, stages

IN_FULL = 24
"""Faces with pictures and plots: those seen longest."""
IN_ROWS = 500
"""Faces in the table, and at most so many in the timeline as are shown in full."""
_EXPLAINED = (
    "Width is of the face, in pixels of the source. Strength is the share of the correction that "
    "was applied: 1 is all of it. Flicker is how much the face changes from one frame to the next "
    "beyond its motion, as a mean over pixels in 8-bit codes of luma; the encoder comes after it. "
    "Likeness is how much alike a face-recognition network finds the face before and after: 1 is "
    "the same, strangers have about 0.85. Steadiness is its likeness to itself some seconds before."
)


def as_html(report: Report) -> str:
    """The page."""
    style, script = _part("page.css"), _part("page.js")
    name = PurePath(report.source.path).name
    fields = {
        "policy": f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'",
        "title": escaped(f"{name} - crsr-video report"),
        "style": style,
        "script": script,
        "body": _body(report, name),
    }
    return _part("page.html").format(**fields)


@cache
def _part(name: str) -> str:
    return resources.files("crsr_video.report").joinpath(name).read_text("utf-8").rstrip("\n")


def _digest(text: str) -> str:
    """What lets a browser run this inline text, and none that differs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _body(report: Report, name: str) -> Markup:
    longest = sorted(report.tracks, key=lambda track: (-track.frames, track.id))
    full = sorted(longest[:IN_FULL], key=lambda track: track.id)
    rows = sorted(longest[:IN_ROWS], key=lambda track: track.id)
    missing = len(report.tracks) - len(rows) + report.tracks_left_out
    return joined(
        _head(report, name),
        tag(
            "main",
            _tiles(report),
            _notices(report),
            tag("h2", "When faces were in view") if full else "",
            _timeline(report, full),
            _section("Faces", _people(full, report)),
            _section("All faces", faces(rows, missing)) if rows else "",
            _section("Files", files(report)),
            _section("Time", stages(report)),
            _section("How it was made", how(report)),
        ),
        tag("footer", f"crsr-video {report.versions.get('crsr-video', '')}, {report.created}"),
    )


def _section(title: str, content: Markup) -> Markup:
    return joined(tag("h2", title), content)


def _head(report: Report, name: str) -> Markup:
    pill = (
        tag("span", "complete", class_="pill")
        if report.complete
        else tag("span", "source damaged or cut off", class_="pill bad")
    )
    return tag(
        "header",
        tag("p", "Report of an enhancement", class_="over"),
        tag("h1", name),
        tag("p", pill, f"written to {PurePath(report.output.path).name}", class_="lead"),
    )


def _tiles(report: Report) -> Markup:
    frames, masks = report.frames, report.masks
    told = f"{frames.resumed:,} of them by an earlier run"
    if frames.changed is not None:
        told = f"{frames.changed / max(frames.total, 1):.0%} of them changed"
    tiles = [
        ("Frames", f"{frames.total:,}", told),
        (
            "Faces",
            f"{report.people:,}",
            f"{report.enhanced:,} of {report.faces:,} pictures enhanced",
        ),
    ]
    if masks is not None:
        tiles.append(
            ("Picture touched", f"{masks.mean:.1%}", f"on average, {masks.highest:.1%} at most")
        )
    tiles.append(("Speed", f"{report.fps:.1f} fps", f"{report.seconds:.1f} s in all"))
    if frames.passed_through or not report.complete:
        told = f"{frames.passed_through} passed through after an error"
        tiles.append(("Frames patched up", f"{frames.concealed}", told))
    return tag(
        "dl",
        *(
            tag("div", tag("dt", title), tag("dd", figure, tag("small", words)))
            for title, figure, words in tiles
        ),
        class_="tiles",
    )


def _notices(report: Report) -> Markup:
    told = list(report.notices)
    if report.frames.truncated:
        told.append("the source ended before its end")
    if report.frames.damaged:
        told.append(f"{report.frames.damaged} packets of the video could not be decoded")
    return tag("ul", *(tag("li", line) for line in told), class_="notices") if told else Markup()


def _timeline(report: Report, tracks: list[TrackFacts]) -> Markup:
    if not tracks:
        return Markup()
    begin = min(0.0, *(track.first_seconds for track in tracks))
    ends = [track.last_seconds for track in tracks]
    length = max(max(ends) - begin, min(report.output.seconds, 1e6), 0.1)
    rows = [
        part
        for track in tracks
        for part in (
            tag("a", f"Face {track.id}", href=f"#face{track.id}"),
            bar(track.spans, report.cuts, begin, length),
        )
    ]
    ends_row = tag(
        "div", tag("span", clock(begin)), tag("span", clock(begin + length)), class_="ends"
    )
    legend = tag(
        "p",
        _key("on", "enhanced"),
        _key("off", "left alone"),
        _key("cut", "a scene begins") if report.cuts else "",
        class_="legend",
    )
    return tag("div", tag("div", *rows, ends_row, class_="line-up"), legend, class_="card")


def _key(kind: str, words: str) -> Markup:
    square = tag("rect", class_=kind, width=14, height=10, rx=2)
    return tag("span", tag("svg", square, viewBox="0 0 14 10", aria_hidden="true"), words)


def _people(full: list[TrackFacts], report: Report) -> Markup:
    if not full and report.faces:
        return tag("p", "Single faces were not observed in this run.", class_="none card")
    if not full:
        return tag("p", "No face was found: the picture is unchanged.", class_="none card")
    more = len(report.tracks) + report.tracks_left_out - len(full)
    told = tag("p", f"And {more} more, seen for less time: see the table.", class_="none")
    return joined(
        tag("div", *map(person, full), class_="people"),
        told if more > 0 else "",
        tag("p", _EXPLAINED, class_="explained"),
    )
