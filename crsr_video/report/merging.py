"""What was observed in several parts of a video, put together: for runs in segments."""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

from crsr_video.report.curves import MOST_POINTS
from crsr_video.report.facts import (
    BackedOff,
    Curve,
    Flicker,
    Identity,
    Masks,
    Picture,
    Seen,
    Span,
    TrackFacts,
)
from crsr_video.report.observe import APART, PICTURES

_GAP = 0.5
"""Seconds between two spans that are one."""


def as_record(seen: Seen) -> dict[str, Any]:
    """In JSON's types, pictures among them."""
    record = asdict(seen)
    for track in record["tracks"]:
        for picture in track["pictures"]:
            for name in ("before", "after"):
                picture[name] = base64.b64encode(picture[name]).decode()
    return record


def from_record(record: Mapping[str, Any]) -> Seen:
    """Back from `as_record`.

    Raises: KeyError, TypeError, ValueError: the record is of another kind.
    """
    masks = record["masks"]
    return Seen(
        tracks=tuple(map(_track, record["tracks"])),
        changed=record["changed"],
        masks=None if masks is None else Masks(**masks),
        cuts=tuple(record["cuts"]),
        seconds=record["seconds"],
    )


def _track(record: Mapping[str, Any]) -> TrackFacts:
    kinds = (("backed_off", BackedOff), ("identity", Identity), ("flicker", Flicker))
    inner = {name: record[name] and kind(**record[name]) for name, kind in kinds}
    curves = {
        name: Curve(tuple(curve["seconds"]), tuple(curve["values"]))
        for name, curve in record["curves"].items()
    }
    pictures = tuple(
        Picture(p["seconds"], base64.b64decode(p["before"]), base64.b64decode(p["after"]))
        for p in record["pictures"]
    )
    spans = tuple(Span(**span) for span in record["spans"])
    return TrackFacts(**{**record, **inner, "curves": curves, "pictures": pictures, "spans": spans})


def renumbered(seen: Seen, table: Mapping[int, int], shift: float = 0.0) -> Seen:
    """With other numbers for the faces, and other times; who has no new number is left out.

    Args: shift: seconds to add to all times.
    """
    tracks = tuple(
        _moved(replace(track, id=table[track.id]), shift)
        for track in seen.tracks
        if track.id in table
    )
    return replace(seen, tracks=tracks, cuts=tuple(round(cut + shift, 3) for cut in seen.cuts))


def _moved(track: TrackFacts, shift: float) -> TrackFacts:
    if shift == 0:
        return track

    def at(seconds: float) -> float:
        return round(seconds + shift, 3)

    return replace(
        track,
        first_seconds=at(track.first_seconds),
        last_seconds=at(track.last_seconds),
        spans=tuple(Span(at(s.first_seconds), at(s.last_seconds), s.enhanced) for s in track.spans),
        curves={
            name: Curve(tuple(map(at, curve.seconds)), curve.values)
            for name, curve in track.curves.items()
        },
        pictures=tuple(replace(p, seconds=at(p.seconds)) for p in track.pictures),
    )


def merged(parts: Iterable[Seen]) -> Seen:
    """One of several that follow upon each other in time, and number faces alike."""
    parts = list(parts)
    together: dict[int, list[TrackFacts]] = {}
    for track in chain.from_iterable(part.tracks for part in parts):
        together.setdefault(track.id, []).append(track)
    masks = [part.masks for part in parts if part.masks is not None]
    return Seen(
        tracks=tuple(_merged(together[key]) for key in sorted(together)),
        changed=sum(part.changed or 0 for part in parts),
        masks=_masks(masks),
        cuts=tuple(chain.from_iterable(part.cuts for part in parts)),
        seconds=sum(part.seconds for part in parts),
    )


def _masks(parts: Sequence[Masks]) -> Masks | None:
    if not parts:
        return None
    mean = _mean([(m.mean, m.frames) for m in parts])
    return Masks(sum(m.frames for m in parts), mean, max(m.highest for m in parts))


