"""A stream being written, whatever into."""

from typing import Protocol

from av.video.frame import VideoFrame

from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame


class Writing(Protocol):
    """What a sink does with its present connection."""

    def push(self, picture: VideoFrame, frame: Frame) -> None:
        """Write a picture, which has the sink's shape, with the times of its frame."""

    def push_packet(self, item: Passthrough) -> None:
        """Copy a packet."""

    def finish(self) -> None:
        """Write what is left, and the end."""

    def drop(self) -> None:
        """Give up, and free what is held."""
