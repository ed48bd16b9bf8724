"""Interlaced clips whose two fields show different moments."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from crsr_video.io import pyav
from tests.support.video import fill

SIZE = (96, 96)
FIELDS = {"top": "tff", "bottom": "bff"}


def woven(number: int, first: str) -> VideoFrame:
    """Return an interlaced frame of a disc that moves 6 pixels from field to field."""
    frame = pyav.blank(*SIZE, "yuv420p")
    fill(frame, (60, 120, 130))
    luma = pyav.views(frame)[0]
    for parity in (0, 1):
        late = parity != (0 if first == "top" else 1)
        moment = np.full(SIZE[::-1], 60, np.uint8)
        cv2.circle(moment, (30 + 6 * (2 * number + late), 46), 20, 190, -1)
        luma[parity::2] = moment[parity::2]
    graph = Graph()
    source = graph.add_buffer(width=96, height=96, format=frame.format, time_base=Fraction(1, 25))
    field, sink = graph.add("setfield", f"mode={FIELDS[first]}"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    source.push(frame)
    marked = sink.pull()
    assert isinstance(marked, VideoFrame)
    return marked


def interlaced_clip(path: Path, first: str, codec: str = "ffv1") -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, 25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        flags = av.codec.context.Flags
        if codec != "ffv1":
            stream.codec_context.flags |= flags.interlaced_dct | flags.interlaced_me
            stream.codec_context.options = {"qp": "1"} if codec == "libx264" else {}
        stream.codec_context.field_order = 2 if first == "top" else 3
        for number in range(4):
            frame = woven(number, first)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
