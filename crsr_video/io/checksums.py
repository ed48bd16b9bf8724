"""Checksums of FFV1, the archives' codec: FFmpeg patches a picture whose checksum fails in silence.

Source: RFC 9043, section 4.9: a slice ends with its size in 24 bits, an error status of 8 and a
CRC-32 of 32, if the stream has any; slices are found from the end of a packet backwards.
"""

import zlib

_FOOTER = 8
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def sound(packet: bytes) -> bool:
    """Whether a packet consists of slices whose checksums are right; of a stream without, never."""
    end = len(packet)
    while end >= _FOOTER:
        begin = end - _FOOTER - int.from_bytes(packet[end - _FOOTER : end - 5])
        if begin < 0 or crc(packet[begin:end]):
            return False
        end = begin
    return end == 0 and len(packet) > 0


def crc(data: bytes) -> int:
    """CRC with FFV1's polynomial, most significant bit first, from 0; its bits reversed.

    zlib's has the same polynomial, least significant bit first, and inverts before and after. What
    is followed by its own CRC gives 0, in either order of bits.
    """
    return zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
