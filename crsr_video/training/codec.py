"""Compression artifacts in small pictures, made by encoding and decoding them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from crsr_video.errors import TrainingError

# swscale's defaults darken saturated colours by up to two codes, and a network would learn to
# undo that in footage that never had it.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_RATE = 25
_LEAST = 64
"""Pixels along a side: x265 writes beyond its memory when both are 48."""

Picture = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Codec:
    """One kind of video compression, and how bad it gets."""

    encoder: str
    """FFmpeg's name."""
    decoder: str
    """Likewise."""
    good: int
    """Quantiser that leaves a decent picture, in the encoder's own scale; see `scale`."""
    bad: int
    """Quantiser of poor footage, about 100 kbit/s at 640x480."""
    share: float
    """Probability of being drawn, less for slow encoders."""
    scale: str
    """"crf": constant rate factor; "q": fixed quantiser of the MPEG family."""
    options: dict[str, str] = field(default_factory=dict)
    """Passed to the encoder: mostly speed."""
    can_have_b_frames: bool = True


_MPEG = {"g": "250", "sc_threshold": "1000000000", "b": "100000"}
_X264 = {"preset": "superfast", "g": "250", "sc_threshold": "0", "rc-lookahead": "0"}
_X265 = {
    "preset": "ultrafast",
    # x265 writes to the error stream past FFmpeg's log, and starts a pool of threads.
    "x265-params": "log-level=none:pools=none:frame-threads=1:wpp=0:rc-lookahead=3:"
    "scenecut=0:keyint=250:no-info=1",
}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "b": "0", "g": "250"}
KNOWN = {
    "h264": Codec("libx264", "h264", 21, 36, 0.4, "crf", _X264),
    "hevc": Codec("libx265", "hevc", 21, 36, 0.1, "crf", _X265),
    "mpeg2": Codec("mpeg2video", "mpeg2video", 3, 22, 0.15, "q", _MPEG),
    "mpeg4": Codec("mpeg4", "mpeg4", 3, 22, 0.15, "q", _MPEG),
    "vp9": Codec("libvpx-vp9", "vp9", 34, 57, 0.2, "crf", _VP9, can_have_b_frames=False),
}
CODECS = {
    name: codec
    for name, codec in KNOWN.items()
    if {codec.encoder, codec.decoder} <= av.codecs_available
}
"""Those of `KNOWN` that this PyAV was built with."""


def compress(
    frames: Sequence[NDArray[Any]], codec: Codec, quantiser: int, *, has_b_frames: bool = False
) -> list[Bytes]:
    """Encode and decode a clip, in which frames are predicted from others.

    Args:
        frames: (H, W, 3) of one size; uint8, or float in [0, 1].
        codec: Encoder and decoder.
        quantiser: In the codec's own scale; lower is better.
        has_b_frames: Use B frames, where the codec has them.

    Returns:
        uint8, as many frames of the same size.

    Raises:
        TrainingError: A coder refused or lost frames.
    """
    height, width = frames[0].shape[:2]
    clip = [_video_frame(frame, number) for number, frame in enumerate(frames)]
    try:
        decoded = _decode(codec, _encode(codec, clip, quantiser, has_b_frames))
    except FFmpegError as error:
        raise TrainingError(f"{codec.encoder}: {error.strerror}") from error
    if len(decoded) != len(frames):
        raise TrainingError(f"{codec.encoder} lost {len(frames) - len(decoded)} frames")
    return [_pixels(frame)[:height, :width] for frame in decoded]


def _video_frame(picture: NDArray[Any], number: int) -> av.VideoFrame:
    """Convert to 4:2:0 (which needs even sides), limited range, BT.601 matrix."""
    height, width = picture.shape[:2]
    pixels = np.asarray(picture if picture.dtype == np.uint8 else to_bytes(picture), np.uint8)
    below, beside = (max(side + side % 2, _LEAST) - side for side in (height, width))
    padded: Any = cv2.copyMakeBorder(pixels, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
        format="yuv420p",
        interpolation=_EXACT,
        dst_colorspace="ITU601",
        dst_color_range="MPEG",
    )
    frame.pts = number
    return frame


def _pixels(frame: av.VideoFrame) -> Bytes:
    # Decoders say that chroma lies at the left, `_video_frame` put it in the middle: without its
    # tags the frame is read as it was written, not half a chroma sample aside.
    untagged = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    pixels: Any = untagged.reformat(
        format="rgb24",
        interpolation=_EXACT,
        src_colorspace="ITU601",
        src_color_range="MPEG",
    ).to_ndarray()
    return np.asarray(pixels, np.uint8)


def _encode(
    codec: Codec, clip: Sequence[av.VideoFrame], quantiser: int, has_b_frames: bool
) -> list[Any]:
    encoder: Any = av.CodecContext.create(codec.encoder, "w")
    encoder.width, encoder.height = clip[0].width, clip[0].height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, _RATE), Fraction(_RATE)
    encoder.thread_count = 1
    encoder.options = codec.options | _quality(codec, quantiser)
    if codec.can_have_b_frames:
        encoder.options |= {"bf": "2" if has_b_frames else "0"}
    return [packet for frame in [*clip, None] for packet in encoder.encode(frame)]


def _quality(codec: Codec, quantiser: int) -> dict[str, str]:
    if codec.scale == "crf":
        return {"crf": str(quantiser)}
    return {"qmin": str(quantiser), "qmax": str(quantiser)}


def _decode(codec: Codec, packets: Sequence[Any]) -> list[av.VideoFrame]:
    decoder: Any = av.CodecContext.create(codec.decoder, "r")
    decoder.thread_count = 1
    return [frame for packet in [*packets, None] for frame in decoder.decode(packet)]


def to_bytes(picture: NDArray[Any]) -> Bytes:
    """Convert [0, 1] to [0, 255], rounded."""
    codes: Bytes = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return codes


def jpeg(picture: Picture, quality: int, phase: tuple[int, int] = (0, 0)) -> Picture:
    """Encode and decode as JPEG with halved chroma; float (H, W, 3) in [0, 1] to the same.

    Args:
        picture: float (H, W, 3) in [0, 1].
        quality: 1 to 100.
        phase: Where the grid of 8x8 blocks begins, (y, x) in pixels: a face in a frame knows
            nothing of the codec's grid, and a network must not learn one.
    """
    height, width = picture.shape[:2]
    y, x = phase
    padded = cv2.copyMakeBorder(to_bytes(picture), y, 0, x, 0, cv2.BORDER_REFLECT_101)
    good, data = cv2.imencode(".jpg", padded[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise TrainingError("JPEG coder refused a picture")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise TrainingError("JPEG coder wrote what it cannot read")
    cut: Picture = decoded[y : y + height, x : x + width, ::-1].astype(np.float32)
    return cut / np.float32(255)
