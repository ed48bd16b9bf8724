"""Relay between a writer and the network. This module runs as a script in a separate process.

It imports nothing from this package. The first line of standard input is JSON ("url", "mode",
"options"), and the stream follows: bytes that are passed on unchanged, or a NUT stream whose
packets are written in another container. "ready" on standard error reports a connection; any other
line there is an error message.
"""

import json
import os
import select
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av

_SIZE = 1 << 16
"""Bytes per read."""
_OPENING_MS = 300
_SYNCPOINT = b"NK\xe4\xad\xee\xca\x45\x69" + b"\x06" + bytes(6)
"""A NUT sync point for time zero: start code, length, time, distance, checksum."""


class _Input:
    """Standard input as a file for PyAV.

    FFmpeg waits for a frame before it returns from opening the stream, but frames are sent only
    after the connection is made. The header holds everything that is needed. Therefore, while the
    stream is being opened, a short pause in the input is reported as the end of the file. Before
    that end, NUT's demuxer also needs a sync point.
    """

    name = "standard input"
    is_opening = True
    _sync_point_sent = False

    def read(self, size: int) -> bytes:
        if self.is_opening and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(0, select.POLLIN)
            if not poll.poll(_OPENING_MS):
                if self._sync_point_sent:
                    return b""
                self._sync_point_sent = True
                return _SYNCPOINT
        return os.read(0, size)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def _report(text: str) -> None:
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


def pass_bytes(url: str, options: dict[str, str]) -> None:
    """Send the bytes of standard input unchanged."""
    with av.open(url, "w", format="data", container_options=options) as output:
        stream = output.add_data_stream()
        output.start_encoding()
        _report("ready")
        count = 0
        while data := os.read(0, _SIZE):
            packet = av.Packet(data)
            packet.stream = stream
            packet.pts = packet.dts = count
            count += 1
            output.mux(packet)


def pass_packets(url: str, options: dict[str, str], container: str) -> None:
    """Send the packets of the NUT stream on standard input in another container."""
    quick = {"probesize": "32", "analyzeduration": "0", "fflags": "nobuffer"}
    given = _Input()
    with (
        av.open(given, "r", format="nut", container_options=quick) as source,
        av.open(url, "w", format=container, container_options=options) as output,
    ):
        given.is_opening = False
        streams = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        output.start_encoding()
        _report("ready")
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)


def make_certificate(folder: Path) -> dict[str, str]:
    """Write a new certificate and its key, and return the options of the WHIP muxer for them.

    FFmpeg's own certificate has a key on the curve P-224 if FFmpeg is built with GnuTLS. Receivers
    that use OpenSSL refuse that curve.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "crsr-video")])
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=1), now + timedelta(days=365)
    number = x509.random_serial_number()
    builder = x509.CertificateBuilder(name, name, key.public_key(), number, begin, end)
    encoding = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(encoding))
    private.write_bytes(key.private_bytes(encoding, *plain))
    return {"cert_file": str(certificate), "key_file": str(private)}


def main() -> None:
    """Read the request from the first line of standard input, and carry it out."""
    try:
        order = json.loads(_first_line() or b"{}")
        options = {"flush_packets": "1", "max_interleave_delta": "1", **order.get("options", {})}
        if order["mode"] == "bytes":
            pass_bytes(order["url"], options)
        elif order["mode"] == "whip":
            with tempfile.TemporaryDirectory() as folder:
                options |= make_certificate(Path(folder))
                pass_packets(order["url"], options, "whip")
        else:
            pass_packets(order["url"], options, order["mode"])
    except (OSError, ValueError, LookupError, av.FFmpegError) as error:
        _report(getattr(error, "strerror", None) or str(error))


if __name__ == "__main__":
    main()
