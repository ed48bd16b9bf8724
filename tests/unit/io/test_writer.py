"""The writer of recorded results: what it keeps, refuses, and leaves behind when it fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError, OutputError
from crsr_video.io import picture_properties, pixel_formats, pyav
from crsr_video.io.encoders import available_encoders
from crsr_video.io.output_plan import plan_output
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.types import Frame
from tests.support.video import COVER, make_video, picture

FAST = OutputSettings(preset="ultrafast")
MILLI = Fraction(1, 1000)


def transcode(
    source: Path, target: Path, settings: OutputSettings | None = FAST, **window: float
) -> tuple[str, ...]:
    """Decode and encode a file, and return the notices."""
    with (
        Reader(source, **window) as decoder,
        Writer(target, decoder.source, settings) as encoder,
    ):
        for item in decoder:
            if isinstance(item, Frame):
                encoder.push(item)
            else:
                encoder.push_packet(item)
    return encoder.notices


def frames_of(path: Path) -> list[Frame]:
    with Reader(path) as decoder:
        return [item for item in decoder if isinstance(item, Frame)]


def times(path: Path) -> list[Fraction]:
    return [f.pts * f.time_base for f in frames_of(path)]


def copied(path: Path) -> list[list[tuple[Fraction, bytes]]]:
    """Return times and bytes of the packets of every stream but the video."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        found: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in streams}
        for packet in container.demux(*streams):
            if packet.size:
                found[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if ".part" in p.name]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(
    "pts", [range(0, 400, 40), [0, 17, 18, 90, 200, 201, 900], [1234, 1300, 1340, 1500, 1501]]
)
def test_times_survive_exactly(
    tmp_path: Path, suffix: str, b_frames: int, pts: list[int] | range
) -> None:
    """Constant and variable rates, offsets, reordering, and audio that starts at another time."""
    unit = 1 if suffix == ".mkv" else 90
    source = make_video(
        tmp_path / f"a{suffix}",
        pts=[p * unit + (0 if unit == 1 else p % 7) for p in pts],
        time_base=MILLI / unit,
        b_frames=2,
        audio=1,
        audio_start=4800,
        container_options={"movie_timescale": "90000"} if suffix in (".mp4", ".mov") else {},
    )
    target = tmp_path / f"b{suffix}"
    settings = OutputSettings(preset="veryfast", options={"bf": str(b_frames)})
    assert transcode(source, target, settings) == ()
    assert times(target) == times(source)
    assert copied(target) == copied(source)


@pytest.mark.parametrize(
    ("suffix", "codec", "base"),
    [
        (".avi", "mpeg4", None),
        (".avi", "mpeg4", Fraction(1001, 30000)),
        (".webm", "libvpx", MILLI),
        (".mpg", "mpeg1video", None),
        (".mp4", "mpeg4", None),
        (".mkv", "mjpeg", MILLI),
    ],
)
def test_frames_and_times_survive_in_other_containers(
    tmp_path: Path, suffix: str, codec: str, base: Fraction | None
) -> None:
    source = make_video(
        tmp_path / f"a{suffix}",
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        time_base=base,
        rate=1 / base if base and suffix == ".avi" else 25,
        audio=1,
        frames=20,
    )
    target = tmp_path / f"b{suffix}"
    assert transcode(source, target, None) == ()
    assert times(target) == times(source)
    assert [[p for _, p in s] for s in copied(target)] == [
        [p for _, p in s] for s in copied(source)
    ]
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert np.abs(a.components[0].astype(int) - b.components[0]).mean() < 3


