"""Streams, chapters and metadata that the writer keeps or names."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from crsr_video.config import OutputSettings
from crsr_video.io import picture_properties
from tests.support.recorded import FAST, MILLI, copied, frames_of, times, transcode
from tests.support.video import COVER, make_video


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_streams_chapters_and_metadata_survive(tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    make_video(
        source,
        time_base=MILLI if suffix == ".mkv" else None,
        frames=30,
        audio=2,
        subtitle=True,
        chapters=True,
        attachment=b"not really a font" if suffix == ".mkv" else None,
        rotation=270,
        sample_aspect=Fraction(16, 11),
        colour=(9, 18, 9, 1),
        metadata={"title": "A title", "artist": "Someone"},
    )
    assert transcode(source, target) == ()
    assert [p for s in copied(target) for p in s] == [p for s in copied(source) for p in s]
    with av.open(str(source)) as a, av.open(str(target)) as b:
        assert _described(a) == _described(b)
    a, b = frames_of(source)[0], frames_of(target)[0]
    assert (a.rotation, a.sample_aspect, a.layout) == (b.rotation, b.sample_aspect, b.layout)
    tags = [(f.native.color_primaries, f.native.color_trc, f.native.colorspace) for f in (a, b)]
    assert tags == [(9, 18, 9)] * 2


def _described(container: av.container.InputContainer) -> object:
    stale = ("duration", "encoder")
    streams = [
        (
            s.type,
            s.disposition,
            s.language,
            {k: v for k, v in s.metadata.items() if k.lower() not in stale},
            s.data if s.type == "attachment" else None,
        )
        for s in container.streams
    ]
    chapters = [
        (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
        for c in container.chapters()
    ]
    title = {k: v for k, v in container.metadata.items() if k.lower() not in stale}
    return streams, chapters, title


def test_unusual_metadata_survives_in_mp4(tmp_path: Path) -> None:
    options = {"movflags": "use_metadata_tags"}
    wanted = {"title": "T", "com.example.take": "7"}
    source = make_video(tmp_path / "a.mp4", metadata=wanted, container_options=options)
    transcode(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert wanted.items() <= container.metadata.items()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_art_survives(tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    make_video(tmp_path / "plain.mp4")
    with av.open(str(tmp_path / "plain.mp4")) as plain, av.open(str(source), "w") as output:
        old = plain.streams.video[0]
        new = output.add_stream_from_template(old, opaque=True)
        if suffix == ".mkv":
            output.add_attachment("cover.png", "image/png", COVER)
        else:
            cover = output.add_stream("png", 1)
            cover.width, cover.height, cover.pix_fmt = 1, 1, "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(COVER)
            packet.stream, packet.pts, packet.dts = cover, 0, 0
            output.mux(packet)
        for packet in plain.demux(old):
            if packet.dts is not None:
                packet.stream = new
                output.mux(packet)
    assert transcode(source, target) == ()
    with av.open(str(target)) as container:
        cover = container.streams[1]
        assert cover.disposition & av.stream.Disposition.attached_pic
        assert bytes(next(p for p in container.demux(cover) if p.size)) == COVER


def test_a_time_range_applies_to_all_streams(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mkv", tmp_path / "b.mkv"
    make_video(source, frames=100, time_base=MILLI, audio=1, chapters=True, gop=25)
    transcode(source, target, start=1.0, duration=2.0)
    got = times(target)
    assert got == [t - 1 for t in times(source) if 1 <= t < 3]
    wanted = [(t - 1, data) for t, data in copied(source)[0] if 1 <= t < 3]
    assert copied(target)[0] == wanted
    with av.open(str(target)) as container:
        chapters = [c["start"] * c["time_base"] for c in container.chapters()]
    assert chapters == [0, 1]


def test_tracks_on_different_clocks_keep_their_starts(tmp_path: Path) -> None:
    """Clocks without a small common multiple, and chapters, which need a coarser one."""
    base = Fraction(1, 11988)
    for chapters in (False, True):
        source, target = tmp_path / f"a{chapters}.mp4", tmp_path / f"b{chapters}.mp4"
        make_video(
            source,
            pts=[401 * i for i in range(3, 20)],
            time_base=base,
            audio=1,
            audio_start=353,
            chapters=chapters,
            container_options={"movie_timescale": str(11988 * 4000)},
        )
        transcode(source, target)
        assert times(target) == times(source)
        assert copied(target) == copied(source)


def test_a_second_video_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mkv", tmp_path / "b.mkv"
    first = make_video(tmp_path / "1.mp4", size=(128, 96))
    second = make_video(tmp_path / "2.mp4", frames=7)
    with av.open(str(first)) as a, av.open(str(second)) as b, av.open(str(source), "w") as output:
        olds = (a.streams.video[0], b.streams.video[0])
        news = [output.add_stream_from_template(old, opaque=True) for old in olds]
        for old, new in zip(olds, news, strict=True):
            for packet in old.container.demux(old):
                if packet.dts is not None:
                    packet.stream = new
                    output.mux(packet)
    assert transcode(source, target) == ()
    packets = []
    for path in (source, target):
        with av.open(str(path)) as container:
            stream = next(s for s in container.streams.video if s.width == 64)
            packets.append([bytes(p) for p in container.demux(stream) if p.size])
    assert packets[0] == packets[1]
    assert len(packets[0]) == 7


def test_interlaced_pictures_stay_marked_and_hevc_gets_the_tag_of_apple(tmp_path: Path) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    source = make_video(tmp_path / "a.mp4", size=(64, 64), frames=4, options=options)
    transcode(source, tmp_path / "b.mp4")
    assert all(f.native.interlaced_frame for f in frames_of(tmp_path / "b.mp4"))
    transcode(source, tmp_path / "c.mp4", replace(FAST, codec="libx265"))
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_hdr_metadata_reaches_the_bitstream(tmp_path: Path) -> None:
    params = (
        "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
        "L(10000000,50):max-cll=1000,400"
    )
    source = make_video(
        tmp_path / "a.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        frames=3,
        colour=(9, 16, 9, 1),
        options={"x265-params": params},
    )
    for codec in ("libx265", "libx264"):
        target = tmp_path / f"{codec}.mp4"
        transcode(source, target, replace(FAST, codec=codec))
        before, after = (
            picture_properties.side_data(frames_of(p)[0].native) for p in (source, target)
        )
        for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
            assert before[kind] == after[kind]
    transcode(source, tmp_path / "c.mkv", OutputSettings(codec="ffv1"))
    assert "ffv1 does not hold HDR metadata" in transcode(
        source, tmp_path / "d.mkv", OutputSettings(codec="ffv1")
    )


def test_streams_that_do_not_fit_are_left_out_with_a_notice(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mkv", audio=1, subtitle=True, attachment=b"font", time_base=MILLI
    )
    notices = transcode(source, tmp_path / "b.mp4")
    assert notices == (
        "converted to text that mp4 can hold: 1 subtitle stream (srt)",
        "left out because mp4 cannot hold it: 1 attachment (font.ttf)",
    )
    assert len(copied(tmp_path / "b.mp4")) == 2
    assert times(tmp_path / "b.mp4") == times(source)
