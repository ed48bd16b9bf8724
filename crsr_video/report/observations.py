"""Merge the observations of one person from several tracks, or from several segments of a video."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from crsr_video.report.facts import (
    MAX_PICTURES,
    PICTURE_GAP_SECONDS,
    BackedOff,
    Curve,
    Flicker,
    IdentitySimilarity,
    Masks,
    Observations,
    PersonFacts,
    Picture,
    VisibleSpan,
)
from crsr_video.report.measurements import MAX_GAP_SECONDS, MAX_POINTS


def renumber(part: Observations, ids: Mapping[int, int], shift: float = 0.0) -> Observations:
    """Replace track IDs and move all times. Tracks without a new ID are left out.

    Args:
        part: Observations of one part of a video.
        ids: New track IDs by old track ID.
        shift: Seconds to add to all times.
    """
    people = []
    for person in part.people:
        tracks = tuple(sorted(ids[track] for track in person.tracks if track in ids))
        if tracks:
            is_kept = all(ids.get(track, track) == track for track in person.tracks)
            number = person.id if is_kept else tracks[0]
            people.append(_shifted(replace(person, id=number, tracks=tracks), shift))
    return replace(
        part, people=tuple(people), cuts=tuple(round(cut + shift, 3) for cut in part.cuts)
    )


def _shifted(person: PersonFacts, shift: float) -> PersonFacts:
    if shift == 0:
        return person

    def at(seconds: float) -> float:
        return round(seconds + shift, 3)

    return replace(
        person,
        first_seconds=at(person.first_seconds),
        last_seconds=at(person.last_seconds),
        spans=tuple(
            VisibleSpan(at(s.first_seconds), at(s.last_seconds), s.enhanced) for s in person.spans
        ),
        curves={
            name: Curve(tuple(map(at, curve.seconds)), curve.values)
            for name, curve in person.curves.items()
        },
        pictures=tuple(replace(p, seconds=at(p.seconds)) for p in person.pictures),
    )


def merge(parts: Iterable[Observations]) -> Observations:
    """Merge the observations of consecutive parts that use the same track IDs."""
    parts = list(parts)
    return Observations(
        people=merge_people(chain.from_iterable(part.people for part in parts)),
        changed=sum(part.changed or 0 for part in parts),
        masks=_merged_masks([part.masks for part in parts if part.masks is not None]),
        cuts=tuple(chain.from_iterable(part.cuts for part in parts)),
        seconds=sum(part.seconds for part in parts),
    )


def merge_people(people: Iterable[PersonFacts]) -> tuple[PersonFacts, ...]:
    """Merge the facts about people who share a number or a track."""
    groups: list[list[PersonFacts]] = []
    for person in people:
        keys = {person.id, *person.tracks}
        same = [g for g in groups if any(keys & {other.id, *other.tracks} for other in g)]
        groups = [group for group in groups if group not in same]
        groups.append([*chain.from_iterable(same), person])
    merged = (_merged(sorted(group, key=lambda part: part.first_seconds)) for group in groups)
    return tuple(sorted(merged, key=lambda person: person.id))


def _merged(parts: Sequence[PersonFacts]) -> PersonFacts:
    """Merge the parts of one person.

    The median size is approximated by the mean of the parts' medians, weighted by their frames.
    """
    if len(parts) == 1:
        return parts[0]
    enhanced = [part for part in parts if part.enhanced]
    skipped: Counter[str] = Counter()
    for part in parts:
        skipped.update(part.skipped)
    return PersonFacts(
        id=min(part.id for part in parts),
        tracks=tuple(sorted({track for part in parts for track in part.tracks})),
        frames=sum(part.frames for part in parts),
        enhanced=sum(part.enhanced for part in parts),
        first_seconds=min(part.first_seconds for part in parts),
        last_seconds=max(part.last_seconds for part in parts),
        size_median=round(_mean([(p.size_median, p.frames) for p in parts]), 1),
        size_min=min(part.size_min for part in parts),
        size_max=max(part.size_max for part in parts),
        strength_mean=round(_mean([(p.strength_mean, p.enhanced) for p in enhanced]), 4),
        strength_min=min((p.strength_min for p in enhanced), default=0.0),
        strength_max=max((p.strength_max for p in enhanced), default=0.0),
        backed_off=_merged_back_off([p.backed_off for p in parts if p.backed_off]),
        identity=_merged_identity([p.identity for p in parts if p.identity]),
        flicker=_merged_flicker([p.flicker for p in parts if p.flicker]),
        skipped=dict(skipped),
        spans=_spans([span for part in parts for span in part.spans]),
        curves=_curves(parts),
        pictures=_pictures([picture for part in parts for picture in part.pictures]),
    )


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Return the mean of (value, weight) pairs, or 0 if the weights add up to 0."""
    weight = sum(w for _, w in weighted)
    return sum(v * w for v, w in weighted) / weight if weight else 0.0


