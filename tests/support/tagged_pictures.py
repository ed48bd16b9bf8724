"""Movies whose pictures carry a colour profile or the EXIF data of a camera."""

import struct
import zlib
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

SIZE = (64, 48)


def png_with_profile() -> bytes:
    """Return a PNG with a colour profile that has a name."""
    width, height = SIZE
    rows = b"".join(b"\0" + bytes(range(width)) * 3 for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    profile = b"sRGB\0\0" + zlib.compress(bytes(256))
    parts = ((b"IHDR", header), (b"iCCP", profile), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def jpeg_with_orientation() -> bytes:
    """Return a JPEG whose EXIF data say that the top of the picture is on its right."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *SIZE, "yuvj420p"
    encoder.time_base = 1
    frame = av.VideoFrame.from_ndarray(
        np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8), "yuvj420p"
    )
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    entry = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


PICTURES = {"png": png_with_profile, "mjpeg": jpeg_with_orientation}


def movie(path: Path, codec: str, frames: int = 5) -> Path:
    """Write a movie of equal pictures, of codec "png" or "mjpeg"."""
    data = PICTURES[codec]()
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, 25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        output.start_encoding()
        for number in range(frames):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = stream.codec_context.time_base
            packet.is_keyframe = True
            output.mux(packet)
    return path
