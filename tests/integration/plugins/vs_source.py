"""The sample clip for VapourSynth, without a plug-in that reads files."""

import numpy as np
import vapoursynth as vs
from av.video.frame import VideoFrame

from crsr_video.io import pyav
from tests.integration.plugins import clips

FORMATS = {"yuv420p10le": vs.YUV420P10, "yuv420p": vs.YUV420P8, "gbrp": vs.RGB24}


def portrait(pix_fmt: str, count: int) -> vs.VideoNode:
    """The sample clip's first frames, BT.709."""
    pictures = []
    for rgb in clips.portrait(count):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
        matrix = {} if pix_fmt == "gbrp" else {"dst_colorspace": "ITU709", "dst_color_range": 1}
        frame = frame.reformat(format=pix_fmt, **matrix)
        pictures.append([np.array(plane) for plane in pyav.views(frame)])
    height, width = pictures[0][0].shape
    blank = vs.core.std.BlankClip(
        width=width, height=height, format=FORMATS[pix_fmt], length=count, keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        result = f.copy()
        for index, plane in enumerate(pictures[n]):
            np.copyto(np.asarray(result[index]), plane)
        return result

    filled = blank.std.ModifyFrame(blank, fill)
    return filled if pix_fmt == "gbrp" else filled.std.SetFrameProps(_Matrix=1, _Range=0)
