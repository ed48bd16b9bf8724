"""Budget: decide how much work each face gets in this frame.

This stage runs only in live enhancement, before align; see `quality`. Enhancement never starts or
stops abruptly: where there is no time for a face, its enhancement fades out over some frames, and
it fades in again later.
"""

from dataclasses import replace

from crsr_video.stages.base import Stage
from crsr_video.stages.quality import NO_TIME, LiveQuality, QualityLevel
from crsr_video.types import Face, TrackedFrame

_FADE_PER_FRAME = 1 / 8
"""Share of its strength that a face gains or loses in one frame."""
_ADVANTAGE = 1.3
"""Factor on the size of a face that is enhanced already, so that equal faces do not take turns."""


class FaceBudget(Stage[TrackedFrame, TrackedFrame]):
    """Marks each face with the enhancement that there is time for.

    Args:
        quality: The present quality level.
    """

    def __init__(self, quality: LiveQuality) -> None:
        self._quality = quality
        self._shares: dict[int, float] = {}
        self._since = 0

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        """Return the frame with its faces marked."""
        if item.cut:
            self.reset()
        level = self._quality.level
        fresh = self._quality.fresh = self._is_fresh(level)
        chosen = self._chosen(item.faces, level)
        faces = tuple(self._marked(face, face.track in chosen, fresh, level) for face in item.faces)
        seen = {face.track for face in item.faces}
        self._shares = {track: share for track, share in self._shares.items() if track in seen}
        self._quality.faded = not level.enhances and not any(self._shares.values())
        return [replace(item, faces=faces)]

    def reset(self) -> None:
        """Forget all faces."""
        self._shares.clear()
        self._since = 0

    def _is_fresh(self, level: QualityLevel) -> bool:
        """Decide whether the networks see this frame."""
        hurried, self._quality.hurry = self._quality.hurry, False
        fresh = not hurried and self._since % level.every == 0
        self._since = 1 if fresh else self._since + 1
        return fresh

    def _chosen(self, faces: tuple[Face, ...], level: QualityLevel) -> set[int]:
        """Return the tracks that are to be enhanced."""
        wanted = [face for face in faces if face.skipped is None]
        wanted.sort(key=self._weight, reverse=True)
        return {face.track for face in wanted[: level.most_faces]}

    def _weight(self, face: Face) -> float:
        advantage = _ADVANTAGE if self._shares.get(face.track, 0.0) > 0 else 1.0
        return advantage * (face.box[2] - face.box[0])

    def _marked(self, face: Face, chosen: bool, fresh: bool, level: QualityLevel) -> Face:
        if face.skipped is not None:
            return face
        # The presence of a new face already fades it in, so its share starts at 1 if chosen.
        share = self._shares.get(face.track, float(chosen))
        share = min(share + _FADE_PER_FRAME, 1.0) if chosen else max(share - _FADE_PER_FRAME, 0.0)
        self._shares[face.track] = share
        if share == 0:
            return replace(face, skipped=NO_TIME)
        return replace(
            face,
            strength=face.strength * share,
            largest_crop=level.largest_crop,
            # A face that is fading out is not worth running the networks for.
            fresh=fresh and chosen,
        )
