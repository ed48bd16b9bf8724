"""The common interface of all outputs while they are being written."""

from abc import ABC, abstractmethod

from av.video.frame import VideoFrame

from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame


class OutputSession(ABC):
    """One output from its beginning to its end. A network output may start several sessions."""

    state = "writing"
    """Current activity of a call: "encoding" or "writing"."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices that arose while writing."""
        return ()

    @property
    def losses(self) -> tuple[str, ...]:
        """The notices about properties that the output does not keep."""
        return ()

    @abstractmethod
    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Write a picture with the times of its frame.

        Raises:
            OutputError: It cannot be written.
        """

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet of another stream. Outputs without other streams ignore it."""

    def finish(self) -> None:
        """Write all buffered data and finish the output.

        Raises:
            OutputError: It cannot be written.
        """

    @abstractmethod
    def drop(self) -> None:
        """Stop without writing anything more, and free all resources. May be called twice."""