def _merged_masks(parts: Sequence[Masks]) -> Masks | None:
    if not parts:
        return None
    mean = _mean([(m.mean, m.frames) for m in parts])
    return Masks(sum(m.frames for m in parts), mean, max(m.highest for m in parts))


def _merged_back_off(parts: Sequence[BackedOff]) -> BackedOff | None:
    if not parts:
        return None
    longest = max(parts, key=lambda part: part.frames)
    mean = round(_mean([(p.mean, p.frames) for p in parts]), 4)
    frames, lowest = sum(p.frames for p in parts), min(p.lowest for p in parts)
    return BackedOff(frames, lowest, mean, longest.cause)


def _merged_identity(parts: Sequence[IdentitySimilarity]) -> IdentitySimilarity | None:
    if not parts:
        return None

    def steadiness(values: Iterable[tuple[float | None, int]]) -> float | None:
        known = [(value, samples - 1) for value, samples in values if value is not None]
        return round(_mean(known), 4) if known else None

    return IdentitySimilarity(
        sum(p.samples for p in parts),
        round(_mean([(p.likeness_mean, p.samples) for p in parts]), 4),
        min(p.likeness_min for p in parts),
        steadiness((p.steady_before, p.samples) for p in parts),
        steadiness((p.steady_after, p.samples) for p in parts),
    )


def _merged_flicker(parts: Sequence[Flicker]) -> Flicker | None:
    if not parts:
        return None
    before = round(_mean([(p.before, p.pairs) for p in parts]), 3)
    after = round(_mean([(p.after, p.pairs) for p in parts]), 3)
    return Flicker(sum(p.pairs for p in parts), before, after)


def _spans(spans: Sequence[VisibleSpan]) -> tuple[VisibleSpan, ...]:
    """Join spans that continue across a segment boundary."""
    joined: list[VisibleSpan] = []
    for span in spans:
        last = joined[-1] if joined else None
        if (
            last
            and last.enhanced == span.enhanced
            and span.first_seconds - last.last_seconds < MAX_GAP_SECONDS
        ):
            joined[-1] = replace(last, last_seconds=span.last_seconds)
        else:
            joined.append(span)
    return tuple(joined)


def _curves(people: Sequence[PersonFacts]) -> dict[str, Curve]:
    names = dict.fromkeys(name for person in people for name in person.curves)
    return {
        name: _thinned([person.curves[name] for person in people if name in person.curves])
        for name in names
    }


def _thinned(parts: Sequence[Curve]) -> Curve:
    """Concatenate curves, and average neighbouring points so that at most `MAX_POINTS` are left."""
    seconds = [s for part in parts for s in part.seconds]
    values = [v for part in parts for v in part.values]
    step = -(-len(values) // MAX_POINTS)
    groups = [slice(at, at + step) for at in range(0, len(values), step)]

    def means(numbers: list[float], digits: int) -> tuple[float, ...]:
        return tuple(round(sum(numbers[g]) / len(numbers[g]), digits) for g in groups)

    return Curve(means(seconds, 3), means(values, 4)) if values else Curve()


def _pictures(pictures: Sequence[Picture]) -> tuple[Picture, ...]:
    """Drop pictures too close in time, and keep at most the first, a middle and the last one."""
    apart: list[Picture] = []
    for picture in pictures:
        if not apart or picture.seconds - apart[-1].seconds >= PICTURE_GAP_SECONDS:
            apart.append(picture)
    if len(apart) <= MAX_PICTURES:
        return tuple(apart)
    return apart[0], apart[len(apart) // 2], apart[-1]