def test_the_last_frame_keeps_its_duration(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", pts=[0, 100, 1000], time_base=MILLI, rate=10)
    transcode(source, tmp_path / "b.mp4")
    with av.open(str(source)) as a, av.open(str(tmp_path / "b.mp4")) as b:
        assert a.streams.video[0].duration == b.streams.video[0].duration


LOSSLESS = {
    "yuv420p": ("libx264", {"qp": "0"}),
    "yuvj420p": ("libx264", {"qp": "0"}),
    "yuv422p": ("libx264", {"qp": "0"}),
    "yuv444p": ("libx264", {"qp": "0"}),
    "nv12": ("libx264", {"qp": "0"}),
    "yuv420p10le": ("ffv1", {}),
    "gray": ("ffv1", {}),
    "gbrp": ("libx265", {"x265-params": "lossless=1"}),
    "rgb24": ("libx264rgb", {"qp": "0"}),
    "yuva444p10le": ("ffv1", {}),
}


@pytest.mark.parametrize("size", [(64, 48), (66, 18), (17, 33), (1, 1)])
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_encoding_is_bit_identical(
    tmp_path: Path, name: str, size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    encoder, options = LOSSLESS[name]
    fmt = pixel_formats.pixel_format(name)
    assert fmt is not None
    raw = "rawvideo" if name != "yuva444p10le" else "ffv1"
    source = make_video(tmp_path / "a.nut", codec=raw, pix_fmt=name, size=size, frames=3)
    if encoder == "libx265" and min(size) < 16:
        with pytest.raises(EncoderError, match="libx265"):
            transcode(source, tmp_path / "b.nut", OutputSettings(codec=encoder))
        return
    settings = OutputSettings(codec=encoder, options=options)
    if encoder == "libx264" and any(s % 2 for s in size):
        settings = replace(settings, codec="ffv1", options={})
        if name == "nv12":
            settings = replace(settings, options={"pix_fmt": "yuv420p"})
    target = tmp_path / "b.nut"
    transcode(source, target, settings)
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert (a.width, a.height) == (b.width, b.height)
        assert all(map(np.array_equal, a.components, b.components))
        if fmt.alpha:
            pair = (pyav.views(f.native, alpha=True)[-1] for f in (a, b))
            assert np.array_equal(*pair)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [(17, 33), (1, 1), (3, 2)])
def test_odd_sizes_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    """x264 refuses them with subsampled chroma, so chroma is enlarged, with a notice."""
    source = make_video(tmp_path / "a.mkv", codec="ffv1", size=size, frames=3)
    notices = transcode(source, tmp_path / "b.mkv", replace(FAST, codec="libx264"))
    assert notices == ("pictures are converted from yuv420p to yuv444p for libx264",)
    frame = frames_of(tmp_path / "b.mkv")[0]
    assert (frame.width, frame.height, frame.layout.name) == (*size, "yuv444p")
    before = frames_of(source)[0].components[0].astype(int)
    assert np.abs(frame.components[0] - before).mean() < 4


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuva420p", "rgb24", "gray10le"])
def test_edited_samples_are_written_and_all_others_stay(tmp_path: Path, name: str) -> None:
    codec = "ffv1" if name in ("yuva420p", "gray10le") else "rawvideo"
    source, target = tmp_path / "a.nut", tmp_path / "b.nut"
    make_video(source, codec=codec, pix_fmt=name, frames=3)
    with Reader(source) as decoder, Writer(target, decoder.source) as encoder:
        frames = [item for item in decoder if isinstance(item, Frame)]
        for frame in frames:
            planes = tuple(np.array(c) for c in frame.components)
            planes[0][10:20, 5:9] = 77
            encoder.push(frame.with_components(planes))
    for number, (a, b) in enumerate(zip(frames, frames_of(target), strict=True)):
        changed = np.argwhere(a.components[0] != b.components[0])
        assert len(changed) == 0 or (changed.min(0) >= (10, 5)).all()
        assert (b.components[0][10:20, 5:9] == 77).all()
        assert all(map(np.array_equal, a.components[1:], b.components[1:]))
        assert np.array_equal(a.components[0], pyav.views(picture(number, (64, 48), name))[0])
        if name == "yuva420p":
            pair = (pyav.views(f.native, alpha=True)[-1] for f in (a, b))
            assert np.array_equal(*pair)


@pytest.mark.parametrize("scale", [2, 4])
def test_enlarged_frames_keep_rotation_aspect_and_times(tmp_path: Path, scale: int) -> None:
    source = make_video(
        tmp_path / "a.mp4", frames=4, rotation=90, sample_aspect=Fraction(4, 3), audio=1
    )
    target = tmp_path / "b.mp4"
    with Reader(source) as decoder, Writer(target, decoder.source, FAST, scale=scale) as encoder:
        for item in decoder:
            if isinstance(item, Frame):
                large = tuple(np.kron(c, np.ones((scale, scale), c.dtype)) for c in item.components)
                encoder.push(replace(item.with_components(large), native=item.native))
            else:
                encoder.push_packet(item)
    frame = frames_of(target)[0]
    assert (frame.width, frame.height) == (64 * scale, 48 * scale)
    assert (frame.rotation, frame.sample_aspect) == (90, Fraction(4, 3))
    assert times(target) == times(source)
    assert copied(target) == copied(source)


def test_frames_made_from_arrays_are_written(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mkv", codec="ffv1", frames=2), tmp_path / "b.mkv"
    with Reader(source) as decoder, Writer(target, decoder.source) as encoder:
        for item in decoder:
            if isinstance(item, Frame):
                planes = tuple(np.array(c) for c in item.components)
                encoder.push(Frame(planes, item.layout, item.pts, item.time_base))
    for a, b in zip(frames_of(source), frames_of(target), strict=True):
        assert all(map(np.array_equal, a.components, b.components))


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


def test_the_plan_follows_the_source(tmp_path: Path) -> None:
    def plan(path: Path, **settings: str) -> tuple[str, str, str, str]:
        with Reader(path) as decoder:
            made = plan_output(decoder.source, None, OutputSettings(**settings))
        return made.path.name, made.container, made.encoder, made.pixel_format

    mp4 = make_video(tmp_path / "a.mp4")
    assert plan(mp4) == ("a.enhanced.mp4", "mp4", "libx264", "yuv420p")
    assert plan(mp4, codec="hevc") == ("a.enhanced.mp4", "mp4", "libx265", "yuv420p")
    assert plan(mp4, codec="libvpx") == ("a.enhanced.mkv", "matroska", "libvpx", "yuv420p")
    webm = make_video(tmp_path / "b.webm", codec="libvpx-vp9", time_base=MILLI)
    assert plan(webm)[1:3] == ("webm", "libvpx-vp9")
    gif = make_video(tmp_path / "c.gif", codec="gif", pix_fmt="gray", time_base=Fraction(1, 100))
    assert plan(gif)[:3] == ("c.enhanced.mp4", "mp4", "libx264")
    raw = make_video(tmp_path / "d.h264")
    assert plan(raw)[:3] == ("d.enhanced.mkv", "matroska", "libx264")
    ten = make_video(tmp_path / "e.mkv", codec="ffv1", pix_fmt="yuv422p12le")
    assert plan(ten, codec="libx264")[3] == "yuv422p10le"
    png = make_video(tmp_path / "f.mov", codec="png", pix_fmt="rgb24")
    assert plan(png)[1:] == ("mov", "png", "rgb24")
    with Reader(mp4) as decoder:
        assert plan_output(decoder.source, tmp_path / "x.webm").encoder == "libvpx-vp9"
    assert not list(tmp_path.glob("*enhanced*"))


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("b.mp4", {"codec": "nosuch"}, "no video encoder 'nosuch'"),
        ("b.mp4", {"codec": "aac"}, "no video encoder 'aac'"),
        ("b.mp4", {"options": {"nosuch": "1"}}, "libx264 has no option nosuch"),
        ("b.mp4", {"preset": "nosuch"}, "libx264 has no preset 'nosuch', only"),
        ("b.mp4", {"codec": "ffv1", "crf": 10.0}, "ffv1 has no constant quality"),
        ("b.mp4", {"options": {"pix_fmt": "pal8"}}, "libx264 does not take pixel format pal8"),
        ("b.webm", {"codec": "libx264"}, "libx264 does not fit into a .webm file"),
        ("b.xyz", {}, "no container is written for '.xyz'"),
        ("nosuch/b.mp4", {}, "nosuch: no such folder"),
        ("folder.mp4", {}, "folder.mp4: is a directory"),
        ("there.mp4", {}, "there.mp4: exists already"),
        ("a.mp4", {}, "a.mp4: is the source itself"),
        ("link.mp4", {}, "link.mp4: is the source itself"),
    ],
)
def test_impossible_outputs_are_refused_in_one_line(
    tmp_path: Path,
    name: str,
    settings: dict[str, object],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = make_video(tmp_path / "a.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "there.mp4").write_text("precious")
    (tmp_path / "link.mp4").symlink_to(source)
    with Reader(source) as decoder, pytest.raises(OutputError, match=words) as caught:
        Writer(tmp_path / name, decoder.source, OutputSettings(**settings))
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []
    assert (tmp_path / "there.mp4").read_text() == "precious"
    assert capfd.readouterr() == ("", "")


def test_frames_too_large_for_an_encoder_are_refused(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", codec="ffv1", size=(17000 // 4, 16), frames=1)
    with Reader(source) as decoder, pytest.raises(EncoderError, match="libvpx"):
        Writer(tmp_path / "b.mkv", decoder.source, OutputSettings(codec="libvpx"), scale=4)
    assert leftovers(tmp_path) == []


def test_the_result_appears_only_when_complete(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with Reader(source) as decoder, Writer(target, decoder.source, FAST) as encoder:
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
            assert not target.exists()
            assert len(leftovers(tmp_path)) == 1
    assert target.exists()
    assert leftovers(tmp_path) == []
    encoder.abort()
    encoder.close()
    assert target.exists()


def test_overwriting_when_asked(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    target.write_text("old")
    with Reader(source) as decoder, Writer(target, decoder.source, FAST, overwrite=True) as encoder:
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
            assert target.read_text() == "old" if encoder.plan else True
    assert len(frames_of(target)) == 12


@pytest.mark.parametrize("pushed", [0, 5])
def test_nothing_is_left_after_an_exception(tmp_path: Path, pushed: int) -> None:
    source = make_video(tmp_path / "a.mp4", audio=1)
    with (
        Reader(source) as decoder,
        pytest.raises(KeyboardInterrupt),
        Writer(tmp_path / "b.mp4", decoder.source, FAST) as encoder,
    ):
        frames = [item for item in decoder if isinstance(item, Frame)]
        for frame in frames[:pushed]:
            encoder.push(frame)
        raise KeyboardInterrupt
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_without_a_frame_there_is_no_result(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")
    with Reader(source) as decoder, pytest.raises(OutputError, match="there was no frame"):
        Writer(tmp_path / "b.mp4", decoder.source, FAST).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    import resource  # Windows lacks it.

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 20_000, 400_000])
def test_a_full_disk_leaves_no_file(tmp_path: Path, limit: int) -> None:
    """The disk fills up in the header, among the frames, or at the end."""
    source = make_video(tmp_path / "a.nut", codec="rawvideo", frames=100)
    with (
        Reader(source) as decoder,
        pytest.raises(OutputError, match=r"b\.nut: cannot be written: File too large"),
        _file_size_limit(limit),
        Writer(tmp_path / "b.nut", decoder.source) as encoder,
    ):
        for item in decoder:
            assert isinstance(item, Frame)
            encoder.push(item)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nut"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    source, folder = make_video(tmp_path / "a.mp4"), tmp_path / "f"
    folder.mkdir(mode=0o500)
    with Reader(source) as decoder, pytest.raises(OutputError, match="may not be written"):
        Writer(folder / "b.mp4", decoder.source)


@pytest.mark.parametrize("name", available_encoders())
def test_every_available_encoder_writes_a_video(
    tmp_path: Path,
    name: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SVT_LOG", "0")  # As the command line does: there is no option for it.
    if any(word in name for word in ("nvenc", "qsv", "vaapi", "videotoolbox", "_mf")):
        pytest.skip("devices take no picture as small as this")
    size = (256, 128) if name == "dnxhd" else (128, 96)
    source = make_video(tmp_path / "a.nut", codec="rawvideo", size=size, frames=4)
    suffix = ".mov" if name in ("prores_ks", "dnxhd", "png", "qtrle", "magicyuv") else ".nut"
    transcode(source, tmp_path / f"b{suffix}", OutputSettings(codec=name))
    assert times(tmp_path / f"b{suffix}") == times(source)
    assert capfd.readouterr() == ("", "")


def test_available_encoders_belong_to_this_ffmpeg() -> None:
    found = available_encoders()
    assert "libx264" in found
    assert set(found) <= set(av.codec.codecs_available)
