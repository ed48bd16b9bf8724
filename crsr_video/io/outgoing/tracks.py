"""Sound and the like, which is copied: what a sink can hold of a source, and for how long.

A source's streams die with it, but a sink may have to begin anew later; so their description is
kept in a container that is never written.
"""

import io
from collections import Counter
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Stream

from crsr_video.io.containers import holds
from crsr_video.io.feed import Feed
from crsr_video.io.outgoing import adts
from crsr_video.io.outgoing.address import PLAIN
from crsr_video.io.source import codec_name

_HOLDERS = {"hls": "mpegts", "rtsp": "nut"}
"""Containers that stand for such as have none of their own."""
_ONLY = {
    "flv": ("aac", "mp3", "mp3float", "speex"),
    "rtsp": ("aac", "mp2", "mp3", "mp2float", "mp3float", "ac3", "opus", "pcm_alaw", "pcm_mulaw"),
}
"""Sound that players of a container know, where FFmpeg would write more."""


class Tracks:
    """The streams beside the picture that go into a container."""

    def __init__(self, feed: Feed, container: str) -> None:
        self._container = _HOLDERS.get(container, container)
        self._known = _ONLY.get(container)
        self._plain = container in PLAIN or not container
        self._kept: dict[int, Stream] = {}
        self._places: dict[int, int] = {}
        self._left_out: list[Stream] = []
        if not self._plain:
            self._holder = av.open(io.BytesIO(), "w", format=self._container)
        for stream in feed.others:
            self._keep(stream)
        self.notices = self._notices(container)
        """What stays behind."""

    @property
    def kept(self) -> dict[int, Stream]:
        """Templates of the streams, by a number that stays the same over changes."""
        return self._kept

    def place(self, index: int) -> int | None:
        """That number for a stream of the present source; None: it is not copied."""
        return self._places.get(index)

    def change(self, feed: Feed) -> tuple[str, ...]:
        """Find the streams again in another source; returns what is to be said of the others."""
        free, lost = dict(self._kept), []
        self._places = {}
        for stream in feed.others:
            found = next((n for n, kept in free.items() if _alike(kept, stream)), None)
            if found is None:
                lost.append(stream)
            else:
                self._places[stream.index] = found
                del free[found]
        if lost and self._kept:
            return (f"left out from now on, as it has changed: {_counted(lost)}",)
        return ()

    def _keep(self, stream: Stream) -> None:
        name = codec_name(stream)
        known = self._known is None or name in self._known
        if self._plain or not known or not holds(self._container, stream):
            self._left_out.append(stream)
            return
        try:
            kept = self._holder.add_stream_from_template(stream, opaque=True)
        except (FFmpegError, ValueError):
            self._left_out.append(stream)
            return
        if name == "aac" and self._container in adts.WITHOUT_HEADERS:
            _describe(kept, stream)
        number = len(self._kept)
        self._kept[number], self._places[stream.index] = kept, number

    def _notices(self, container: str) -> tuple[str, ...]:
        if not self._left_out:
            return ()
        where = container or "a virtual camera"
        return (f"left out, as {where} does not hold it: {_counted(self._left_out)}",)


def _describe(kept: Stream, stream: Stream) -> None:
    """Say what AAC out of a transport stream is, which says it in every frame."""
    context = stream.codec_context
    if context is None or context.extradata:
        return
    said = adts.description(getattr(context, "sample_rate", 0), getattr(context, "channels", 0))
    if said is not None:
        kept.codec_context.extradata = said


def _alike(a: Stream, b: Stream) -> bool:
    """Whether packets of one may follow those of the other."""
    return _key(a) == _key(b)


def _key(stream: Stream) -> tuple[Any, ...]:
    context = stream.codec_context
    data = bytes(context.extradata or b"") if context is not None else b""
    rate = getattr(context, "sample_rate", None)
    return stream.type, codec_name(stream), rate, getattr(context, "channels", None), data


def _counted(streams: list[Stream]) -> str:
    kinds = Counter((s.type, codec_name(s) or "unknown") for s in streams)
    return ", ".join(f"{n} {kind} stream{'s' * (n > 1)} ({c})" for (kind, c), n in kinds.items())
