"""Gather a report's facts while frames pass, in bounded memory and little time.

What is cheap is noted of every face in every frame. What is not is sampled: pairs of neighbouring
frames for flicker, one of sixty for identity, and some good pictures of each face.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crsr_video.errors import DegenerateFaceError
from crsr_video.imaging import masks
from crsr_video.report import recognition
from crsr_video.report.curves import Gauge, Presence
from crsr_video.report.facts import BackedOff, Flicker, Identity, Masks, Picture, Seen, TrackFacts
from crsr_video.report.look import FloatPicture, Sight, flicker, jpeg
from crsr_video.report.recognition import Embedding, Recogniser
from crsr_video.stages.backoff import Lowered
from crsr_video.types import Face, Frame, TrackedFrame

DETAILED = 48
"""Tracks whose curves and pictures are kept: the longest ones."""
_EVERY = 12
"""Sightings from one look at a face to the next."""
_EMBED_FIRST, _EMBED_EVERY = 54, 60
"""Sightings to the first embedding, and from one to the next: it takes longer than all the rest."""
_MOST_EMBEDDINGS = 64
"""After so many, and after every so many more, they come half as often."""
_MASKS_EVERY = 12
"""Frames from one whose masks are drawn to the next."""
_MOST_CUTS = 400
PICTURES = 3
"""Of each face, at most."""
APART = 2.0
"""Seconds between two pictures of a face."""
_BETTER = 1.15
"""Times what a picture promises, for which it replaces another."""
_AT_FIRST = 0.8
"""Times what a face's very first picture promises: codecs and memory have just begun."""
_SIDES = (128, 320)
"""Least and largest side of a picture in pixels."""
_CROPS_PER_FACE = 1.9


@dataclass(slots=True)
class _Kept:
    """A picture, and how good it promised to be."""

    promise: float
    picture: Picture


@dataclass(slots=True)
class _Track:
    """What is known of one face so far."""

    id: int
    first: float
    last: float
    seen: int = 0
    enhanced: int = 0
    looked: int = 0
    frame: int = -1
    """Number of the frame in which it was looked at last."""
    size: Gauge = field(default_factory=Gauge)
    strength: Gauge = field(default_factory=Gauge)
    flicker: tuple[Gauge, Gauge] = field(default_factory=lambda: (Gauge(), Gauge()))
    likeness: Gauge = field(default_factory=Gauge)
    steadiness: tuple[Gauge, Gauge] = field(default_factory=lambda: (Gauge(), Gauge()))
    skipped: Counter[str] = field(default_factory=Counter)
    presence: Presence = field(default_factory=Presence)
    pictures: list[_Kept] = field(default_factory=list)
    lumas: tuple[FloatPicture, FloatPicture] | None = None
    embeddings: tuple[Embedding, Embedding] | None = None
    embed_at: int = _EMBED_FIRST
    """Sighting from which on the next embedding is due."""
    detailed: bool = True


