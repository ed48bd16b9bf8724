"""Tracks: one face over the frames of a scene, and how far it is believed to be one."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crsr_video.track.appearance import Appearance, in_view, learnt, likeness
from crsr_video.track.landmarks import Sighting
from crsr_video.track.view import Region

PATIENCE = 8
"""Frames for which a lost face is looked for where it should be."""
MEMORY = 1.25
"""Seconds for which a lost face keeps its id, should a sweep find it again."""
SEEN = 0.3
"""Belief from which a mesh counts as a sighting."""
SURE = 0.6
"""Score, and flag, at which one hit is enough for a new track; otherwise it takes two."""
# The model's input follows a face only by what exceeds this share of its side: so it rests on a
# resting face, and the points with it.
_SLACK = 0.03
_ITSELF = 0.7
"""Likeness of a face that has not changed since it was last looked at."""
BACKED = 0.1
"""Flag that a mesh is worth at least where a detector sees the eyes in the same places."""
_RESIZE = ((0.05, 0.5), (0.2, 1.0))
"""Flags of the mesh model, and the share of its change of size that is believed with them."""


def belief(score: float, flag: float, size: float) -> float:
    """That a mesh is on a face, 0 to 1.

    The mesh model's flag is sure of large sharp faces, and low for most below 40 pixels even when
    the points are right; there the detector's score counts, less the more the flag denies it.
    Args: score: of the detector, latest. flag: of the mesh model. size: of the face in pixels.
    """
    doubt = np.interp(size, (32, 64), (0.12, 0.3))
    by_score = (score + doubt * np.log10(max(flag, 1e-4)) - 0.3) / 0.4
    return float(np.clip(max(by_score, (flag - 0.6) / 0.35), 0, 1))


@dataclass(slots=True, eq=False)
class Track:
    """One face over the frames of one scene, as far as they are still needed."""

    id: int
    sightings: dict[int, Sighting]
    """By frame number, ascending."""
    beliefs: dict[int, float]
    """That it is this face, in plain view; by frame number."""
    score: float
    """The detector's, averaged over the last sweeps."""
    hits: int = 1
    """Sweeps that found it."""
    last_hit: int = 0
    """Frame of the latest one."""
    last_look: int = 0
    """Frame in which one was last asked for."""
    confirmed: bool = False
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """Of the centre, pixels a frame, beside the camera's."""
    drift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """By how much the camera has moved the picture since the last sighting, pixels."""
    region: Region | None = None
    """The model's input, steadied, for the frame after the last sighting."""
    birth: tuple[int, Sighting] | None = None
    """Frame and sighting that it began with."""
    backing: float = 0.0
    """Least flag of its mesh, since a detector agreed with it."""
    look: Appearance | None = None
    """What is known of its appearance."""

    @property
    def last(self) -> int:
        """Frame of the last sighting."""
        return next(reversed(self.sightings))

    @property
    def latest(self) -> Sighting:
        """The last sighting."""
        return self.sightings[self.last]

    def see(self, index: int, sighting: Sighting) -> None:
        """Add a sighting at the end."""
        if self.sightings:
            moved = centre(sighting.region) - centre(self.latest.region) - self.drift
            self.velocity = (self.velocity + moved / (index - self.last)) / 2
        self.drift = np.zeros(2)
        self.region = next_region(sighting, self.velocity)
        self.birth = self.birth or (index, sighting)
        self.sightings[index] = sighting
        self._note(index, sighting)
        self.look = sighting.look if self.look is None else learnt(self.look, sighting.look)

    def fill(self, index: int, sighting: Sighting) -> None:
        """Add a sighting from before the last one."""
        self.sightings = dict(sorted({**self.sightings, index: sighting}.items()))
        self._note(index, sighting)

    def like(self, sighting: Sighting) -> float:
        """How much a sighting looks like what is known of this face; 1 where nothing is."""
        return 1.0 if self.look is None else likeness(self.look, sighting.look)

    def backed(self, index: int, sighting: Sighting) -> Sighting:
        """A sighting by the mesh alone, believed as far as the last one that a detector backed."""
        old = index - self.last_hit > PATIENCE
        if old or sighting.flag >= self.backing or self.like(sighting) < _ITSELF:
            return sighting
        return replace(sighting, flag=self.backing)

    def _note(self, index: int, sighting: Sighting) -> None:
        trust = belief(self.score, sighting.flag, sighting.size)
        self.beliefs[index] = trust * in_view(self.like(sighting))

    def end_of_run(self, index: int, bridge: int) -> int | None:
        """Last frame up to which the face is seen from this one on, with gaps of `bridge` at most.

        None: it is not seen up to this frame; less than `index`: nor in any soon after it.
        """
        end = max((i for i in self.sightings if i <= index), default=None)
        for later in self.sightings:
            if end is not None and end < later <= end + bridge + 1:
                end = later
        return end

    def unsee(self, index: int) -> None:
        """Take a sighting back; the last one that remains stays."""
        if len(self.sightings) > 1:
            self.sightings.pop(index, None)
            before = list(self.sightings)[-2:]
            moved = centre(self.latest.region) - centre(self.sightings[before[0]].region)
            self.velocity = moved / max(1, before[-1] - before[0])
            self.region = self.latest.region.moved(*self.velocity)

    def absorb(self, other: "Track") -> None:
        """Go on where another track is, that turned out to be this face."""
        self.sightings.update(other.sightings)
        self.beliefs.update(other.beliefs)
        self.velocity, self.region, self.drift = other.velocity, other.region, other.drift
        self.score, self.backing = other.score, other.backing
        self.last_hit, self.last_look = other.last_hit, other.last_look
        self.look = other.look

    def restart(self, index: int, sighting: Sighting, score: float) -> None:
        """Forget all sightings but this one: they were wrong."""
        self.sightings.clear()
        self.beliefs.clear()
        self.look, self.score, self.last_hit = None, score, index
        self.backing = min(sighting.flag, BACKED)
        self.see(index, sighting)

    def hit(self, index: int, score: float) -> None:
        """A sweep found it."""
        # One good look says more than one bad one: it is seldom good by chance.
        self.score += (0.5 if score > self.score else 0.25) * (score - self.score)
        self.hits += index != self.last_hit
        self.last_hit = index
        self.confirmed |= self.hits >= 2

    def expected(self, index: int) -> Region:
        """Where it should be in a frame after the last sighting, at constant velocity."""
        region = self.region or self.latest.region
        ahead = min(index - self.last - 1, PATIENCE)
        return region.moved(*(self.drift + self.velocity * max(0, ahead)))

    def forget(self, before: int) -> None:
        """Drop all but the last sighting from before that frame."""
        for index in [i for i in self.sightings if i < before and i != self.last]:
            del self.sightings[index]
            self.beliefs.pop(index, None)


