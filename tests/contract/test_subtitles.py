"""Subtitles of enhanced videos."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.cli import QUICK, run
from tests.support.paths import PORTRAIT

pytestmark = pytest.mark.usefixtures("face_models")


def subtitles_of(path: Path) -> list[tuple[float, float, str]]:
    """Return the beginning, the end and the words of every subtitle."""
    found = []
    with av.open(str(path)) as file:
        (stream,) = file.streams.subtitles
        for packet in file.demux(stream):
            if packet.pts is not None:
                begin = float(packet.pts * packet.time_base)
                end = begin + float(packet.duration * packet.time_base)
                words = [rect.dialogue.decode() for rect in packet.decode()]
                found += [(begin, end, text) for text in words]
    return found


def with_subtitles(path: Path) -> Path:
    """Write a clip of three seconds whose second subtitle lasts for eight."""
    with av.open(str(PORTRAIT)) as source, av.open(str(path), "w") as file:
        video = file.add_stream_from_template(source.streams.video[0])
        text = file.add_stream("srt")
        text.time_base = text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = b"[Script Info]\n"
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                file.mux(packet)
        for begin, length, words in ((80, 160, "Hello <i>there</i>"), (280, 8000, "and\r\nhere")):
            packet = av.Packet(words.encode())
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = begin
            packet.duration = length
            file.mux(packet)
    return path


def test_subrip_becomes_mp4_text_and_ends_with_the_part(tmp_path: Path) -> None:
    source = with_subtitles(tmp_path / "a.mkv")
    output = tmp_path / "a.mp4"
    result = run("enhance", source, "-o", output, "--end", "0:00.4", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "converted to text that mp4 can hold: 1 subtitle stream (srt)" in result.stderr
    first, second = subtitles_of(output)
    assert first == (
        pytest.approx(0.08, abs=0.03),
        pytest.approx(0.24, abs=0.03),
        "Hello {\\i1}there",
    )
    assert second[1] == pytest.approx(0.4, abs=0.03)
    again = tmp_path / "b.mkv"
    assert run("enhance", output, "-o", again, *QUICK).exit_code == 0
    assert [text for _, _, text in subtitles_of(again)] == [r"Hello {\i1}there{\i0}", second[2]]
    refused = run("enhance", source, "-o", tmp_path / "c.mp4", "--strict", *QUICK)
    assert refused.exit_code == 1
    assert "converted to text" in refused.stderr


def test_a_subtitle_that_begins_before_the_part_is_shortened(tmp_path: Path) -> None:
    source = with_subtitles(tmp_path / "a.mkv")
    output = tmp_path / "b.mkv"
    result = run("enhance", source, "-o", output, "--start", "1", "--end", "2", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert subtitles_of(output) == [(0.0, pytest.approx(1.0, abs=0.01), subtitles_of(source)[1][2])]
