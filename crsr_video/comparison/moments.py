"""The pictures of faces that are worth a close-up: every person, all along the video."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crsr_video.comparison.matching import Pair
from crsr_video.imaging.geometry import apply
from crsr_video.track.tracker import Tracker
from crsr_video.track.view import Region, view_of
from crsr_video.types import Face, Frame

_FACE_WIDTHS = 1.75
"""Side of a close-up: the head with a little around it."""
_SLOT = 0.1
"""Seconds of which only the best picture of a face is kept, so that memory stays small."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One face at one time."""

    track: int
    pts: int
    """Of the copy's frame."""
    seconds: float
    """The same in seconds."""
    region: Region
    """What to show, in upright coordinates of the source's frame."""
    worth: float
    """Size of the face, less where it is hard to see."""


def moments(pairs: Iterable[Pair], tracker: Tracker) -> list[Moment]:
    """Faces of the frames before; of each, its best picture in every slot of time."""
    best: dict[tuple[int, int], Moment] = {}
    for moment in _all(pairs, tracker):
        key = (moment.track, int(moment.seconds // _SLOT))
        if key not in best or moment.worth > best[key].worth:
            best[key] = moment
    return list(best.values())


def choose(found: list[Moment], count: int) -> list[Moment]:
    """At most `count` moments, spread over faces and, for each face, over time; in that order."""
    tracks: dict[int, list[Moment]] = {}
    for moment in found:
        tracks.setdefault(moment.track, []).append(moment)
    # Who is seen large and long comes first, if there are more faces than pictures.
    ranked = sorted(tracks.values(), key=_weight, reverse=True)[:count]
    shares = _shares([_weight(track) for track in ranked], [len(t) for t in ranked], count)
    chosen = [m for track, n in zip(ranked, shares, strict=True) for m in _spread(track, n)]
    return sorted(chosen, key=lambda moment: (moment.track, moment.pts))


def _all(pairs: Iterable[Pair], tracker: Tracker) -> Iterator[Moment]:
    """Every face that is neither too small nor too doubtful to be enhanced."""
    waiting: deque[Frame] = deque()
    last: Frame | None = None
    for before, after in pairs:
        if before is not last:  # Shown for longer: the tracker has seen it.
            waiting.append(after)
            for tracked in tracker.push(before):
                yield from _of(tracked.frame, tracked.faces, waiting.popleft())
        last = before
    for tracked in tracker.flush():
        yield from _of(tracked.frame, tracked.faces, waiting.popleft())


def _of(before: Frame, faces: Iterable[Face], after: Frame) -> Iterator[Moment]:
    for face in faces:
        if face.skipped is None:
            region = _close_up(before, face)
            worth = region.width * face.confidence * face.presence
            yield Moment(face.track, after.pts, after.seconds, region, worth)


def _close_up(frame: Frame, face: Face) -> Region:
    """The upright square around a face."""
    corners = apply(view_of(frame).upright_from_frame, np.reshape(face.box, (2, 2)))
    (x, y), (width, _) = corners.mean(0), np.abs(corners[1] - corners[0])
    side = _FACE_WIDTHS * float(width)
    return Region(float(x), float(y), side, side)


def _weight(track: list[Moment]) -> float:
    return sum(moment.worth for moment in track)


def _shares(weights: list[float], limits: list[int], count: int) -> list[int]:
    """How many pictures each face gets: one, and the others as votes are turned into seats.

    Each seat goes to who has most votes for every seat held with it (D'Hondt).
    """
    shares = [1] * len(weights)
    for _ in range(count - len(weights)):
        open_ = [i for i, limit in enumerate(limits) if shares[i] < limit]
        if not open_:
            break
        shares[max(open_, key=lambda i: weights[i] / (shares[i] + 1))] += 1
    return shares


def _spread(track: list[Moment], count: int) -> list[Moment]:
    """The best moment of each of `count` equal parts of a track, none close upon another."""
    ordered = sorted(track, key=lambda moment: moment.pts)
    apart = (ordered[-1].seconds - ordered[0].seconds) / count / 2
    edges = np.linspace(0, len(ordered), count + 1).round().astype(int)
    chosen: list[Moment] = []
    for a, b in pairwise(edges):
        late = [m for m in ordered[a:b] if not chosen or m.seconds >= chosen[-1].seconds + apart]
        chosen.append(max(late or ordered[b - 1 : b], key=lambda moment: moment.worth))
    return chosen
