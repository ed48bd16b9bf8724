"""Ration: say for every face how much may be done for it in this frame.

Only in live enhancement, before align; see `effort`. Nobody appears or disappears at once: a
face that must do without fades out over some frames, and in again.
"""

from dataclasses import replace

from crsr_video.stages.effort import NO_TIME, Effort, Level
from crsr_video.types import Face, TrackedFrame

_PACE = 1 / 8
"""Of its strength a face gains or loses in one frame."""
_FAVOUR = 1.3
"""Times its size, for which a face that is being enhanced counts: two of one size do not take
turns."""


class Rationer:
    """The stage; no lookahead.

    Args: effort: what is to be done now.
    """

    lookahead = 0

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._shares: dict[int, float] = {}
        self._since = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """The frame, its faces marked."""
        if item.cut:
            self.reset()
        level = self._effort.level
        fresh = self._effort.fresh = self._fresh(level)
        chosen = self._chosen(item.faces, level)
        faces = tuple(self._marked(face, face.track in chosen, fresh, level) for face in item.faces)
        seen = {face.track for face in item.faces}
        self._shares = {track: share for track, share in self._shares.items() if track in seen}
        self._effort.faded = not level.enhances and not any(self._shares.values())
        return [replace(item, faces=faces)]

    def flush(self) -> list[TrackedFrame]:
        """Nothing is held back."""
        return []

    def reset(self) -> None:
        """Forget all faces."""
        self._shares.clear()
        self._since = 0

    def _fresh(self, level: Level) -> bool:
        """Whether the networks see this frame."""
        hurried, self._effort.hurry = self._effort.hurry, False
        fresh = not hurried and self._since % level.every == 0
        self._since = 1 if fresh else self._since + 1
        return fresh

    def _chosen(self, faces: tuple[Face, ...], level: Level) -> set[int]:
        """Tracks that are to be enhanced."""
        wanted = [face for face in faces if face.skipped is None]
        wanted.sort(key=self._weight, reverse=True)
        return {face.track for face in wanted[: level.most_faces]}

    def _weight(self, face: Face) -> float:
        favour = _FAVOUR if self._shares.get(face.track, 0.0) > 0 else 1.0
        return favour * (face.box[2] - face.box[0])

    def _marked(self, face: Face, chosen: bool, fresh: bool, level: Level) -> Face:
        if face.skipped is not None:
            return face
        # A face that was never seen before comes in by its presence already.
        share = self._shares.get(face.track, float(chosen))
        share = min(share + _PACE, 1.0) if chosen else max(share - _PACE, 0.0)
        self._shares[face.track] = share
        if share == 0:
            return replace(face, skipped=NO_TIME)
        return replace(
            face,
            strength=face.strength * share,
            largest_crop=level.largest_crop,
            # What is on its way out is not worth a network.
            fresh=fresh and chosen,
        )
