"""A receiver in a process of its own that can be killed. It plays a URL and reports each frame.

Run as a script with a URL, FFmpeg's name of the format, and options as JSON.
"""

import json
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit


class Receiver:
    """Listens at an address and collects what arrives."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode().strip())

    def line(self, seconds: float = 20.0) -> str:
        """Return the receiver's next line, or an empty string if there is none in time."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return ""

    def rest(self) -> list[str]:
        """Return everything that the receiver printed until its end."""
        self._process.wait(20)
        self._thread.join(5)
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def pyav_receiver(url: str, container: str, options: dict[str, str]) -> Receiver:
    """Start a receiver with PyAV that is ready for a connection."""
    receiver = Receiver([sys.executable, "-P", __file__, url, container, json.dumps(options)])
    port = urlsplit(url).port
    assert port is not None
    wait_for_listener(port, "tcp")
    return receiver


def wait_for_listener(port: int, kind: str) -> None:
    """Wait until a port is bound, without connecting: some receivers take one connection only."""
    table = Path(f"/proc/net/{kind}")
    if not table.exists():
        time.sleep(2)
        return
    end = time.monotonic() + 20
    while f":{port:04X} 00000000:0000" not in table.read_text():
        assert time.monotonic() < end, f"there is no listener on port {port}"
        time.sleep(0.05)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    import av

    url, container, options = sys.argv[1:]
    quick = {"probesize": "65536", "analyzeduration": "100000", "fflags": "nobuffer"}
    with av.open(url, "r", format=container, options=quick | json.loads(options)) as source:
        kinds = [stream.codec_context.name for stream in source.streams]
        print("streams", *kinds, flush=True)
        video = source.streams.video[0]
        for packet in source.demux():
            if packet.stream.type == "audio" and packet.size:
                print("sound", flush=True)
            elif packet.stream is video:
                for frame in packet.decode():
                    size, key = f"{frame.width}x{frame.height}", int(frame.key_frame)
                    told = float(frame.pts * frame.time_base), key, size, frame.format.name
                    print("frame", *told, flush=True)


if __name__ == "__main__":
    main()
