"""A server for tests of the effect, which starts at once and inverts the colours of every frame.

fake_server.py serve --socket PATH

Each start adds its process id to PATH.pids; what it does wrong is told by CRSR_FAKE:
silent (accepts, and never answers), frames (answers all but frames), version, noise, dead (does not
start), posix (takes memory that is not sealed, as on macOS).
"""

import os
import socket
import sys
import threading
import time
from pathlib import Path

from crsr_video.server import protocol
from crsr_video.server.protocol import Buffer, Enhance, FrameDone, Hello, MessageKind, TextAnswer
from crsr_video.server.transport import MessageConnection, ServerSocket, SharedFrame

MODE = os.environ.get("CRSR_FAKE", "")
if MODE == "posix":
    del os.memfd_create


def converse(link: socket.socket) -> None:
    channel = MessageConnection(link, 20)
    frame = None
    while got := channel.receive(None):
        header, payload, descriptors = got
        request = protocol.unpack_request(header.kind, payload)
        if MODE == "silent" or (MODE == "frames" and isinstance(request, Enhance)):
            continue
        answer = TextAnswer(
            MessageKind.WELCOME if isinstance(request, Hello) else MessageKind.OK, ""
        )
        if isinstance(request, Buffer):
            frame = SharedFrame(descriptors[0], request)
            os.close(descriptors[0])
        elif isinstance(request, Enhance):
            frame.picture[..., :3] ^= 255
            answer = FrameDone(True, 1, 1)
        message = protocol.pack(MessageKind(answer.kind), header.sequence, answer.pack())
        if MODE == "version":
            message = message[:4] + b"\x09\x00" + message[6:]
        if MODE == "noise":
            message = os.urandom(len(message))
        link.sendall(message)


def main() -> None:
    path = Path(sys.argv[sys.argv.index("--socket") + 1])
    if MODE == "dead":
        sys.exit("it cannot be helped")
    with ServerSocket(path) as place, Path(f"{path}.pids").open("a") as pids:
        pids.write(f"{os.getpid()}\n")
        pids.flush()
        place.listener.settimeout(20)
        while True:
            try:
                link, _ = place.listener.accept()
            except TimeoutError:
                return
            threading.Thread(target=converse, args=(link,), daemon=True).start()
            time.sleep(0)


main()
