"""A process of its own between a sink and the network; run as a script, it imports nothing of ours.

FFmpeg's RTMP and RTSP connect and write without a time limit, and PyAV holds Python's lock while
they connect: here they hold up nobody, and can be killed. The first line of standard input is JSON
("url", "mode", "options"), then comes the stream: bytes that are passed on as they are, or NUT
whose packets are written in another container. "ready" on standard error means connected; anything
else there is why it failed.
"""

import json
import os
import select
import sys

import av

_SIZE = 1 << 16
"""Bytes that are read at once."""
_OPENING_MS = 300
_SYNCPOINT = b"NK\xe4\xad\xee\xca\x45\x69" + b"\x06" + bytes(6)
"""NUT's start code, length, time and distance, and their checksum."""


class _Input:
    """Standard input, as much as there is.

    While the stream is `opening`, no bytes for a moment are taken for its end: FFmpeg wants to see
    a picture first, but the header says all, and nobody sends pictures before we are connected.
    NUT's reader also wants the mark that comes before pictures: it is given one, for time zero.
    """

    name = "standard input"
    opening = True
    marked = False

    def read(self, size: int) -> bytes:
        if self.opening and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(0, select.POLLIN)
            if not poll.poll(_OPENING_MS):
                mark, self.marked = b"" if self.marked else _SYNCPOINT, True
                return mark
        return os.read(0, size)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def _say(text: str) -> None:
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


def pass_bytes(url: str, options: dict[str, str]) -> None:
    """Send what comes as it is."""
    with av.open(url, "w", format="data", container_options=options) as output:
        stream = output.add_data_stream()
        output.start_encoding()
        _say("ready")
        count = 0
        while data := os.read(0, _SIZE):
            packet = av.Packet(data)
            packet.stream = stream
            packet.pts = packet.dts = count
            count += 1
            output.mux(packet)


def pass_packets(url: str, options: dict[str, str], container: str) -> None:
    """Send the packets of a NUT stream in another container."""
    quick = {"probesize": "32", "analyzeduration": "0", "fflags": "nobuffer"}
    given = _Input()
    with (
        av.open(given, "r", format="nut", container_options=quick) as source,
        av.open(url, "w", format=container, container_options=options) as output,
    ):
        given.opening = False
        streams = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        output.start_encoding()
        _say("ready")
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)


def main() -> None:
    """Do what the first line says."""
    try:
        order = json.loads(_first_line() or b"{}")
        options = {"flush_packets": "1", "max_interleave_delta": "1", **order.get("options", {})}
        if order["mode"] == "bytes":
            pass_bytes(order["url"], options)
        else:
            pass_packets(order["url"], options, order["mode"])
    except (OSError, ValueError, LookupError, av.FFmpegError) as error:
        _say(getattr(error, "strerror", None) or str(error))


if __name__ == "__main__":
    main()
