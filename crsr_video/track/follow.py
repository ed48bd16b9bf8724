"""The faces of one scene, followed from frame to frame."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.associate import (
    apart,
    assign,
    recognised,
    reunite,
    same_face,
    same_place,
    vouched,
    worse,
)
from crsr_video.track.detect import Detection, Look, Model
from crsr_video.track.landmarks import Landmarker, Sighting
from crsr_video.track.tracks import (
    BACKED,
    PATIENCE,
    SEEN,
    SURE,
    Track,
    belief,
    next_region,
    plausible,
)
from crsr_video.track.view import Region
from crsr_video.types import Frame

MOST_FACES = 128
"""Followed at once; further ones are left alone until there is room."""
_TRIAL = 24
"""Frames after which a track that no second sweep has found is given up."""
_TRIAL_PATIENCE = 3
"""Frames between the looks at such a track."""
_DOUBTFUL_FLAG = 0.5
_FLAG_NOISE = 0.1
_HOPELESS = 0.05
_BESIDE = 1.0
"""Face sizes from a lost face within which a new one takes two hits to be believed."""
_SETTLING = 2
"""Looks at most until a new face is seen as it will be seen again."""
_UPRIGHT = 0.5
"""Cosine of the angle between two eye lines above which they are about the same."""
_BETTER = 0.05
"""By how much more a detector must be sure of a face that stands another way up."""
_DISAPPOINTMENT = 0.7
"""What remains of a track's score where a sweep should have found it and did not."""
_STRANGER = 0.25
"""Likeness below which the mesh has slipped on to something else."""
_MOST_LOOKS = 4
"""Looks at single tracks in one frame; the others wait."""
_LOOK_PER_REGION: dict[Model, float] = {"full_range": 6.0, "short_range": 2.5}
"""Side of a detector's look at one track over the mesh model's: where it scores highest."""
_LEAST_SHARE: dict[Model, float] = {"full_range": 1 / 10, "short_range": 1 / 6}
"""Least side of the mesh model's region over a look's for the face to be found in it."""


