"""Pipeline without networks that has memory and lookahead like the real one."""

from collections import deque

import numpy as np
import pytest

from crsr_video import pipeline
from crsr_video.pipeline import Pipeline
from crsr_video.stages.base import Stage
from crsr_video.types import Face, Frame, TrackedFrame

MEMORY = 4
AHEAD = 3


class Watcher(Stage):
    """Stand-in for the tracker: one moving face, with lookahead."""

    lookahead = AHEAD

    def __init__(self) -> None:
        self._held: deque[Frame] = deque()
        self._scene = 1
        self._fresh = True

    def push(self, frame: Frame) -> list[TrackedFrame]:
        self._held.append(frame)
        return [self._release()] if len(self._held) > self.lookahead else []

    def flush(self) -> list[TrackedFrame]:
        done = [self._release() for _ in range(len(self._held))]
        self.reset()
        return done

    def reset(self) -> None:
        self._held.clear()
        self._scene += 7  # IDs are not reused, like those of the tracker.
        self._fresh = True

    def _release(self) -> TrackedFrame:
        frame = self._held.popleft()
        x = 10 + 5 * np.sin(frame.seconds)
        face = Face(self._scene, np.zeros((5, 2)), (x, 10, x + 20, 30), 1.0)
        cut, self._fresh = self._fresh, False
        return TrackedFrame(frame, (face,), cut)


class Nothing(Stage):
    """A stage that does nothing, because faces are counted after the last but one stage."""

    def push(self, item: TrackedFrame) -> list[TrackedFrame]:
        return [item]

    def flush(self) -> list[TrackedFrame]:
        return []

    def reset(self) -> None:
        pass


class Blend(Stage):
    """Averages each frame with `MEMORY` frames before it and `AHEAD` frames after it."""

    lookahead = AHEAD

    def __init__(self) -> None:
        self.reset()

    def push(self, item: TrackedFrame) -> list[Frame]:
        self._frames.append(item.frame)
        return [self._finish()] if len(self._frames) - self._next > self.lookahead else []

    def flush(self) -> list[Frame]:
        done = []
        while self._next < len(self._frames):
            done.append(self._finish())
        self.reset()
        return done

    def reset(self) -> None:
        self._frames: list[Frame] = []
        self._next = 0

    def _finish(self) -> Frame:
        near = self._frames[: self._next + 1 + AHEAD]
        frame = self._frames[self._next]
        mean = np.mean([other.components[0] for other in near], 0).round()
        self._next += 1
        if self._next > MEMORY:
            del self._frames[0]
            self._next -= 1
        return frame.with_components(
            (mean.astype(frame.components[0].dtype), *frame.components[1:])
        )


def build(*_: object, **__: object) -> Pipeline:
    return Pipeline([("track", Watcher()), ("nothing", Nothing()), ("blend", Blend())])


@pytest.fixture
def fake_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "build", build)
