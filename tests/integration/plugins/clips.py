"""Small lossless clips of a real face in many colour formats, and functions that read videos."""

import subprocess
from fractions import Fraction
from functools import lru_cache
from itertools import islice

import av
import numpy as np
from av.video.frame import VideoFrame

from crsr_video.io import pictures as conversion
from crsr_video.io import pyav
from tests.support.paths import PORTRAIT

MATRICES = {"bt601": (6, "ITU601"), "bt709": (1, "ITU709")}
SECONDS = 240.0


@lru_cache(maxsize=4)
def portrait(count):
    """Return the first frames of the sample clip as RGB, (N, H, W, 3)."""
    with av.open(str(PORTRAIT)) as file:
        frames = islice(file.decode(video=0), count)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def fitted(picture, width, height):
    """Return a picture at another size."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    return frame.reformat(width, height).to_ndarray(format="rgb24")


def write(path, pictures, *, pix_fmt="yuv420p", matrix="bt709", full=False, rate=25, pts=None):
    """Write pictures as a lossless video with all colour tags, and return its path."""
    code, name = MATRICES[matrix]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate, options={"level": "3"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = Fraction(1, 1000)
        context = stream.codec_context
        context.color_range, context.colorspace = 2 if full else 1, code
        context.color_primaries = context.color_trc = code
        for number, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if not pix_fmt.startswith("gbr"):
                frame = frame.reformat(
                    format=pix_fmt, dst_colorspace=name, dst_color_range=2 if full else 1
                )
            else:
                frame = frame.reformat(format=pix_fmt)
            frame.color_range, frame.colorspace = 2 if full else 1, code
            frame.color_primaries = frame.color_trc = code
            frame.pts = pts[number] if pts else round(1000 * number / rate)
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def read(path):
    """Return the components of every frame of a video, as integers."""
    with av.open(str(path)) as file:
        return [
            tuple(np.array(plane, np.int32) for plane in pyav.views(frame))
            for frame in file.decode(video=0)
        ]


def times(path):
    """Return the presentation times in seconds, counted from the first frame."""
    with av.open(str(path)) as file:
        found = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    return [float(time - found[0]) for time in found]


def rgb(path):
    """Return every frame as RGB, converted with the matrix of the video."""
    with av.open(str(path)) as file:
        return [conversion.as_rgb(conversion.from_av(frame)) for frame in file.decode(video=0)]


def psnr(one, other, top=255):
    """Return the PSNR of the worst component of the worst frame in dB."""
    assert len(one) == len(other)
    errors = [
        np.mean((a - b) ** 2.0)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    return 10 * np.log10(top**2 / max(*errors, 1e-9))


def run(words, *, env=None, cwd=None, check=True, seconds=SECONDS):
    """Run a program without standard input."""
    done = subprocess.run(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=env,
        cwd=cwd,
    )
    assert not check or done.returncode == 0, done.stderr
    return done