class Crowd:
    """All tracks of the current scene."""

    def __init__(self, landmarker: Landmarker, ids: Iterator[int], least: float) -> None:
        """Start empty.

        Args: ids: numbers for new tracks, never repeated. least: size in pixels below which a
              face is not worth following.
        """
        self._landmarker = landmarker
        self._ids = ids
        self._least = least
        self.memory = 30
        """Frames for which a lost face keeps its id."""
        self.tracks: list[Track] = []
        self.merged: list[int] = []
        """Tracks that turned out to be others, since they were last asked for."""
        self.refused = 0
        """Faces turned away because there were too many."""

    @property
    def regions(self) -> list[Region]:
        """Where the faces are that were seen last."""
        return [track.latest.region for track in self.tracks]

    def known(self, index: int) -> list[Region]:
        """Where the faces are in this frame that need no second opinion."""
        sure = (t for t in self.tracks if t.confirmed and t.last == index)
        return [t.latest.region for t in sure if t.latest.flag >= _DOUBTFUL_FLAG]

    def follow(self, frame: Frame, index: int, shift: NDArray[np.float64]) -> None:
        """Look for every track where it is expected; end those lost for too long.

        Args: shift: (x, y), by which the camera has moved the picture since the frame before.
        """
        for track in self.tracks:
            track.drift = track.drift + shift
            if index - track.last > PATIENCE:
                continue
            expected = track.expected(index)
            sighting = track.backed(index, self._landmarker.look(frame, expected))
            itself = plausible(expected, sighting.region) and track.like(sighting) > _STRANGER
            if itself and self._credible(track, sighting):
                track.see(index, sighting)
        self._part(index)
        self.tracks = [track for track in self.tracks if not self._over(track, index)]

    def meet(
        self,
        frame: Frame,
        index: int,
        found: list[Detection],
        looks: Iterable[Look],
        past: list[tuple[int, Frame]],
    ) -> list[Track]:
        """Take in what a sweep found in this frame.

        Args:    looks: where it looked. past: earlier frames of this scene, latest first.
        Returns: confirmed tracks that are seen in this frame.
        """
        known = {track.id for track in self.tracks if track.confirmed and track.last == index}
        here = [track for track in self.tracks if track.last == index]
        away = [track for track in self.tracks if track.last != index]
        pairs = assign([track.latest.region for track in here], found)
        for row, column in pairs:
            self._agree(here[row], found[column], frame, index, past)
        taken = {column for _, column in pairs}
        others = [
            (face, self._find(frame, face))
            for column, face in enumerate(found)
            if column not in taken
        ]
        back = reunite(away, index, [sighting for _, sighting in others])
        for row, column in back:
            self._return(away[row], *others[column], index)
        met = {row for row, _ in pairs}
        for row, track in enumerate(here):
            if row not in met and any(_shows(look, track.latest.region) for look in looks):
                track.score *= _DISAPPOINTMENT
        taken = {column for _, column in back}
        strangers = [other for column, other in enumerate(others) if column not in taken]
        for face, sighting in sorted(strangers, key=lambda other: -other[1].size):
            self._greet(face, sighting, index)
        self._part(index)
        for old, new in recognised(self.tracks, index):
            old.absorb(new)
            self.tracks.remove(new)
            self.merged.append(new.id)
        shown = [track for track in self.tracks if track.confirmed and track.last == index]
        for track in shown:
            if track.id not in known:
                self._trace_back(track, past)
        return shown

    def doubtful(self, index: int, patience: int, looks: list[Look]) -> list[Look]:
        """Further looks, at tracks that the mesh alone does not vouch for, or has just lost.

        Args: patience: frames since a sweep last found the track. looks: what is looked at anyway.
        """
        waiting = [(index - max(t.last_hit, t.last_look), t) for t in self.tracks]
        due = [(age, t) for age, t in waiting if age >= _patience(t, index, patience)]
        more: list[Look] = []
        for _, track in sorted(due, key=lambda pair: (-pair[0], pair[1].id)):
            region = _where(track, index)
            if len(more) < _MOST_LOOKS and not any(_shows(k, region) for k in (*looks, *more)):
                more.append(_look_at(region, lost=track.last < index))
            elif len(more) >= _MOST_LOOKS:
                break
            track.last_look = index
        return more

    def _agree(
        self,
        track: Track,
        face: Detection,
        frame: Frame,
        index: int,
        past: list[tuple[int, Frame]],
    ) -> None:
        """Take in that a sweep found the face of a track in view, perhaps not where the mesh is."""
        now = track.latest
        if _turned(now.region, face.region) and face.score > track.score + _BETTER:
            self._turn(track, face, frame, index, past)
            return
        agrees, sure = same_place(now.region, face.region), now.flag > _DOUBTFUL_FLAG
        if sure and not agrees and face.score <= track.score:
            return  # a part of the face, seen as a face in a tile's corner
        track.hit(index, face.score)
        if sure and agrees:
            return
        # The detector knows better where the face is than a mesh that is in doubt.
        sighting = self._find(frame, face)
        if not self._credible(track, sighting) or sighting.flag < now.flag - _FLAG_NOISE:
            return
        track.backing = min(sighting.flag, BACKED)
        if len(track.sightings) > 1:
            track.unsee(index)
            track.see(index, sighting)

    def _turn(
        self,
        track: Track,
        face: Detection,
        frame: Frame,
        index: int,
        past: list[tuple[int, Frame]],
    ) -> None:
        """See a face anew that was taken for one that stands another way up."""
        sighting = self._find(frame, face)
        if belief(face.score, sighting.flag, sighting.size) < SEEN:
            return
        track.restart(index, sighting, face.score)
        self._trace_back(track, past)

    def _return(self, track: Track, face: Detection, sighting: Sighting, index: int) -> None:
        """Take in that a sweep found a face that was lost.

        It is seen even where the mesh does not fit, as in profile: that lowers the confidence and
        not the track.
        """
        track.hit(index, face.score)
        track.backing = min(sighting.flag, BACKED)
        if track.confirmed or self._credible(track, sighting):
            track.see(index, sighting)

    def _find(self, frame: Frame, face: Detection) -> Sighting:
        """The mesh of a detected face, from the region that later frames will start from too."""
        first = self._landmarker.look(frame, face.region)
        if first.flag < _HOPELESS and not plausible(face.region, first.region):
            return replace(first, region=face.region)  # no mesh fits: the face is where it was seen
        return vouched(face, self._settled(frame, self._landmarker.look(frame, first.region)))

    def _settled(self, frame: Frame, sighting: Sighting) -> Sighting:
        """A sighting from where the next frame's look will be, if the face stays: so it rests."""
        for _ in range(_SETTLING):
            if next_region(sighting, np.zeros(2)) == sighting.seen_in:
                break
            sighting = self._landmarker.look(frame, sighting.region)
        return sighting

    def _greet(self, face: Detection, sighting: Sighting, index: int) -> None:
        """Begin a track for a face not seen before, if the mesh agrees that it is one."""
        trust = belief(face.score, sighting.flag, sighting.size)
        if sighting.size < self._least or trust < SEEN:
            return
        if len(self.tracks) >= MOST_FACES:
            self.refused += 1
            return
        track = Track(next(self._ids), {}, {}, face.score, last_hit=index)
        track.backing = min(sighting.flag, BACKED)
        track.see(index, sighting)
        # What shows up where a face has just been lost is likely half of that face.
        lost = [t for t in self.tracks if t.confirmed and t.last < index]
        beside = any(apart(t.expected(index), sighting.region) < _BESIDE for t in lost)
        track.confirmed = min(face.score, sighting.flag) >= SURE and not beside
        self.tracks.append(track)

    def _trace_back(self, track: Track, past: list[tuple[int, Frame]]) -> None:
        """Find a face that has just been noticed, again or first, in the frames before."""
        region = track.latest.region
        for index, frame in past:
            known = track.sightings.get(index)
            if known is not None:
                region = known.region
                continue
            sighting = self._landmarker.look(frame, region)
            taken = any(_on(t, index, sighting) for t in self.tracks if t is not track)
            if taken or not self._credible(track, sighting):
                return
            if not plausible(region, sighting.region):
                return
            track.fill(index, sighting)
            region = sighting.region

    def _credible(self, track: Track, sighting: Sighting) -> bool:
        if sighting.size < self._least:
            return False
        return belief(track.score, sighting.flag, sighting.size) >= SEEN

    def _over(self, track: Track, index: int) -> bool:
        if not track.confirmed and index - track.last_hit > _TRIAL:
            return True
        return index - track.last > (self.memory if track.confirmed else 2)

    def _part(self, index: int) -> None:
        """Where two tracks have come to lie on one face, one loses sight of it."""
        here = [track for track in self.tracks if index in track.sightings]
        for a, b in combinations(here, 2):
            if index not in a.sightings or index not in b.sightings:
                continue
            if same_face(a.sightings[index].region, b.sightings[index].region):
                self._lose(worse(a, b, index), index)

    def _lose(self, track: Track, index: int) -> None:
        if len(track.sightings) > 1:
            track.unsee(index)
        elif track in self.tracks:
            self.tracks.remove(track)
            track.sightings.clear()