def _merged(tracks: Sequence[TrackFacts]) -> TrackFacts:
    """One face of several stretches of it. The median is the mean of theirs."""
    if len(tracks) == 1:
        return tracks[0]
    changed = [track for track in tracks if track.enhanced]
    skipped: Counter[str] = Counter()
    for track in tracks:
        skipped.update(track.skipped)
    return TrackFacts(
        id=tracks[0].id,
        frames=sum(track.frames for track in tracks),
        enhanced=sum(track.enhanced for track in tracks),
        first_seconds=min(track.first_seconds for track in tracks),
        last_seconds=max(track.last_seconds for track in tracks),
        size_median=round(_mean([(t.size_median, t.frames) for t in tracks]), 1),
        size_min=min(track.size_min for track in tracks),
        size_max=max(track.size_max for track in tracks),
        strength_mean=round(_mean([(t.strength_mean, t.enhanced) for t in changed]), 4),
        strength_min=min((t.strength_min for t in changed), default=0.0),
        strength_max=max((t.strength_max for t in changed), default=0.0),
        backed_off=_backed_off([t.backed_off for t in tracks if t.backed_off]),
        identity=_identity([t.identity for t in tracks if t.identity]),
        flicker=_flicker([t.flicker for t in tracks if t.flicker]),
        skipped=dict(skipped),
        spans=_spans([span for track in tracks for span in track.spans]),
        curves=_curves(tracks),
        pictures=_pictures([picture for track in tracks for picture in track.pictures]),
    )


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Of values with weights; 0 of none."""
    weight = sum(w for _, w in weighted)
    return sum(v * w for v, w in weighted) / weight if weight else 0.0


def _backed_off(parts: Sequence[BackedOff]) -> BackedOff | None:
    if not parts:
        return None
    most = max(parts, key=lambda part: part.frames)
    mean = round(_mean([(p.mean, p.frames) for p in parts]), 4)
    return BackedOff(sum(p.frames for p in parts), min(p.lowest for p in parts), mean, most.cause)


def _identity(parts: Sequence[Identity]) -> Identity | None:
    if not parts:
        return None

    def steady(values: Iterable[tuple[float | None, int]]) -> float | None:
        known = [(value, n - 1) for value, n in values if value is not None]
        return round(_mean(known), 4) if known else None

    return Identity(
        sum(p.samples for p in parts),
        round(_mean([(p.likeness_mean, p.samples) for p in parts]), 4),
        min(p.likeness_min for p in parts),
        steady((p.steady_before, p.samples) for p in parts),
        steady((p.steady_after, p.samples) for p in parts),
    )


def _flicker(parts: Sequence[Flicker]) -> Flicker | None:
    if not parts:
        return None
    before = round(_mean([(p.before, p.pairs) for p in parts]), 3)
    after = round(_mean([(p.after, p.pairs) for p in parts]), 3)
    return Flicker(sum(p.pairs for p in parts), before, after)


def _spans(spans: Sequence[Span]) -> tuple[Span, ...]:
    """In order, those joined that are one."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if (
            last
            and last.enhanced == span.enhanced
            and span.first_seconds - last.last_seconds < _GAP
        ):
            joined[-1] = replace(last, last_seconds=span.last_seconds)
        else:
            joined.append(span)
    return tuple(joined)


def _curves(tracks: Sequence[TrackFacts]) -> dict[str, Curve]:
    names = dict.fromkeys(name for track in tracks for name in track.curves)
    return {
        name: _thinned([track.curves[name] for track in tracks if name in track.curves])
        for name in names
    }


def _thinned(parts: Sequence[Curve]) -> Curve:
    """One after the other; so many neighbours averaged that the whole stays short."""
    seconds = [s for part in parts for s in part.seconds]
    values = [v for part in parts for v in part.values]
    step = -(-len(values) // MOST_POINTS)
    groups = [slice(at, at + step) for at in range(0, len(values), step)]

    def means(numbers: list[float], digits: int) -> tuple[float, ...]:
        return tuple(round(sum(numbers[g]) / len(numbers[g]), digits) for g in groups)

    return Curve(means(seconds, 3), means(values, 4)) if values else Curve()


def _pictures(pictures: Sequence[Picture]) -> tuple[Picture, ...]:
    """Some, well apart in time: the first, the last, and one between."""
    apart: list[Picture] = []
    for picture in pictures:
        if not apart or picture.seconds - apart[-1].seconds >= APART:
            apart.append(picture)
    if len(apart) <= PICTURES:
        return tuple(apart)
    return apart[0], apart[len(apart) // 2], apart[-1]
