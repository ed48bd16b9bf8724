"""Gather the facts of a report during a run, in bounded memory and little time.

Cheap facts are recorded for every face in every frame. Expensive ones are sampled: flicker on pairs
of neighbouring frames, identity about once in 60 frames, and a few good pictures of each face.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import masks
from crsr_video.report.facts import (
    MAX_PICTURES,
    PICTURE_GAP_SECONDS,
    BackedOff,
    Flicker,
    IdentitySimilarity,
    Masks,
    Observations,
    PersonFacts,
    Picture,
)
from crsr_video.report.measurements import FacePair, Gauge, Luma, Presence, encode_jpeg, flicker
from crsr_video.report.observations import merge_people
from crsr_video.stages.base import Lowered
from crsr_video.track.grouping import PeopleGrouper
from crsr_video.track.recognition import Embedding, FaceRecogniser, cosine
from crsr_video.track.regions import portrait_score
from crsr_video.types import Face, Frame, TrackedFrame

DETAILED_TRACKS = 48
"""Number of tracks whose curves and pictures are kept: the longest ones."""
_MEASURE_EVERY = 12
"""Enhanced frames of a face between two measurements."""
_EMBED_FIRST, _EMBED_EVERY = 54, 60
"""Enhanced frames before the first embedding and between two. Embeddings take the most time."""
_EMBEDDINGS_BEFORE_HALVING = 64
"""The sampling rate of embeddings is halved each time this number of them was taken."""
_MASKS_EVERY = 12
"""Frames between two measurements of the changed area."""
_MAX_CUTS = 400
_BETTER = 1.15
"""A picture replaces another one if its score is higher by this factor."""
_FIRST_FRAME_PENALTY = 0.8
"""Factor for the score of a track's first picture, because codec and smoothing have just begun."""
_PICTURE_SIDES = (128, 320)
"""Smallest and largest side of a picture in pixels."""
_FACE_WIDTHS_PER_PICTURE = 1.9


@dataclass(slots=True)
class _ScoredPicture:
    score: float
    picture: Picture


@dataclass(slots=True)
class _Track:
    id: int
    first: float
    last: float
    seen: int = 0
    enhanced: int = 0
    measured: int = 0
    last_frame: int = -1
    size: Gauge = field(default_factory=Gauge)
    strength: Gauge = field(default_factory=Gauge)
    flicker: tuple[Gauge, Gauge] = field(default_factory=lambda: (Gauge(), Gauge()))
    likeness: Gauge = field(default_factory=Gauge)
    steadiness: tuple[Gauge, Gauge] = field(default_factory=lambda: (Gauge(), Gauge()))
    skipped: Counter[str] = field(default_factory=Counter)
    presence: Presence = field(default_factory=Presence)
    pictures: list[_ScoredPicture] = field(default_factory=list)
    lumas: tuple[Luma, Luma] | None = None
    embeddings: tuple[Embedding, Embedding] | None = None
    next_embedding: int = _EMBED_FIRST
    """Number of enhanced frames after which the next embedding is due."""
    detailed: bool = True


