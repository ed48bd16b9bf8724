"""Equal pictures in a row give equal results."""

from fractions import Fraction
from itertools import cycle, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from crsr_video.types import Frame
from tests.contract.harness import enhance
from tests.support.video import picture

SIZE = (96, 80)


def repeated(
    path: Path, codec: str, pix_fmt: str, options: dict[str, str], cadence: tuple[int, ...]
) -> Path:
    """Write a clip of 12 pictures, each shown as often as the cadence says."""
    counts = cycle(cadence)
    numbers = [n for n in range(12) for _ in range(next(counts))]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, 25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
        for index, number in enumerate(numbers):
            frame = picture(number, SIZE, pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def samples(frame: Frame) -> bytes:
    return b"".join(component.tobytes() for component in frame.components)


class Restless:
    """A network whose result depends on how often it was called."""

    def __init__(self) -> None:
        self._noise = np.random.default_rng(5)

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        large = np.repeat(np.repeat(crops, 4, 2), 4, 3)
        return large + self._noise.normal(0, 0.2, large.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"),
    [
        (".mkv", "ffv1", "yuv420p", {}),
        (".avi", "mjpeg", "yuvj420p", {"qmin": "3", "qmax": "3"}),
        (".mp4", "libx264", "yuv420p", {"qp": "0"}),
        (".mov", "prores_ks", "yuv422p10le", {}),
    ],
)
@pytest.mark.parametrize(
    "cadence",
    [(1, 1, 1, 2), (1, 1, 1, 3), (2,), (3, 2)],
    ids=["every fourth", "every fourth twice more", "all", "pulldown"],
)
def test_repeated_pictures_get_equal_results(
    tmp_path: Path,
    suffix: str,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    cadence: tuple[int, ...],
) -> None:
    source = repeated(tmp_path / f"in{suffix}", codec, pix_fmt, options, cadence)
    run = enhance(source, tmp_path / "out.mkv", network=Restless())
    pairs = [
        (samples(c) == samples(d), samples(a) == samples(b))
        for (a, b), (c, d) in zip(pairwise(run.before), pairwise(run.finished), strict=True)
    ]
    assert sum(was_equal for _, was_equal in pairs) == 12 * sum(cadence) // len(cadence) - 12
    assert all(is_equal == was_equal for is_equal, was_equal in pairs)
    assert [f.pts for f in run.finished] == [f.pts for f in run.before]


def test_a_still_picture_goes_on_changing_until_its_faces_are_shown(tmp_path: Path) -> None:
    source = repeated(tmp_path / "in.mkv", "ffv1", "yuv420p", {}, (1, 1, 1, 20))
    run = enhance(source, tmp_path / "out.mkv", network=Restless())
    still = [samples(frame) for frame in run.finished[3:23]]
    assert len(set(still)) == 5
