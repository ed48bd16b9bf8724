"""AAC as transport streams have it, every frame with a header, for containers that want none.

Source: ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig) and 1.A.2 (ADTS).
"""

import av

from crsr_video.io.pyav import Packet

WITHOUT_HEADERS = frozenset({"mp4", "mov", "flv"})
"""Containers that hold AAC's description once, and are written before a frame was seen."""

_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050),
    *(16_000, 12_000, 11_025, 8_000, 7_350),
)
_LOW_COMPLEXITY = 2


def description(rate: int, channels: int) -> bytes | None:
    """What such a container wants to know; None: it cannot be said in two bytes.

    Args: rate: samples a second.
    """
    if rate not in _RATES or not 1 <= channels <= 6:
        return None
    bits = _LOW_COMPLEXITY << 11 | _RATES.index(rate) << 7 | channels << 3
    return bits.to_bytes(2, "big")


def bare(packet: Packet) -> Packet:
    """The packet without its header, if it has one."""
    data = bytes(packet)
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return packet
    stripped: Packet = av.Packet(data[7 if data[1] & 1 else 9 :])
    stripped.pts, stripped.dts, stripped.time_base = packet.pts, packet.dts, packet.time_base
    stripped.duration = packet.duration
    return stripped