class Observer:
    """Sees every frame before and after paste; `seen` has what came of it.

    Args: identify: embed faces, where the network is installed.
    """

    def __init__(self, *, identify: bool = True) -> None:
        self._tracks: dict[int, _Track] = {}
        self._recogniser: Recogniser | None = recognition.recogniser() if identify else None
        self._chip_from_crop = recognition.chip_from_crop()
        self._masks = Gauge()
        self._cuts: list[float] = []
        self._frames = 0
        self._changed = 0
        self._detailed = 0
        self._seconds = 0.0

    def push(self, item: TrackedFrame, done: Frame) -> None:
        """A frame with its faces as they were about to be pasted, and the finished frame."""
        begin = time.perf_counter()
        self._frames += 1
        self._changed += bool(done.changed)
        if item.cut and self._frames > 1 and len(self._cuts) < _MOST_CUTS:
            self._cuts.append(round(item.frame.seconds, 3))
        if self._frames % _MASKS_EVERY == 1:
            share = float(masks.touched(done).mean()) if done.changed else 0.0
            self._masks.push(item.frame.seconds, share)
        weights = {patch.track: patch.weight for patch in done.changed}
        for face in item.faces:
            self._note(face, item.frame, done, weights.get(face.track, 0.0))
        self._seconds += time.perf_counter() - begin

    def seen(self, lowered: Mapping[int, Lowered] | None = None) -> Seen:
        """All facts so far.

        Args: lowered: what back-off took, by track.
        """
        masked = self._masks
        return Seen(
            tracks=tuple(
                _facts(self._tracks[key], (lowered or {}).get(key)) for key in sorted(self._tracks)
            ),
            changed=self._changed,
            masks=Masks(masked.count, masked.mean, masked.high) if masked.count else None,
            cuts=tuple(self._cuts),
            seconds=self._seconds,
        )

    def _note(self, face: Face, frame: Frame, done: Frame, weight: float) -> None:
        seconds = frame.seconds
        track = self._tracks.get(face.track)
        if track is None:
            track = self._tracks[face.track] = _Track(face.track, seconds, seconds)
            self._detailed += 1
            self._thin(track)
        track.last = seconds
        track.seen += 1
        track.size.push(seconds, float(face.box[2] - face.box[0]))
        track.presence.push(seconds, weight > 0)
        if weight > 0:
            track.enhanced += 1
            track.strength.push(seconds, weight)
            try:
                self._look(track, Sight(face, frame, done))
            except DegenerateFaceError:
                track.lumas = None
        elif face.skipped is not None:
            track.skipped[face.skipped] += 1

    def _look(self, track: _Track, sight: Sight) -> None:
        """The costly part, now and then."""
        turn = track.looked % _EVERY
        track.looked += 1
        if turn == 1 and track.lumas is not None and self._frames == track.frame + 1:
            changes = flicker(track.lumas, sight.lumas())
            if changes is not None:
                for gauge, change in zip(track.flicker, changes, strict=True):
                    gauge.push(sight.before.seconds, change)
        track.lumas = sight.lumas() if turn == 0 else None
        track.frame = self._frames
        # Not in a face's first frames: it is only just coming in.
        if turn == _EVERY // 2 or (track.looked == 1 and not track.pictures):
            self._picture(track, sight)
            self._identify(track, sight)

    def _picture(self, track: _Track, sight: Sight) -> None:
        """Take a picture, if it is a good one."""
        seconds, promise = sight.before.seconds, _promise(sight)
        if track.looked == 1:
            promise *= _AT_FIRST
        if not track.detailed:
            return
        near = [k for k in track.pictures if abs(k.picture.seconds - seconds) < APART]
        worst = min(near or track.pictures, key=lambda kept: kept.promise, default=None)
        full = len(track.pictures) >= PICTURES
        if worst is not None and (near or full) and promise < _BETTER * worst.promise:
            return
        wanted = _CROPS_PER_FACE * (sight.face.box[2] - sight.face.box[0])
        wanted *= sight.after.width / sight.before.width
        side = int(np.clip(round(wanted), *_SIDES))
        before, after = map(jpeg, sight.pictures(side))
        if worst is not None and (near or full):
            track.pictures.remove(worst)
        track.pictures.append(_Kept(promise, Picture(round(seconds, 3), before, after)))

    def _identify(self, track: _Track, sight: Sight) -> None:
        """Embed the face before and after, if it is time to."""
        seconds = sight.before.seconds
        if self._recogniser is None or track.looked < track.embed_at:
            return
        track.embed_at += _EMBED_EVERY << (track.likeness.count // _MOST_EMBEDDINGS)
        chips = sight.through(self._chip_from_crop, recognition.CHIP)
        now = self._recogniser(*chips)
        track.likeness.push(seconds, recognition.cosine(*now))
        if track.embeddings is not None:
            for gauge, old, new in zip(track.steadiness, track.embeddings, now, strict=True):
                gauge.push(seconds, recognition.cosine(old, new))
        track.embeddings = now

    def _thin(self, new: _Track) -> None:
        """Keep details of the longest tracks only."""
        if self._detailed <= DETAILED:
            return
        others = [t for t in self._tracks.values() if t.detailed and t is not new]
        least = min(others, key=lambda track: track.seen)
        least.detailed = False
        self._detailed -= 1
        least.pictures.clear()
        least.embeddings = least.lumas = None
        for gauge in (least.size, least.strength, *least.flicker, least.likeness):
            gauge.forget_course()


def _promise(sight: Sight) -> float:
    """How good a picture of a face will be: large, seen from the front, surely there."""
    face = sight.face
    points = face.landmarks
    eyes = points[1] - points[0]
    apart = float(np.hypot(*eyes))
    if apart < 1e-6:
        return 0.0
    # How far the nose lies off the middle between the eyes, along their line, in eye distances.
    off = abs(float((points[2] - points[:2].mean(0)) @ eyes)) / apart**2
    (x0, y0, x1, y1), frame = face.box, sight.before
    inside = x0 >= 0 and y0 >= 0 and x1 < frame.width and y1 < frame.height
    shown = face.confidence * face.presence * face.strength
    return min(apart, 120.0) / (1 + (3 * off) ** 2) * (0.1 + shown) * (1.0 if inside else 0.5)


def _facts(track: _Track, lowered: Lowered | None) -> TrackFacts:
    curves = {"size": track.size, "strength": track.strength, "likeness": track.likeness}
    curves |= dict(zip(("flicker_before", "flicker_after"), track.flicker, strict=True))
    size, strength = track.size, track.strength
    return TrackFacts(
        id=track.id,
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
    return BackedOff(
        lowered.frames, round(lowered.lowest, 4), round(lowered.mean, 4), lowered.cause
    )


def _identity(track: _Track) -> Identity | None:
    likeness, steadiness = track.likeness, track.steadiness
    if not likeness.count:
        return None
    before, after = (round(gauge.mean, 4) if gauge.count else None for gauge in steadiness)
    return Identity(likeness.count, round(likeness.mean, 4), round(likeness.low, 4), before, after)


def _flicker(track: _Track) -> Flicker | None:
    before, after = track.flicker
    if not before.count:
        return None
    return Flicker(before.count, round(before.mean, 3), round(after.mean, 3))
