"""The faces of one scene, followed from frame to frame."""

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

from crsr_video.track.associate import assign, same_face, same_place, worse
from crsr_video.track.detect import Detection, Look
from crsr_video.track.landmarks import Landmarker, Sighting
from crsr_video.track.tracks import MEMORY, PATIENCE, SEEN, SURE, Track, belief, plausible
from crsr_video.track.view import Region
from crsr_video.types import Frame

_TRIAL = 24
"""Frames after which a track that no second sweep has found is given up."""
_TRIAL_PATIENCE = 3
"""Frames between the looks at such a track."""
_DOUBTFUL_FLAG = 0.5
_FLAG_NOISE = 0.1
_DISAPPOINTMENT = 0.7
"""What remains of a track's score where a sweep should have found it and did not."""
_LOOK_PER_REGION = 6.0
"""Side of a detector's look at one track over the mesh model's: it knows a face best by what is
around it, and scores highest where the face is a ninth of what it sees."""


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
        self.tracks: list[Track] = []

    def follow(self, frame: Frame, index: int) -> None:
        """Look for every track where it is expected; end those lost for too long."""
        for track in self.tracks:
            if index - track.last > PATIENCE:
                continue
            expected = track.expected(index)
            sighting = self._landmarker.look(frame, expected)
            if self._credible(track, sighting) and plausible(expected, sighting.region):
                track.see(index, sighting)
        self._part(index)
        self.tracks = [track for track in self.tracks if not _over(track, index)]

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
        expected = [_where(track, index) for track in self.tracks]
        lost = [index - track.last for track in self.tracks]
        pairs = assign(expected, lost, found)
        for row, column in pairs:
            self._rejoin(self.tracks[row], found[column], frame, index)
        matched, taken = {row for row, _ in pairs}, {column for _, column in pairs}
        for row, track in enumerate(self.tracks):
            if row not in matched and any(_shows(look, expected[row]) for look in looks):
                track.score *= _DISAPPOINTMENT
        strangers = [face for column, face in enumerate(found) if column not in taken]
        self.tracks += [t for face in strangers if (t := self._greet(face, frame, index))]
        self._part(index)
        shown = [track for track in self.tracks if track.confirmed and track.last == index]
        for track in shown:
            if track.id not in known:
                self._trace_back(track, past)
        return shown

    def doubtful(self, index: int, patience: int, looks: list[Look]) -> list[Look]:
        """Further looks, at tracks that the mesh alone does not vouch for.

        Args: patience: frames since a sweep last found the track. looks: what is looked at anyway.
        """
        more: list[Look] = []
        for track in self.tracks:
            sure = track.confirmed and track.latest.flag >= _DOUBTFUL_FLAG and track.last == index
            waiting = index - max(track.last_hit, track.last_look)
            region = _where(track, index)
            if not sure and waiting >= (patience if track.confirmed else _TRIAL_PATIENCE):
                track.last_look = index
                if not any(_shows(look, region) for look in (*looks, *more)):
                    more.append(Look(_widened(region)))
        return more

    def _rejoin(self, track: Track, face: Detection, frame: Frame, index: int) -> None:
        """Take in that a sweep found a track's face, perhaps not quite where the mesh is."""
        now = track.sightings.get(index)
        agrees = now is not None and same_place(now.region, face.region)
        vouched = now is not None and now.flag > _DOUBTFUL_FLAG
        if vouched and not agrees and face.score <= track.score:
            return  # a part of the face, seen as a face in a tile's corner
        track.hit(index, face.score)
        if vouched and agrees:
            return
        # The detector knows better where the face is than a mesh that is lost or in doubt.
        sighting = self._find(frame, face)
        if not self._credible(track, sighting):
            return
        if now is not None:
            if sighting.flag < now.flag - _FLAG_NOISE or len(track.sightings) == 1:
                return
            track.unsee(index)
        track.see(index, sighting)

    def _find(self, frame: Frame, face: Detection) -> Sighting:
        """The mesh of a detected face, from the region that later frames will start from too."""
        return self._landmarker.look(frame, self._landmarker.look(frame, face.region).region)

    def _greet(self, face: Detection, frame: Frame, index: int) -> Track | None:
        """A track for a face not seen before, if the mesh agrees that it is one."""
        sighting = self._find(frame, face)
        trust = belief(face.score, sighting.flag, sighting.size)
        if sighting.size < self._least or trust < SEEN:
            return None
        track = Track(next(self._ids), {}, {}, face.score, last_hit=index)
        track.see(index, sighting)
        track.confirmed = min(face.score, sighting.flag) >= SURE
        return track

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


def _over(track: Track, index: int) -> bool:
    if not track.confirmed and index - track.last_hit > _TRIAL:
        return True
    return index - track.last > (MEMORY if track.confirmed else 2)


def _where(track: Track, index: int) -> Region:
    seen = track.sightings.get(index)
    return track.expected(index) if seen is None else seen.region


def _on(track: Track, index: int, sighting: Sighting) -> bool:
    seen = track.sightings.get(index)
    return seen is not None and same_face(seen.region, sighting.region)


def _widened(region: Region) -> Region:
    side = _LOOK_PER_REGION * region.side
    return Region(region.x, region.y, side, side, region.angle)


def _shows(look: Look, region: Region) -> bool:
    """Whether a look should have found a face there: all in it, and large enough."""
    inside = np.abs((region.x - look.region.x, region.y - look.region.y))
    room = np.array([look.region.width, look.region.height]) / 2 - region.side / 2
    return bool((inside < room).all() and region.side > look.region.side / 10)