class EnhancementObserver:
    """Compares every frame before and after enhancement.

    Args:
        recogniser: Measures identity, and finds the tracks of one person. Defaults to none.
    """

    def __init__(self, recogniser: FaceRecogniser | None = None) -> None:
        self._tracks: dict[int, _Track] = {}
        self._recogniser = recogniser
        self._grouper = None if recogniser is None else PeopleGrouper(recogniser)
        self._people: dict[int, int] = {}
        """Numbers of people by track ID, as a tracks file states them."""
        self._changed_area = Gauge()
        self._cuts: list[float] = []
        self._frames = 0
        self._changed = 0
        self._detailed = 0
        self._seconds = 0.0

    def push(self, item: TrackedFrame, finished: Frame) -> None:
        """Observe a frame.

        Args:
            item: The source frame and its faces, just before the enhanced faces are pasted.
            finished: The finished frame.
        """
        begin = time.perf_counter()
        self._frames += 1
        self._changed += bool(finished.changed)
        if item.cut and self._frames > 1 and len(self._cuts) < _MAX_CUTS:
            self._cuts.append(round(item.frame.seconds, 3))
        if self._frames % _MASKS_EVERY == 1:
            share = float(masks.possibly_changed(finished).mean()) if finished.changed else 0.0
            self._changed_area.push(item.frame.seconds, share)
        weights = {patch.track: patch.weight for patch in finished.changed}
        for face in item.faces:
            self._note(face, item.frame, finished, weights.get(face.track, 0.0))
        self._people |= {face.track: face.person for face in item.faces if face.person}
        if self._grouper is not None:
            self._grouper.push(item)
        self._seconds += time.perf_counter() - begin

    def observations(self, lowered: Mapping[int, Lowered] | None = None) -> Observations:
        """Return all facts so far.

        Args:
            lowered: How back-off reduced the strength, by track ID.
        """
        area, lowered = self._changed_area, lowered or {}
        people = self._people or (self._grouper.people() if self._grouper else {})
        found = (
            _facts(track, people.get(key, key), lowered.get(key))
            for key, track in sorted(self._tracks.items())
        )
        return Observations(
            people=merge_people(found),
            changed=self._changed,
            masks=Masks(area.count, area.mean, area.high) if area.count else None,
            cuts=tuple(self._cuts),
            seconds=self._seconds,
        )

    def _note(self, face: Face, frame: Frame, finished: Frame, weight: float) -> None:
        seconds = frame.seconds
        track = self._tracks.get(face.track)
        if track is None:
            track = self._tracks[face.track] = _Track(face.track, seconds, seconds)
            self._detailed += 1
            self._limit_details(track)
        track.last = seconds
        track.seen += 1
        track.size.push(seconds, float(face.box[2] - face.box[0]))
        track.presence.push(seconds, bool(weight > 0))
        if weight > 0:
            track.enhanced += 1
            track.strength.push(seconds, weight)
            try:
                self._measure(track, FacePair(face, frame, finished))
            except DegenerateFaceError:
                track.lumas = None
        elif face.skipped is not None:
            track.skipped[face.skipped] += 1

    def _measure(self, track: _Track, pair: FacePair) -> None:
        turn = track.measured % _MEASURE_EVERY
        track.measured += 1
        if turn == 1 and track.lumas is not None and self._frames == track.last_frame + 1:
            changes = flicker(track.lumas, pair.lumas())
            if changes is not None:
                for gauge, change in zip(track.flicker, changes, strict=True):
                    gauge.push(pair.before.seconds, change)
        track.lumas = pair.lumas() if turn == 0 else None
        track.last_frame = self._frames
        # Seldom done in the first frames of a face, because it is still being faded in.
        if turn == _MEASURE_EVERY // 2 or (track.measured == 1 and not track.pictures):
            self._take_picture(track, pair)
            self._identify(track, pair)

    def _take_picture(self, track: _Track, pair: FacePair) -> None:
        """Keep a picture if it is better than an earlier one."""
        if not track.detailed:
            return
        seconds = pair.before.seconds
        score = pair.face.strength * portrait_score(pair.before, pair.face)
        if track.measured == 1:
            score *= _FIRST_FRAME_PENALTY
        near = [k for k in track.pictures if abs(k.picture.seconds - seconds) < PICTURE_GAP_SECONDS]
        worst = min(near or track.pictures, key=lambda kept: kept.score, default=None)
        replaces = bool(near) or len(track.pictures) >= MAX_PICTURES
        if worst is not None and replaces and score < _BETTER * worst.score:
            return
        width = _FACE_WIDTHS_PER_PICTURE * (pair.face.box[2] - pair.face.box[0])
        side = int(np.clip(round(width * pair.after.width / pair.before.width), *_PICTURE_SIDES))
        before, after = map(encode_jpeg, pair.pictures(_FACE_WIDTHS_PER_PICTURE, side))
        if worst is not None and replaces:
            track.pictures.remove(worst)
        track.pictures.append(_ScoredPicture(score, Picture(round(seconds, 3), before, after)))

    def _identify(self, track: _Track, pair: FacePair) -> None:
        """Embed the face before and after enhancement if an embedding is due."""
        seconds = pair.before.seconds
        if self._recogniser is None or track.measured < track.next_embedding:
            return
        halvings = track.likeness.count // _EMBEDDINGS_BEFORE_HALVING
        track.next_embedding += _EMBED_EVERY << halvings
        before, after = self._recogniser.embed(pair.chips())
        now = before, after
        track.likeness.push(seconds, float(cosine(before, after)))
        if track.embeddings is not None:
            for gauge, old, new in zip(track.steadiness, track.embeddings, now, strict=True):
                gauge.push(seconds, float(cosine(old, new)))
        track.embeddings = now

    def _limit_details(self, new: _Track) -> None:
        """Drop the curves and pictures of the shortest track if there are too many."""
        if self._detailed <= DETAILED_TRACKS:
            return
        others = [t for t in self._tracks.values() if t.detailed and t is not new]
        shortest = min(others, key=lambda track: track.seen)
        shortest.detailed = False
        self._detailed -= 1
        shortest.pictures.clear()
        shortest.embeddings = shortest.lumas = None
        for gauge in (shortest.size, shortest.strength, *shortest.flicker, shortest.likeness):
            gauge.drop_curve()


def _facts(track: _Track, person: int, lowered: Lowered | None) -> PersonFacts:
    curves = {"size": track.size, "strength": track.strength, "likeness": track.likeness}
    curves |= dict(zip(("flicker_before", "flicker_after"), track.flicker, strict=True))
    size, strength = track.size, track.strength
    return PersonFacts(
        id=person,
        tracks=(track.id,),
        frames=track.seen,
        enhanced=track.enhanced,
        first_seconds=round(track.first, 3),
        last_seconds=round(track.last, 3),
        size_median=round(size.median or size.mean, 1),
        size_min=round(size.low, 1),
        size_max=round(size.high, 1),
        strength_mean=round(strength.mean, 4),
        strength_min=round(strength.low, 4) if strength.count else 0.0,
        strength_max=round(strength.high, 4) if strength.count else 0.0,
        backed_off=_backed_off(lowered),
        identity=_identity(track),
        flicker=_flicker(track),
        skipped=dict(track.skipped),
        spans=track.presence.spans,
        curves={name: gauge.curve for name, gauge in curves.items() if gauge.count},
        pictures=tuple(
            kept.picture for kept in sorted(track.pictures, key=lambda k: k.picture.seconds)
        ),
    )


def _backed_off(lowered: Lowered | None) -> BackedOff | None:
    if lowered is None:
        return None
    lowest, mean = round(lowered.lowest, 4), round(lowered.mean, 4)
    return BackedOff(lowered.frames, lowest, mean, lowered.cause)


def _identity(track: _Track) -> IdentitySimilarity | None:
    likeness = track.likeness
    if not likeness.count:
        return None
    before, after = (round(gauge.mean, 4) if gauge.count else None for gauge in track.steadiness)
    return IdentitySimilarity(
        likeness.count, round(likeness.mean, 4), round(likeness.low, 4), before, after
    )


def _flicker(track: _Track) -> Flicker | None:
    before, after = track.flicker
    if not before.count:
        return None
    return Flicker(before.count, round(before.mean, 3), round(after.mean, 3))
