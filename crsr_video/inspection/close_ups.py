"""Choose and draw close-ups of faces before and after enhancement."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from crsr_video.errors import InputError
from crsr_video.formatting import format_time
from crsr_video.inspection.alignment import Alignment
from crsr_video.inspection.contact_sheet import (
    Picture,
    arrange,
    caption,
    face_region,
    save,
    to_bgr,
)
from crsr_video.inspection.frame_pairs import FramePairs, Pair
from crsr_video.track.region_pictures import picture
from crsr_video.track.regions import Region, view_of
from crsr_video.track.tracker import Tracker
from crsr_video.types import Face, Frame

SIDE = 256
"""Side of a close-up in pixels. Smaller faces are enlarged by cubic interpolation only."""
_FACE_WIDTHS = 1.75
_SLOT_SECONDS = 0.1
"""Length of an interval. Only the best moment of each face in it is kept, which limits memory."""
_COLUMNS = 6
_CAPTION_HEIGHT = 20


@dataclass(frozen=True, slots=True)
class FaceMoment:
    """One face in one frame: a possible close-up."""

    track: int
    pts: int
    """Timestamp of the copy's frame, in units of its time base."""
    seconds: float
    """Timestamp of the copy's frame, in seconds."""
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
        OutputError: The sheet cannot be written.
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
    best: dict[tuple[int, int], FaceMoment] = {}
    for moment in _all_moments(pairs, tracker):
        key = (moment.track, int(moment.seconds // _SLOT_SECONDS))
        if key not in best or moment.score > best[key].score:
            best[key] = moment
    return list(best.values())


def choose(moments: list[FaceMoment], count: int) -> list[FaceMoment]:
    """Choose at most `count` moments, spread over the faces and over the time of each face."""
    tracks: dict[int, list[FaceMoment]] = {}
    for moment in moments:
        tracks.setdefault(moment.track, []).append(moment)
    # If there are more faces than close-ups, large faces and long tracks are preferred.
    ranked = sorted(tracks.values(), key=_total_score, reverse=True)[:count]
    shares = _shares([_total_score(track) for track in ranked], [len(t) for t in ranked], count)
    chosen = [m for track, n in zip(ranked, shares, strict=True) for m in _spread(track, n)]
    return sorted(chosen, key=lambda moment: (moment.track, moment.pts))


def _all_moments(pairs: Iterable[Pair], tracker: Tracker) -> Iterator[FaceMoment]:
    """Yield a moment for every face in every frame, except faces that would not be enhanced."""
    pending: deque[Frame] = deque()
    last: Frame | None = None
    for before, after in pairs:
        if before is not last:  # A repeated frame has already been tracked.
            pending.append(after)
            for tracked in tracker.push(before):
                yield from _moments_of(tracked.frame, tracked.faces, pending.popleft())
        last = before
    for tracked in tracker.flush():
        yield from _moments_of(tracked.frame, tracked.faces, pending.popleft())


def _moments_of(before: Frame, faces: Iterable[Face], after: Frame) -> Iterator[FaceMoment]:
    for face in faces:
        if face.skipped is None:
            region = face_region(before, face, _FACE_WIDTHS)
            score = region.width * face.confidence * face.presence
            yield FaceMoment(face.track, after.pts, after.seconds, region, score)


def _total_score(track: list[FaceMoment]) -> float:
    return sum(moment.score for moment in track)


def _shares(weights: list[float], limits: list[int], count: int) -> list[int]:
    """Return how many of `count` close-ups each face gets.

    Each face gets one. The others are distributed by D'Hondt's method: each goes to the face that
    then has the highest weight per close-up. No face gets more than its limit.
    """
    shares = [1] * len(weights)
    for _ in range(count - len(weights)):
        open_ = [i for i, limit in enumerate(limits) if shares[i] < limit]
        if not open_:
            break
        shares[max(open_, key=lambda i: weights[i] / (shares[i] + 1))] += 1
    return shares


def _spread(track: list[FaceMoment], count: int) -> list[FaceMoment]:
    """Return the best moment of each of `count` equal parts of a track.

    The moments keep a minimum distance in time, where the track allows it.
    """
    ordered = sorted(track, key=lambda moment: moment.pts)
    min_gap = (ordered[-1].seconds - ordered[0].seconds) / count / 2
    edges = np.linspace(0, len(ordered), count + 1).round().astype(int)
    chosen: list[FaceMoment] = []
    for a, b in pairwise(edges):
        late = [m for m in ordered[a:b] if not chosen or m.seconds >= chosen[-1].seconds + min_gap]
        chosen.append(max(late or ordered[b - 1 : b], key=lambda moment: moment.score))
    return chosen


def _tiles(videos: FramePairs, chosen: list[FaceMoment]) -> list[Picture]:
    """Return one tile for each moment, in the same order."""
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
    region, factor = moment.region, view_of(after).height / view_of(before).height
    # Both frames show the same area, and its top left corner is at (-0.5, -0.5) in each.
    x, y = ((value + 0.5) * factor - 0.5 for value in (region.x, region.y))
    enlarged = Region(x, y, region.width * factor, region.height * factor)
    title = f"person {moment.track}, {format_time(moment.seconds)}, before"
    return np.concatenate(
        [
            caption(title, SIDE, _CAPTION_HEIGHT),
            to_bgr(picture(before, region, SIDE)),
            caption("after", SIDE, _CAPTION_HEIGHT),
            to_bgr(picture(after, enlarged, SIDE)),
        ]
    )
