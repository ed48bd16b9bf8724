"""The two ends of a segment's way through the pipeline, and what is noted there."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.jobs.segments.planning import Segment
from crsr_video.jobs.segments.results import Boxes
from crsr_video.jobs.segments.stitch import OVERLAP
from crsr_video.pipeline import Pipeline
from crsr_video.runner import Runner
from crsr_video.types import Frame, TrackedFrame


def time_of(frame: Frame) -> int:
    """Time of a frame, or of the frame that a field was taken from."""
    return (frame if frame.whole is None else frame.whole).pts


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

    def look(self, item: TrackedFrame) -> None:
        """Note who is seen in a frame."""
        pts = time_of(item.frame)
        boxes = {self._number(face.track): face.box for face in item.faces}
        if self._segment.before(pts):
            self.entering.append((pts, boxes))
        elif self._segment.holds(pts):
            self.leaving.append((pts, boxes))
            self.tracks.update((f.track, self._number(f.track)) for f in item.faces)

    def _number(self, track: int) -> int:
        return self._numbers.setdefault(track, len(self._numbers) + 1 if self._own else track)


class SegmentRunner(Runner):
    """Enhances one segment: frames before it only warm up, and the first one after it ends the run.

    The segment's file begins at time zero, as not every container holds other times. Damage is
    counted from the segment's first frame to its last.

    Args:
        reader: The source from the warm-up on.
        frames: The pipeline, in its initial state.
        encoder: The segment's file.
        segment: The range of frames.
        looking: Is shown every tracked frame.
        on_frame: Called with the number of faces in view after every finished frame.
    """

    def __init__(
        self,
        reader: Reader,
        frames: Pipeline,
        encoder: Writer,
        segment: Segment,
        looking: Looking,
        on_frame: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(reader, frames, encoder)
        self._source, self._frames, self._encoder = reader, frames, encoder
        self._segment, self._looking, self._on_finished = segment, looking, on_frame
        self.concealed = self.damaged = 0
        self.first = 0
        """Timestamp of the first frame in the source."""
        self.durations: list[int] = []
        """Durations of the finished frames."""

    def read(self) -> Iterator[Frame]:
        """Yield the frames of the source, without the other streams."""
        before = self._source.report
        for item in super().read():
            if not isinstance(item, Frame):
                continue
            now = self._source.report
            if self._segment.holds(item.pts):
                self.concealed += now.concealed - before.concealed
                self.damaged += now.damaged - before.damaged
            before = now
            yield item
        if self._segment.end is None:
            self.damaged += self._source.report.damaged - before.damaged

    def track(self, frame: Frame | None) -> list[TrackedFrame]:
        """Find faces, and note where they are."""
        found = super().track(frame)
        for item in found:
            self._looking.look(item)
        return found

    def write(self, item: Frame) -> bool:
        """Write a frame of the segment, and return whether more of them may follow."""
        if not self._segment.holds(item.pts):
            return self._segment.before(item.pts)
        if not self.durations:
            self.first = item.pts
        self.durations.append(int(getattr(item.native, "duration", 0) or 0))
        self._encoder.push(replace(item, pts=item.pts - self.first))
        if self._on_finished is not None:
            self._on_finished(self._frames.in_view)
        return True
