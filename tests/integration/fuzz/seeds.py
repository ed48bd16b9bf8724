"""Small intact files of many kinds, from which damaged ones are made."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.support.mp4_boxes import clap, sphere, with_box
from tests.support.picture_messages import CAPTIONS, with_message
from tests.support.tagged_pictures import movie
from tests.support.video import make_video

SIZE = (96, 64)
FRAMES = 24


def _y4m(path: Path) -> Path:
    """Write a YUV4MPEG2 file."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % SIZE)
        for number in range(FRAMES):
            luma = 128 + 90 * np.sin((x + 3 * number) / 9) * np.cos(y / 7)
            chroma = np.full((2, SIZE[1] // 2, SIZE[0] // 2), 120 + number)
            file.write(b"FRAME\n")
            file.write(luma.astype(np.uint8).tobytes() + chroma.astype(np.uint8).tobytes())
    return path


def _made(**options: object) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        return make_video(path, size=SIZE, frames=FRAMES, gop=8, **options)

    return make


def _captioned(path: Path) -> Path:
    plain = make_video(path.with_name(f"plain-{path.name}"), size=SIZE, frames=FRAMES, gop=8)
    return with_message(plain, path, CAPTIONS)


def _joined(path: Path) -> Path:
    """Write two parts of a transport stream, whose clock restarts."""
    part = path.with_name(f"part-{path.name}")
    data = make_video(part, size=SIZE, frames=FRAMES // 2, gop=8, audio=1).read_bytes()
    path.write_bytes(2 * data)
    return path


def _cropped(path: Path) -> Path:
    return with_box(make_video(path, size=(112, 80), frames=FRAMES, gop=8), clap(*SIZE))


def _chapters(path: Path) -> Path:
    make_video(path, size=SIZE, frames=FRAMES, gop=8, chapters=True)
    path.write_bytes(path.read_bytes().replace(b"\x43\x7c\x83und", b"\x43\x7c\x83ger"))
    return path


def _spherical(path: Path) -> Path:
    return with_box(make_video(path, size=SIZE, frames=FRAMES, gop=8, audio=1), sphere())


def _two_videos(path: Path) -> Path:
    """Two videos with reordered pictures, the second one to be copied."""
    plain = make_video(path.with_name("plain.mp4"), size=SIZE, frames=FRAMES, gop=8, b_frames=2)
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        copies = [new.add_stream_from_template(old.streams.video[0]) for _ in range(2)]
        for packet in old.demux(video=0):
            if packet.size:
                for copy in copies:
                    twin = av.Packet(bytes(packet))
                    twin.pts, twin.dts, twin.time_base = packet.pts, packet.dts, packet.time_base
                    twin.is_keyframe, twin.stream = packet.is_keyframe, copy
                    new.mux(twin)
    return path


_TS_TICK = Fraction(1, 90_000)
_NEAR_WRAP = (1 << 33) - FRAMES * 1800
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
_INDEX_FIRST = {"movflags": "faststart"}

SEEDS: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": _made(
        audio=1,
        subtitle=True,
        chapters=True,
        b_frames=2,
        rotation=90,
        container_options=_INDEX_FIRST,
    ),
    "fragments.mp4": _made(codec="mpeg4", audio=1, container_options=_FRAGMENTS),
    "prores.mov": _made(
        codec="prores_ks", pix_fmt="yuv422p10le", audio=1, container_options=_INDEX_FIRST
    ),
    "hevc.mkv": _made(
        codec="libx265",
        audio=2,
        subtitle=True,
        chapters=True,
        attachment=b"no font" * 20,
        options={"x265-params": "log-level=none"},
    ),
    "vp9.webm": _made(codec="libvpx-vp9", audio=1, options={"cpu-used": "8"}),
    "mpeg2.ts": _made(codec="mpeg2video", audio=1, b_frames=2),
    "h264.ts": _made(audio=1, b_frames=2),
    "mpeg4.avi": _made(codec="mpeg4", audio=1),
    "mpeg2.mpg": _made(codec="mpeg2video", audio=1),
    "h264.flv": _made(audio=1),
    "ffv1.nut": _made(codec="ffv1", audio=1),
    "mjpeg.mkv": _made(codec="mjpeg", pix_fmt="yuvj420p", audio=1),
    "raw.y4m": _y4m,
    "alpha.webm": _made(codec="libvpx-vp9", pix_fmt="yuva420p", options={"cpu-used": "8"}),
    "captions.mp4": _captioned,
    "joined.ts": _joined,
    "wrap.ts": _made(
        pts=range(_NEAR_WRAP, _NEAR_WRAP + FRAMES * 3600, 3600), time_base=_TS_TICK, b_frames=2
    ),
    "late_clock.ts": _made(pts=range(10**9, 10**9 + FRAMES * 3600, 3600), time_base=_TS_TICK),
    "two_videos.mkv": _two_videos,
    "sphere.mp4": _spherical,
    "screen.mp4": _made(
        pts=[t * 1000 for t in (*range(12), *range(90, 102))], time_base=Fraction(1, 60_000)
    ),
    "profile.mov": lambda path: movie(path, "png", FRAMES),
    "exif.avi": lambda path: movie(path, "mjpeg", FRAMES),
    "bare.h264": _made(b_frames=2),
    "cropped.mp4": _cropped,
    "chapters.mkv": _chapters,
    "fields.ts": _made(
        codec="mpeg2video", options={"flags": "+ildct+ilme"}, metadata={"service_name": "One"}
    ),
}


def make_seeds(folder: Path) -> dict[str, bytes]:
    """Write every seed once, and return their bytes by name."""
    return {name: make(folder / name).read_bytes() for name, make in SEEDS.items()}
