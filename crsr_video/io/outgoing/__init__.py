"""Where the result of a live run goes: a pipe, a file, the network, a virtual camera."""

from crsr_video.io.outgoing.opening import open_sink
from crsr_video.io.outgoing.sink import Sink

__all__ = ["Sink", "open_sink"]
