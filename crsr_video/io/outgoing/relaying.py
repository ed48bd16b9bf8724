"""A wire through a process of its own, which speaks a protocol for us."""

import errno
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from crsr_video.io.outgoing.address import Target
from crsr_video.io.outgoing.protocols import find_program, is_spoken
from crsr_video.io.outgoing.wire import PipeWire, Wire

_NULLS = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 7
"""MPEG-TS packets of nothing: the ffmpeg program connects when the first bytes have come."""
_ENDING_SECONDS = 3.0
"""How long the process may take to say goodbye."""
_POLL_SECONDS = 0.05
_RELAY = Path(__file__).with_name("relay.py")
_SESSION = sys.platform != "win32"
"""Children get a session of their own: an interrupt from the keyboard is not for them."""


class RelayWire(Wire):
    """Bytes go to a child's standard input, and from there to the network.

    Args:   begin: what the child is sent first. ready: how its line on standard error begins that
            says that it is connected.
    Raises: OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], begin: bytes, ready: str, name: str) -> None:
        super().__init__(name)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=_SESSION,
        )
        assert self._process.stdin is not None
        self._pipe = PipeWire(self._process.stdin.fileno(), name)
        self._mark = ready
        self._ready = threading.Event()
        self._lines: deque[str] = deque(maxlen=20)
        self._listener = threading.Thread(target=self._listen, name="relay", daemon=True)
        self._listener.start()
        with suppress(OSError):  # Why it went away is found out below.
            self._process.stdin.write(begin)

    @property
    def ready(self) -> bool:
        """Whether it said that it is connected."""
        return self._ready.is_set()

    def connect(self, seconds: float, stop: threading.Event) -> None:
        """Wait until it is connected.

        Raises: OSError: it is not, and why.
        """
        end = time.monotonic() + seconds
        while not self._ready.wait(_POLL_SECONDS):
            if self._process.poll() is not None:
                raise self._failure()
            if stop.is_set():
                raise OSError(errno.ECANCELED, "given up")
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s")

    def _send(self, view: memoryview) -> int:
        try:
            return self._pipe._send(view)
        except BrokenPipeError as error:
            raise self._failure() from error

    def _failure(self) -> OSError:
        """What the child has said of its end."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._listener.join(1.0)
        said = next((line for line in reversed(self._lines) if line), "it broke off")
        return ConnectionError(errno.EPIPE, said)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").strip()
            if text.startswith(self._mark):
                self._ready.set()
            elif not self._ready.is_set() or "rror" in text or text[:1].isupper():
                self._lines.append(text.rpartition("://")[2].partition(": ")[2] or text)

    def finish(self) -> None:
        """Let it send what it has, and say goodbye."""
        self._pipe.release()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        self.release()

    def _free(self) -> None:
        self._pipe.release()
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def relay(target: Target) -> RelayWire:
    """Start a child that speaks the target's protocol; it is not connected yet.

    Raises: OutputError: there is no program that speaks it. OSError: it cannot be started.
    """
    if target.kind == "srt" and not is_spoken(target.kind):
        command = [find_program(target), *_PASS_BYTES, _in_packets(target.address)]
        return RelayWire(command, _NULLS, "Output #0", target.name)
    order = {"url": target.address, "mode": "bytes", "options": {}}
    if target.container == "rtsp":
        order |= {"mode": "rtsp", "options": {"rtsp_transport": "tcp"}}
    command = [sys.executable, "-P", str(_RELAY)]
    return RelayWire(command, json.dumps(order).encode() + b"\n", "ready", target.name)


_PASS_BYTES = (
    *("-hide_banner", "-nostdin", "-nostats", "-loglevel", "info"),
    *("-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer"),
    *("-f", "data", "-raw_packet_size", "1316", "-blocksize", "1316", "-i", "pipe:0"),
    *("-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data"),
)


def _in_packets(address: str) -> str:
    """An SRT address whose messages hold whole MPEG-TS packets."""
    if "pkt_size=" in address or "payload_size=" in address:
        return address
    return f"{address}{'&' if '?' in address else '?'}pkt_size=1316"
