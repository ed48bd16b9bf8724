"""Clips with everything that a container can hold besides its video."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition

from tests.support.video import COVER, make_video

MILLI = Fraction(1, 1000)

TEXT = b"Hello"
PGS = bytes.fromhex("16000b0780043810000080000000800000")
SEGMENTS = bytes.fromhex("0f100001000205000f8000010000")
"""Contents of subtitle packets. Nothing between two containers looks at them."""


@dataclass(frozen=True)
class Extra:
    """A further stream and its packets."""

    codec: str
    payloads: Sequence[bytes]
    language: str = "und"
    title: str = ""
    disposition: Disposition = field(default_factory=lambda: Disposition(0))


def text_subtitles(codec: str = "subrip", **fields: object) -> Extra:
    data = len(TEXT).to_bytes(2, "big") + TEXT if codec == "mov_text" else TEXT
    return Extra(codec, [data, data], **fields)


def bitmap_subtitles(codec: str, **fields: object) -> Extra:
    data = SEGMENTS if codec == "dvb_subtitle" else PGS
    return Extra(codec, [data, data], **fields)


def make_rich_clip(
    path: Path,
    extras: Sequence[Extra] = (),
    *,
    codec: str = "libx264",
    audio: int = 2,
    chapters: bool = False,
    attachment: bool = False,
    cover: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a second of video with audio tracks and further streams."""
    base = MILLI if path.suffix in (".mkv", ".webm") else None
    plain = make_video(
        path.with_name(f"plain{path.suffix}"),
        codec=codec,
        audio=audio,
        frames=25,
        time_base=base,
        metadata=metadata,
    )
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        added = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for number, stream in enumerate(old.streams.audio):
            added[stream.index].metadata.update(
                language=("eng", "deu", "jpn")[number % 3], title=f"Track {number}"
            )
            added[stream.index].disposition = (
                Disposition.default if number == 0 else Disposition.comment
            )
        more = [_add(new, extra) for extra in extras]
        if attachment:
            new.add_attachment("font.ttf", "application/x-truetype-font", b"no real font" * 9)
        picture = None
        if cover and path.suffix == ".mkv":
            new.add_attachment("cover.png", "image/png", COVER)
        elif cover:
            picture = new.add_stream("png", 1)
            picture.width, picture.height, picture.pix_fmt = 1, 1, "rgb24"
            picture.disposition = Disposition.attached_pic
        if chapters:
            new.set_chapters(
                [
                    {"id": i, "start": a, "end": b, "time_base": MILLI, "metadata": {"title": t}}
                    for i, (a, b, t) in enumerate([(0, 400, "One"), (400, 960, "Zwei")])
                ]
            )
        new.metadata.update(metadata or {})
        new.start_encoding()
        if picture is not None:
            _mux(new, picture, COVER, 0, MILLI)
        for packet in old.demux():
            if packet.size:
                packet.stream = added[packet.stream_index]
                new.mux(packet)
        for stream, extra in zip(more, extras, strict=True):
            for number, data in enumerate(extra.payloads):
                _mux(new, stream, data, 40 + 400 * number, MILLI)
    return path


def _add(output: av.container.OutputContainer, extra: Extra) -> av.stream.Stream:
    stream = output.add_mux_stream(extra.codec, time_base=MILLI)
    stream.metadata["language"] = extra.language
    if extra.title:
        stream.metadata["title"] = extra.title
    stream.disposition = extra.disposition
    return stream


def _mux(
    output: av.container.OutputContainer,
    stream: av.stream.Stream,
    data: bytes,
    time: int,
    base: Fraction,
) -> None:
    packet = av.Packet(data)
    packet.stream, packet.time_base = stream, base
    packet.pts = packet.dts = time
    packet.duration = 200
    output.mux(packet)
