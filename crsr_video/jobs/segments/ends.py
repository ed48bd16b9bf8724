"""The two ends of a segment's way through the pipeline, and what is noted there."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from crsr_video.io.encode import Encoder
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.jobs.segments.planning import Segment
from crsr_video.jobs.segments.results import Boxes
from crsr_video.jobs.segments.stitch import OVERLAP
from crsr_video.types import Frame, TrackedFrame


def time_of(frame: Frame) -> int:
    """Time of a frame, or of the frame that a field was taken from."""
    return (frame if frame.whole is None else frame.whole).pts


class Reading:
    """The decoder's frames; damage counts from the segment's first frame to its last."""

    def __init__(self, decoder: Reader, segment: Segment) -> None:
        self._decoder, self._segment = decoder, segment
        self.concealed = self.damaged = 0
        self.seconds = 0.0
        """Spent on decoding."""

    def __iter__(self) -> Iterator[Frame]:
        before = self._decoder.report
        for item in self._timed():
            if not isinstance(item, Frame):
                continue
            now = self._decoder.report
            if self._segment.holds(item.pts):
                self.concealed += now.concealed - before.concealed
                self.damaged += now.damaged - before.damaged
            before = now
            yield item
        if self._segment.end is None:
            self.damaged += self._decoder.report.damaged - before.damaged

    def _timed(self) -> Iterator[Frame | Passthrough]:
        items = iter(self._decoder)
        while True:
            begin = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - begin
            if item is None:
                return
            yield item


class Looking:
    """Who is seen in the segment, and where in the frames that its neighbours look at too.

    Args: own_numbers: count faces from one here, in the order they appear, so that the result does
          not depend on what the tracker has seen before.
    """

    def __init__(self, segment: Segment, *, own_numbers: bool) -> None:
        self._segment, self._own = segment, own_numbers
        self._numbers: dict[int, int] = {}
        self.entering: deque[tuple[int, Boxes]] = deque(maxlen=OVERLAP)
        self.leaving: deque[tuple[int, Boxes]] = deque(maxlen=OVERLAP)
        self.tracks: dict[int, int] = {}
        """Those in the segment itself: the tracker's number to ours."""

    def watch(self, items: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
        """The items, looked at."""
        for item in items:
            pts = time_of(item.frame)
            boxes = {self._number(face.track): face.box for face in item.faces}
            if self._segment.before(pts):
                self.entering.append((pts, boxes))
            elif self._segment.holds(pts):
                self.leaving.append((pts, boxes))
                self.tracks.update((f.track, self._number(f.track)) for f in item.faces)
            yield item

    def _number(self, track: int) -> int:
        return self._numbers.setdefault(track, len(self._numbers) + 1 if self._own else track)


@dataclass(slots=True)
class Writing:
    """The segment's file, whose times begin at zero: not every container holds others."""

    encoder: Encoder
    first: int = 0
    """Time of the first frame, before that."""
    durations: list[int] = field(default_factory=list)
    """Of the frames so far."""
    seconds: float = 0.0
    """Spent on encoding."""

    def push(self, frame: Frame) -> None:
        """Write a frame.

        Raises: OutputError, EncoderError.
        """
        begin = time.perf_counter()
        if not self.durations:
            self.first = frame.pts
        self.durations.append(int(getattr(frame.native, "duration", 0) or 0))
        self.encoder.push(replace(frame, pts=frame.pts - self.first))
        self.seconds += time.perf_counter() - begin
