"""From an address to a sink."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from crsr_video.io.feed import Feed, SinkSettings
from crsr_video.io.outgoing.address import target_of
from crsr_video.io.outgoing.camera import CameraSink
from crsr_video.io.outgoing.file_sink import FileSink
from crsr_video.io.outgoing.network_sink import NetworkSink
from crsr_video.io.outgoing.planning import plan_sink
from crsr_video.io.outgoing.sink import Sink
from crsr_video.io.outgoing.stream_sink import StreamSink
from crsr_video.io.output_file import check_output


def open_sink(
    settings: SinkSettings,
    feed: Feed,
    *,
    rate: Fraction | None = None,
    on_event: Callable[[str], None] = lambda _: None,
) -> Sink:
    """Open a sink for what a source sends.

    Args:   rate: frames a second, nominally; None: what the source claims.
            on_event: is told, in a line, what happens later; also from other threads.
    Raises: OutputError: it cannot be written, in one line, within `connect_seconds`.
            ReaderGoneError: the reader of standard output has gone already.
    """
    target = target_of(settings)
    if target.kind == "camera":
        return CameraSink(target, feed, rate, on_event)
    if target.kind in ("file", "hls"):
        _check(Path(target.address), settings)
    plan = plan_sink(settings, target, feed, rate)
    if target.networked:
        return NetworkSink(settings, target, plan, feed, on_event)
    kind = FileSink if target.kind == "file" else StreamSink
    return kind(target, plan, feed, on_event)


def _check(path: Path, settings: SinkSettings) -> None:
    """A live source is no file that could be written over, so its folder stands for it."""
    check_output(path, path.parent, settings.overwrite)