def plausible(before: Region, now: Region) -> bool:
    """Whether a face can be seen here, having been expected there."""
    jump = float(np.hypot(*(centre(now) - centre(before)))) / before.side
    return jump < 0.35 and 0.6 < now.side / before.side < 1.6


def centre(region: Region) -> NDArray[np.float64]:
    """Of a region: (x, y)."""
    return np.array([region.x, region.y])


def next_region(sighting: Sighting, velocity: NDArray[np.float64]) -> Region:
    """The model's input for the next frame."""
    before, ahead = sighting.seen_in, sighting.region.moved(*velocity)
    # A mesh in doubt is followed, but not made larger or smaller with: that runs away.
    share = float(np.interp(sighting.flag, *_RESIZE))
    side = before.side + share * (ahead.side - before.side)
    return _steadied(before, Region(ahead.x, ahead.y, side, side, ahead.angle))


def _steadied(old: Region, new: Region) -> Region:
    """Move `old` towards `new` until they differ by no more than the slack."""
    room = _SLACK * new.side
    side = float(np.clip(old.side, new.side - room, new.side + room))
    x = float(np.clip(old.x, new.x - room, new.x + room))
    y = float(np.clip(old.y, new.y - room, new.y + room))
    turn = (old.angle - new.angle + np.pi) % (2 * np.pi) - np.pi
    return Region(x, y, side, side, new.angle + float(np.clip(turn, -_SLACK, _SLACK)))
