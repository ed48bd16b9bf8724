"""Add compression artifacts to small pictures by encoding and decoding them."""

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
from crsr_video.types import Bytes

# swscale's defaults darken saturated colours by up to two codes, and a network would learn to
# undo that in footage that never had it.
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_RATE = 25
_BUFFERS = 4
"""Inverse of the rate-control buffer's size in seconds: it holds the bits of 1/4 second."""
_LEAST = 64
"""Smallest side in pixels. x265 writes beyond its memory if both sides are 48."""

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Codec:
    """One kind of video compression, and the range of its quality."""

    encoder: str
    decoder: str
    good: int
    """Quantiser of decent footage, in the encoder's own scale."""
    bad: int
    """Quantiser of poor footage, about 100 kbit/s at 640x480."""
    share: float
    """Probability of being drawn. Slow encoders are drawn less often."""
    scale: str
    """"crf" for a constant rate factor, or "q" for a fixed quantiser of the MPEG family."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of the encoder, most of which are for speed."""
    can_have_b_frames: bool = True


_MPEG = {"g": "250", "sc_threshold": "1000000000", "b": "100000"}
_X264 = {"preset": "superfast", "g": "250", "sc_threshold": "0", "rc-lookahead": "0"}
_X265 = {
    "preset": "ultrafast",
    # Without these options, x265 writes to standard error and starts a pool of threads.
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
"""The codecs of `KNOWN` that this build of PyAV has."""


def compress(
    frames: Sequence[NDArray[Any]],
    codec: Codec,
    quantiser: int,
    *,
    has_b_frames: bool = False,
    bits_per_pixel: float | None = None,
) -> list[Bytes]:
    """Encode and decode a clip, in which frames are predicted from others.

    Args:
        frames: (H, W, 3) arrays of one size, either uint8 or float in [0, 1].
        codec: Encoder and decoder.
        quantiser: Quantiser in the codec's own scale. Lower values are better.
        has_b_frames: Use B frames if the codec has them.
        bits_per_pixel: Bit rate of the clip, enforced with a small rate-control buffer. If given,
            the quantiser is ignored.

    Returns:
        The decoded frames as uint8, equal in number and size to the given ones.

    Raises:
        TrainingError: The encoder or the decoder refused or lost frames.
    """
    height, width = frames[0].shape[:2]
    clip = [_video_frame(frame, number) for number, frame in enumerate(frames)]
    area = clip[0].width * clip[0].height
    options = dict(codec.options)
    if bits_per_pixel is not None:
        rate = round(bits_per_pixel * area * _RATE)
        options |= {"b": f"{rate}", "maxrate": f"{rate}", "bufsize": f"{rate // _BUFFERS}"}
    elif codec.scale == "crf":
        options["crf"] = f"{quantiser}"
    else:
        options |= {"qmin": f"{quantiser}", "qmax": f"{quantiser}"}
    if codec.can_have_b_frames:
        options["bf"] = "2" if has_b_frames else "0"
    try:
        decoded = _decode(codec, _encode(codec, clip, options))
    except FFmpegError as error:
        raise TrainingError(f"{codec.encoder}: {error.strerror}") from error
    if len(decoded) != len(frames):
        raise TrainingError(f"{codec.encoder} lost {len(frames) - len(decoded)} frames")
    return [_pixels(frame)[:height, :width] for frame in decoded]


def _video_frame(picture: NDArray[Any], number: int) -> av.VideoFrame:
    """Return a padded frame in limited-range BT.601 4:2:0, which needs even sides."""
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
    # Decoders tag chroma as left-aligned, but `_video_frame` has centred it. Without the tags,
    # chroma is read where it was written, not shifted by half a sample.
    untagged = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    pixels: Any = untagged.reformat(
        format="rgb24",
        interpolation=_EXACT,
        src_colorspace="ITU601",
        src_color_range="MPEG",
    ).to_ndarray()
    return np.asarray(pixels, np.uint8)


def _encode(codec: Codec, clip: Sequence[av.VideoFrame], options: dict[str, str]) -> list[Any]:
    encoder: Any = av.CodecContext.create(codec.encoder, "w")
    encoder.width, encoder.height = clip[0].width, clip[0].height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, _RATE), Fraction(_RATE)
    encoder.thread_count = 1
    encoder.options = options
    return [packet for frame in [*clip, None] for packet in encoder.encode(frame)]


def _decode(codec: Codec, packets: Sequence[Any]) -> list[av.VideoFrame]:
    decoder: Any = av.CodecContext.create(codec.decoder, "r")
    decoder.thread_count = 1
    return [frame for packet in [*packets, None] for frame in decoder.decode(packet)]


def to_bytes(picture: NDArray[Any]) -> Bytes:
    """Convert values in [0, 1] to rounded 8-bit codes."""
    codes: Bytes = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return codes


def jpeg(picture: Picture, quality: int) -> Picture:
    """Encode a picture as JPEG with subsampled chroma, and decode it.

    Args:
        picture: float32 (H, W, 3) in [0, 1].
        quality: Quality on the scale of libjpeg, from 1 to 100.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    _, data = cv2.imencode(
        ".jpg", to_bytes(picture)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    result: Picture = decoded[..., ::-1].astype(np.float32)
    return result / np.float32(255)
