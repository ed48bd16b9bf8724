"""Copied streams: AAC from transport streams in containers that hold it without headers."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from crsr_video.io import copied_streams
from crsr_video.io.live_reader import LiveReader
from crsr_video.io.pyav import Passthrough
from crsr_video.types import Frame
from tests.support.video import make_video
from tests.support.writing import open_writer


def test_the_aac_configuration_follows_the_standard() -> None:
    assert copied_streams.aac_config(48_000, 1) == b"\x11\x88"
    assert copied_streams.aac_config(44_100, 2) == b"\x12\x10"
    assert copied_streams.aac_config(12_345, 2) is None
    assert copied_streams.aac_config(48_000, 0) is None


def test_only_the_adts_header_is_removed() -> None:
    plain = av.Packet(b"\x21\x10\x04" * 5)
    assert copied_streams.without_adts(plain) is plain
    header = bytes([0xFF, 0xF1, 0x4C, 0x40, 0x02, 0x5F, 0xFC])
    packet = av.Packet(header + b"content")
    packet.pts, packet.dts, packet.time_base = 7, 7, Fraction(1, 48_000)
    bare = copied_streams.without_adts(packet)
    assert bytes(bare) == b"content"
    assert (bare.pts, bare.time_base) == (7, Fraction(1, 48_000))


@pytest.mark.parametrize("ending", ["mp4", "mov", "flv", "mkv", "ts"])
def test_sound_of_a_transport_stream_can_be_decoded(tmp_path: Path, ending: str) -> None:
    source = make_video(tmp_path / "in.ts", container="mpegts", frames=50, audio=1)
    output = tmp_path / f"out.{ending}"
    with LiveReader(str(source)) as incoming:
        sink = open_writer(output, incoming.source, rate=Fraction(25))
        with sink:
            for arrival in incoming:
                if isinstance(arrival.item, Passthrough):
                    sink.push_packet(arrival.item)
                elif isinstance(arrival.item, Frame):
                    sink.push(arrival.item)
    with av.open(str(output)) as file:
        assert len(list(file.decode(audio=0))) > 50
    with av.open(str(output)) as file:
        assert len(list(file.decode(video=0))) == 50
