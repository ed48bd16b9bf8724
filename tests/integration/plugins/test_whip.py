"""A WHIP receiver, aiortc in place of go2rtc, decodes what a live result publishes."""

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.live_output import clip
from tests.support.writing import open_writer

pytestmark = pytest.mark.plugins
aiortc = pytest.importorskip("aiortc")
pytest.importorskip("cryptography")


class Receiver:
    """A WHIP server with one session."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        """Sizes of the decoded pictures."""
        self._loop = asyncio.new_event_loop()
        handler = type("Handler", (Handler,), {"receiver": self})
        self._server = HTTPServer(("127.0.0.1", 0), handler)
        self.port = self._server.server_port
        self._threads = [
            threading.Thread(target=self._loop.run_forever, daemon=True),
            threading.Thread(target=self._server.serve_forever, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def answer(self, offer: str) -> str:
        return asyncio.run_coroutine_threadsafe(self._answer(offer), self._loop).result(20)

    async def _answer(self, offer: str) -> str:
        self._connection = aiortc.RTCPeerConnection()

        @self._connection.on("track")
        async def receive(track) -> None:
            while True:
                try:
                    frame = await track.recv()
                except aiortc.mediastreams.MediaStreamError:
                    return
                self.sizes.append((frame.width, frame.height))

        description = aiortc.RTCSessionDescription(sdp=offer, type="offer")
        await self._connection.setRemoteDescription(description)
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result(20)
        self._server.shutdown()
        self._server.server_close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(5)
        self._loop.close()


class Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = self.receiver.answer(offer).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/sdp")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Location", "/session")
        self.end_headers()
        self.wfile.write(answer)

    def do_DELETE(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_whip_delivers_frames(tmp_path: Path) -> None:
    receiver = Receiver()
    try:
        address = f"whip+http://127.0.0.1:{receiver.port}/api/webrtc?dst=door"
        with clip(tmp_path, frames=250, audio=1) as source:
            with open_writer(address, source.source) as writer:
                for frame in source.frames:
                    if len(receiver.sizes) >= 10:
                        break
                    writer.push(frame)
                    time.sleep(0.04)
            assert writer.notices == ("left out because whip cannot hold it: 1 audio stream (aac)",)
    finally:
        receiver.close()
    assert set(receiver.sizes) == {(64, 48)}
