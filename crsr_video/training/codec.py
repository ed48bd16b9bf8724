"""What compression does to a small picture: through a real JPEG or H.264 coder and back."""

import io
from collections.abc import Sequence
from typing import Any

import av
import cv2
import numpy as np
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

Picture = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def _to_bytes(picture: Picture) -> Bytes:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _to_float(picture: NDArray[Any]) -> Picture:
    return picture.astype(np.float32) / np.float32(255)


def jpeg(picture: Picture, quality: int, phase: tuple[int, int] = (0, 0)) -> Picture:
    """Through JPEG with halved chroma; float (H, W, 3) in [0, 1] to the same.

    Args: phase: where the grid of 8x8 blocks begins, (y, x) in pixels: a face in a frame knows
          nothing of the codec's grid, and a network must not learn one.
    """
    height, width = picture.shape[:2]
    y, x = phase
    padded = cv2.copyMakeBorder(_to_bytes(picture), y, 0, x, 0, cv2.BORDER_REFLECT_101)
    good, data = cv2.imencode(".jpg", padded[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise TrainingError("JPEG coder refused a picture")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise TrainingError("JPEG coder wrote what it cannot read")
    return _to_float(decoded[y : y + height, x : x + width, ::-1])


def intra_frames(pictures: Sequence[Picture], crf: int) -> list[Picture]:
    """Through H.264 as key frames only; pictures of one size, (H, W, 3) in [0, 1] to the same.

    Args: crf: x264's constant rate factor; 20 is good, 38 is bad.
    """
    height, width = pictures[0].shape[:2]
    # 4:2:0 needs even sides.
    padding = (0, height % 2, 0, width % 2)
    stream = io.BytesIO()
    with av.open(stream, "w", format="h264") as output:
        encoder = output.add_stream("libx264", rate=25)
        encoder.width, encoder.height = width + width % 2, height + height % 2
        encoder.pix_fmt = "yuv420p"
        encoder.thread_count = 1
        encoder.options = {"crf": str(crf), "preset": "veryfast", "g": "1", "bf": "0"}
        for picture in pictures:
            padded = cv2.copyMakeBorder(_to_bytes(picture), *padding, cv2.BORDER_REPLICATE)
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            output.mux(encoder.encode(frame.reformat(format="yuv420p", interpolation=_EXACT)))
        output.mux(encoder.encode(None))
    stream.seek(0)
    with av.open(stream, "r", format="h264") as source:
        source.streams.video[0].thread_count = 1
        frames = [
            frame.reformat(format="rgb24", interpolation=_EXACT).to_ndarray()
            for frame in source.decode(video=0)
        ]
    if len(frames) != len(pictures):
        raise TrainingError("H.264 coder lost frames")
    return [_to_float(frame[:height, :width]) for frame in frames]
