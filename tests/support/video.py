"""Small clips for tests, made with PyAV: any codec, any times, any further streams."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from crsr_video.io import pixel_formats, pyav

COVER = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    b"\x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


def make_video(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    frames: int = 12,
    rate: Fraction | int = 25,
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    b_frames: int = 0,
    gop: int = 12,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    audio: int = 0,
    audio_start: int = 0,
    subtitle: bool = False,
    chapters: bool = False,
    attachment: bytes | None = None,
    rotation: int = 0,
    sample_aspect: Fraction | None = None,
    colour: tuple[int, int, int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
    container: str | None = None,
    matrix: Sequence[int] | None = None,
    flat: Sequence[float] | None = None,
) -> Path:
    """Write a clip of a moving gradient.

    Args: pts: presentation times in ticks of `time_base` (1 / rate by default), increasing.
          audio: number of tracks, each a tone of its own, as long as the video.
          colour: codes of H.273 for primaries, transfer, matrix, and the range (1 or 2).
          matrix: display matrix, nine numbers as FFmpeg lays them out.
          flat: one code for each component, in place of the gradient.
    """
    base = time_base or 1 / Fraction(rate)
    times = list(pts) if pts is not None else [round(i / (rate * base)) for i in range(frames)]
    with av.open(
        str(path), "w", format=container, container_options=dict(container_options or {})
    ) as output:
        video = output.add_stream(codec, rate, options=dict(options or {}), time_base=base)
        assert isinstance(video, VideoStream)
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        video.codec_context.max_b_frames = b_frames
        video.codec_context.gop_size = gop
        video.thread_count = 1
        if colour:
            context = video.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colour[:3]
            context.color_range = colour[3]
        if codec.startswith("libvpx") and pix_fmt == "yuva420p":
            video.metadata["alpha_mode"] = "1"
        if sample_aspect:
            video.codec_context.sample_aspect_ratio = sample_aspect
        if rotation:
            video.set_display_rotation(rotation)
        if matrix is not None:
            video.set_display_matrix(list(matrix))
        tracks = [_add_audio(output, path, i) for i in range(audio)]
        text = None
        if subtitle:
            text = output.add_mux_stream(_text_codec(path), time_base=Fraction(1, 1000))
        if attachment is not None:
            output.add_attachment("font.ttf", "application/x-truetype-font", attachment)
        output.metadata.update(metadata or {})
        if chapters:
            milli, half = Fraction(1, 1000), round(frames / Fraction(rate) * 500)
            parts = [(0, half, "One"), (half, 2 * half, "Two")]
            output.set_chapters(
                [
                    {"id": i, "start": a, "end": b, "time_base": milli, "metadata": {"title": t}}
                    for i, (a, b, t) in enumerate(parts)
                ]
            )
        if text is not None:
            text.metadata["language"] = "fra"
        output.start_encoding()
        for number, time in enumerate(times):
            frame = picture(number, size, pix_fmt)
            if flat is not None:
                fill(frame, flat)
            frame.pts, frame.time_base = time, base
            if colour:
                frame.color_primaries, frame.color_trc, frame.colorspace = colour[:3]
                frame.color_range = colour[3]
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for track, stream in enumerate(tracks):
            _write_tone(output, stream, track, audio_start, float(times[-1] * base) + 0.04)
        if text is not None:
            packet = av.Packet(_text_payload(path))
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = 40
            packet.duration = 200
            output.mux(packet)
    return path


def picture(number: int, size: tuple[int, int], pix_fmt: str) -> VideoFrame:
    """Return frame `number` of the clip: smooth, moving, different in every component."""
    frame = pyav.blank(*size, pix_fmt)
    fmt = pixel_formats.pixel_format(pix_fmt)
    assert fmt is not None
    components = []
    for index, view in enumerate(pyav.views(frame)):
        y, x = np.mgrid[: view.shape[0], : view.shape[1]]
        wave = 0.5 + 0.3 * np.sin((x + 2 * number) / (5 + index)) * np.cos((y - number) / 7)
        step = 1 << (fmt.bits - fmt.coded_bits)
        codes = np.round(wave * ((1 << fmt.bits) - 1) / step) * step
        components.append(codes.astype(view.dtype))
    pyav.write(frame, tuple(components))
    if fmt.alpha:
        view = pyav.views(frame, alpha=True)[-1]
        y, x = np.mgrid[: view.shape[0], : view.shape[1]]
        view[...] = ((3 * x + y) % (1 << fmt.bits)).astype(view.dtype)
    return frame


def fill(frame: VideoFrame, codes: Sequence[float]) -> None:
    """Make a picture one colour."""
    for view, code in zip(pyav.views(frame), codes, strict=True):
        view[...] = round(code)


def _add_audio(output: av.container.OutputContainer, path: Path, track: int) -> av.AudioStream:
    codec = {".webm": "libopus", ".avi": "mp2", ".mpg": "mp2"}.get(path.suffix, "aac")
    stream = output.add_stream(codec, 48000, layout="mono")
    assert isinstance(stream, av.AudioStream)
    stream.metadata["language"] = ("eng", "deu", "jpn")[track % 3]
    return stream


def _write_tone(
    output: av.container.OutputContainer,
    stream: av.AudioStream,
    track: int,
    start: int,
    seconds: float,
) -> None:
    count = round(seconds * 48000)
    wave = 0.3 * np.sin(np.arange(count) * (0.03 + 0.02 * track))
    for first in range(0, count, 1024):
        part = wave[first : first + 1024]
        if stream.codec_context.format.name.startswith("flt"):
            samples = part[None].astype(np.float32)
        else:
            samples = (part[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, stream.codec_context.format.name, "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start + first, Fraction(1, 48000)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def _text_codec(path: Path) -> str:
    return "mov_text" if path.suffix in (".mp4", ".mov") else "subrip"


def _text_payload(path: Path) -> bytes:
    text = b"Hello"
    return len(text).to_bytes(2, "big") + text if path.suffix in (".mp4", ".mov") else text


def write_pictures(path: Path, pictures: Sequence[np.ndarray], rate: int = 25) -> Path:
    """Write pictures (H, W, 3), RGB, as lossless video."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for number, shown in enumerate(pictures):
            frame = VideoFrame.from_ndarray(shown, "rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, container: str, seconds: float) -> None:
    """Copy the beginning of a clip into another container, packet by packet."""
    with av.open(str(source)) as given, av.open(str(target), "w", format=container) as made:
        streams = {s.index: made.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = streams[packet.stream_index]
                made.mux(packet)


def repeat_video(path: Path, times: int) -> Path:
    """Write an elementary stream of a hundred frames, `times` in a row: long, but quickly made."""
    data = make_video(path, frames=100).read_bytes()
    path.write_bytes(data * times)
    return path
