"""Messages in the streams of H.264, HEVC and MPEG-2: closed captions, HDR10+ and user data."""

import re
from pathlib import Path

import av

CAPTIONS = bytes([0xB5, 0, 0x31]) + b"GA94\x03" + bytes([0xC2, 0xFF, 0xFC, 0x94, 0x2C])
CAPTIONS += bytes([0xFD, 0x80, 0x80, 0xFF])
"""Closed captions of CEA-608 as ATSC A/53 wraps them, with two commands."""
USER_DATA = bytes(range(1, 17)) + b"where the drone was"
"""An identifier and a text."""
_BITS = f"01{1000:027b}0{9999:017b}{9998:017b}{9997:017b}{500:017b}0000{77:010b}000"
HDR10_PLUS = bytes([0xB5, 0, 0x3C, 0, 1, 4, 1]) + int(_BITS.ljust(120, "0"), 2).to_bytes(15)
"""Dynamic metadata of SMPTE ST 2094-40: one window, its luminance, and no curves."""

_PREFIXES = {"h264": b"\x06", "hevc": b"\x4e\x01"}
_KINDS = {CAPTIONS: 4, HDR10_PLUS: 4, USER_DATA: 5}


def with_message(source: Path, target: Path, message: bytes, first: int = 0) -> Path:
    """Copy a video, and add a message to each picture from a certain one on in decoding order."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        video = old.streams.video[0]
        copy = new.add_stream_from_template(video)
        number = 0
        for packet in old.demux(video):
            if not packet.size:
                continue
            data = bytes(packet)
            if number >= first:
                data = _added(data, video.codec_context.name, message)
            number += 1
            changed = av.Packet(data)
            changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
            changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
            changed.stream = copy
            new.mux(changed)
    return target


def _added(data: bytes, codec: str, message: bytes) -> bytes:
    if codec == "mpeg2video":
        place = data.index(b"\0\0\1\1")  # The first slice.
        return data[:place] + b"\0\0\1\xb2" + message[3:] + data[place:]
    unit = bytes([_KINDS[message], len(message)]) + message + b"\x80"
    unit = _PREFIXES[codec] + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", unit)
    if data[:3] == b"\0\0\1" or data[:4] == b"\0\0\0\1":
        place = 0
        if (codec == "h264" and data[4] == 9) or (codec == "hevc" and data[4] >> 1 == 35):
            place = data.index(b"\0\0\1", 4)  # Behind the delimiter.
            place -= data[place - 1] == 0
        return data[:place] + b"\0\0\0\1" + unit + data[place:]
    return len(unit).to_bytes(4) + unit + data
