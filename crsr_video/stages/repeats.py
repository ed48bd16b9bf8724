"""Give a frame that repeats the frame before it the same result.

The stages also look at the neighbours of a frame, so the results of two equal frames differ
slightly. In a video in which some frames are doubled, the difference is visible as a twitch.
"""

from dataclasses import dataclass, replace

import numpy as np

from crsr_video.types import Frame, TrackedFrame

_MOST_REPEATS = 3
"""Maximum number of times in a row that a result is reused. The number is limited so that a face
that is fading in on a still picture continues to do so."""
_SAMPLED_ROWS = 61
"""Distance between the rows that are compared first, before the comparison of whole planes."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A frame with enhanced faces, and its result."""

    item: TrackedFrame
    result: Frame
    repeats: int


class RepeatedFrames:
    """Compares every frame with the frame before it, and reuses the result if both are equal."""

    def __init__(self) -> None:
        self._last: dict[bool, _Finished] = {}

    def reset(self) -> None:
        """Discard the frames that are kept for comparison."""
        self._last.clear()

    def settled(self, item: TrackedFrame, result: Frame) -> Frame:
        """Return the result of a frame, or that of the frame before it if the frames are equal.

        Temporary frames cannot be compared with later ones; their results are returned unchanged.

        Args:
            item: The frame as it was decoded, with its faces.
            result: The result of the stages for this frame.
        """
        if item.frame.is_temporary:
            return result
        field = item.frame.is_second_field  # A field is compared with the same field.
        last, repeats = self._last.get(field), 0
        if last is not None and last.repeats < _MOST_REPEATS and _is_repeated(last, item, result):
            repeats = last.repeats + 1
            done = last.result
            result = replace(
                result, components=done.components, edited=done.edited, changed=done.changed
            )
        if not _enhanced_tracks(item):
            self._last.pop(field, None)
            return result
        kept = replace(item, frame=_with_own_memory(item.frame))
        self._last[field] = _Finished(kept, _with_own_memory(result), repeats)
        return result


def _with_own_memory(frame: Frame) -> Frame:
    """Return a frame that stays unchanged if the memory of its picture is reused.

    Frames from a decoder own their memory. Arrays belong to the caller, who may overwrite them.
    """
    if frame.native is not None:
        return frame
    return replace(frame, components=tuple(plane.copy() for plane in frame.components))


def _is_repeated(last: _Finished, item: TrackedFrame, result: Frame) -> bool:
    old, new = last.item.frame, item.frame
    if not (last.result.edited or result.edited) or old.layout != new.layout:
        return False
    if [c.shape for c in last.result.components] != [c.shape for c in result.components]:
        return False
    if _enhanced_tracks(last.item) != _enhanced_tracks(item):
        return False
    planes = list(zip(old.components, new.components, strict=True))
    return all(
        a.shape == b.shape and np.array_equal(a[::_SAMPLED_ROWS], b[::_SAMPLED_ROWS])
        for a, b in planes
    ) and all(np.array_equal(a, b) for a, b in planes)


def _enhanced_tracks(item: TrackedFrame) -> set[int]:
    return {face.track for face in item.faces if face.enhanced is not None}
