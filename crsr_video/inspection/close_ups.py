"""Choose and draw close-ups of faces before and after enhancement."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from crsr_video.errors import InputError
from crsr_video.formatting import format_time
from crsr_video.inspection.alignment import Alignment, FramePairs, Pair
from crsr_video.inspection.contact_sheet import (
    Picture,
    arrange,
    caption,
    save,
    to_bgr,
)
from crsr_video.track.grouping import PeopleGrouper
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import Region, enlarged_region, face_region, view_of
from crsr_video.track.tracker import Tracker
from crsr_video.types import Frame, TrackedFrame

SIDE = 256
"""Side of a close-up in pixels. Smaller faces are enlarged by cubic interpolation only."""
_FACE_WIDTHS = 1.75
_SLOT_SECONDS = 0.1
"""Length of an interval. To limit memory, only its best moment of each face is kept."""
_COLUMNS = 6
_CAPTION_HEIGHT = 20


@dataclass(frozen=True, slots=True)
class FaceMoment:
    """One face in one frame: a possible close-up."""

    person: int
    pts: int
    """Timestamp of the frame in the enhanced copy, in units of the copy's time base."""
    seconds: float
    """Timestamp of the frame in the enhanced copy, in seconds."""
    region: Region
    """Region of the close-up in upright coordinates of the source frame."""
    score: float
    """Size of the face, reduced if the face is hard to see."""


def write_close_ups(
    before: Path, after: Path, alignment: Alignment, output: Path, *, count: int
) -> None:
    """Write a contact sheet of faces before and after enhancement. Both videos are read twice.

    Args:
        before: The source.
        after: The copy.
        alignment: Position of the copy within the source.
        output: A PNG or JPEG file.
        count: Maximum number of close-ups.

    Raises:
        InputError: A video cannot be read or shows no face.
    """
    with FramePairs(before, after, alignment) as videos, Tracker() as tracker:
        chosen = choose(find_moments(videos.pairs(), tracker), count)
    if not chosen:
        raise InputError(f"{before}: no face was found to compare")
    with FramePairs(before, after, alignment) as videos:
        tiles = _tiles(videos, chosen)
    rows = -(-len(tiles) // _COLUMNS)
    save(arrange(tiles, columns=-(-len(tiles) // rows)), output)


def find_moments(pairs: Iterable[Pair], tracker: Tracker) -> list[FaceMoment]:
    """Return the best moment of each face in every interval of `_SLOT_SECONDS`."""
    grouper = PeopleGrouper()
    best: dict[tuple[int, int], FaceMoment] = {}
    for track, moment in _all_moments(pairs, tracker, grouper):
        key = (track, int(moment.seconds // _SLOT_SECONDS))
        if key not in best or moment.score > best[key].score:
            best[key] = moment
    people = grouper.people()
    return [replace(moment, person=people[track]) for (track, _), moment in best.items()]


def choose(moments: list[FaceMoment], count: int) -> list[FaceMoment]:
    """Choose at most `count` moments, spread over the people and over the time of each person."""
    people: dict[int, list[FaceMoment]] = {}
    for moment in moments:
        people.setdefault(moment.person, []).append(moment)
    # If there are more people than close-ups, faces that are large and long in view are preferred.
    ranked = sorted(people.values(), key=_total_score, reverse=True)[:count]
    shares = _shares([_total_score(own) for own in ranked], [len(own) for own in ranked], count)
    chosen = [m for own, n in zip(ranked, shares, strict=True) for m in _spread(own, n)]
    return sorted(chosen, key=lambda moment: (moment.person, moment.pts))


def _all_moments(
    pairs: Iterable[Pair], tracker: Tracker, grouper: PeopleGrouper
) -> Iterator[tuple[int, FaceMoment]]:
    """Yield the track ID and the moment of every face that would be enhanced in each frame."""
    pending: deque[Frame] = deque()
    last: Frame | None = None
    for before, after in pairs:
        if before is not last:  # A repeated frame has already been tracked.
            pending.append(after)
            for tracked in grouper.push_all(tracker.push(before)):
                yield from _moments_of(tracked, pending.popleft())
        last = before
    for tracked in grouper.push_all(tracker.flush()):
        yield from _moments_of(tracked, pending.popleft())


def _moments_of(before: TrackedFrame, after: Frame) -> Iterator[tuple[int, FaceMoment]]:
    for face in before.faces:
        if face.skipped is None:
            region = face_region(before.frame, face, _FACE_WIDTHS)
            score = region.width * face.confidence * face.presence
            moment = FaceMoment(face.person, after.pts, after.seconds, region, score)
            yield face.track, moment


def _total_score(moments: list[FaceMoment]) -> float:
    return sum(moment.score for moment in moments)


def _shares(weights: list[float], limits: list[int], count: int) -> list[int]:
    """Return how many of `count` close-ups each person gets.

    Each person gets one. The others are distributed one by one by D'Hondt's method: each goes to
    the person with the highest weight per close-up after getting it. No person gets more than
    their limit.
    """
    shares = [1] * len(weights)
    for _ in range(count - len(weights)):
        open_ = [i for i, limit in enumerate(limits) if shares[i] < limit]
        if not open_:
            break
        shares[max(open_, key=lambda i: weights[i] / (shares[i] + 1))] += 1
    return shares


def _spread(moments: list[FaceMoment], count: int) -> list[FaceMoment]:
    """Divide the moments of a person into `count` equal parts, and return the best of each part.

    The chosen moments keep a minimum distance in time if the parts have moments that allow it.
    """
    ordered = sorted(moments, key=lambda moment: moment.pts)
    min_gap = (ordered[-1].seconds - ordered[0].seconds) / count / 2
    edges = np.linspace(0, len(ordered), count + 1).round().astype(int)
    chosen: list[FaceMoment] = []
    for a, b in pairwise(edges):
        late = [m for m in ordered[a:b] if not chosen or m.seconds >= chosen[-1].seconds + min_gap]
        chosen.append(max(late or ordered[b - 1 : b], key=lambda moment: moment.score))
    return chosen


def _tiles(videos: FramePairs, chosen: list[FaceMoment]) -> list[Picture]:
    indices: dict[int, list[int]] = {}
    for index, moment in enumerate(chosen):
        indices.setdefault(moment.pts, []).append(index)
    done: dict[int, Picture] = {}
    for pair in videos.pairs():
        for index in indices.get(pair[1].pts, ()):
            done[index] = _tile(pair, chosen[index])
        if len(done) == len(chosen):
            break
    return [done[index] for index in sorted(done)]


def _tile(pair: Pair, moment: FaceMoment) -> Picture:
    """Return one face before and after enhancement, one above the other, with captions."""
    before, after = pair
    region = moment.region
    enlarged = enlarged_region(region, view_of(after).height / view_of(before).height)
    title = f"person {moment.person}, {format_time(moment.seconds)}, before"
    return np.concatenate(
        [
            caption(title, SIDE, _CAPTION_HEIGHT),
            to_bgr(picture(before, region, SIDE)),
            caption("after", SIDE, _CAPTION_HEIGHT),
            to_bgr(picture(after, enlarged, SIDE)),
        ]
    )
