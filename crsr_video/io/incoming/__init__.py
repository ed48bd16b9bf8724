"""Live sources: pipes, cameras, network streams, and files as if they were live."""

from crsr_video.io.incoming.incoming import Incoming, Statistics

__all__ = ["Incoming", "Statistics"]