def _turned(a: Region, b: Region) -> bool:
    """Whether two regions show faces that do not stand the same way up."""
    return bool(np.cos(a.angle - b.angle) < _UPRIGHT)


def _patience(track: Track, index: int, usual: int) -> float:
    """Frames that may pass between two looks of a detector at a track."""
    if not track.confirmed:
        return _TRIAL_PATIENCE
    if track.last < index:
        return 1 if index - track.last <= PATIENCE else usual
    return usual if track.latest.flag < _DOUBTFUL_FLAG else np.inf


def _where(track: Track, index: int) -> Region:
    seen = track.sightings.get(index)
    return track.expected(index) if seen is None else seen.region


def _on(track: Track, index: int, sighting: Sighting) -> bool:
    seen = track.sightings.get(index)
    return seen is not None and same_face(seen.region, sighting.region)


def _look_at(region: Region, *, lost: bool) -> Look:
    """A detector's look at one track: far around if it is lost, else cheaply at the place."""
    model: Model = "full_range" if lost else "short_range"
    side = _LOOK_PER_REGION[model] * region.side
    return Look(Region(region.x, region.y, side, side, region.angle), model)


def _shows(look: Look, region: Region) -> bool:
    """Whether a look should have found a face there: all in it, and large enough."""
    inside = np.abs((region.x - look.region.x, region.y - look.region.y))
    room = np.array([look.region.width, look.region.height]) / 2 - region.side / 2
    least = _LEAST_SHARE[look.model] * look.region.side
    return bool((inside < room).all() and region.side > least)
