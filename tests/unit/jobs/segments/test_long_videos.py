"""Long videos need no more memory than short ones: ``pytest -m long``, see CRSR_LONG_MINUTES."""

import os
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from crsr_video.api import enhance
from crsr_video.config import Config, OutputSettings
from crsr_video.runner import Progress
from tests.support.paths import PORTRAIT

MINUTES = float(os.environ.get("CRSR_LONG_MINUTES", "60"))
RATE = 25
SIZE = (128, 96)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of drifting noise that shows a face for three of every ten seconds."""
    path = tmp_path_factory.mktemp("long") / "film.mkv"
    rng = np.random.default_rng(1)
    drifting = rng.integers(60, 200, (SIZE[1] * 3 // 2, 2 * SIZE[0]), np.uint8)
    with av.open(str(PORTRAIT)) as clip:
        box = slice(60, 252), slice(192, 448)  # The face and what is around it.
        faces = [
            av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame.to_ndarray(format="rgb24")[box]), "rgb24"
            ).reformat(*SIZE, "yuv420p")
            for frame in islice(clip.decode(video=0), 3 * RATE)
        ]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", RATE, options={"preset": "ultrafast", "crf": "30"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.codec_context.gop_size = 250
        for number in range(round(MINUTES * 60 * RATE)):
            place = number % (10 * RATE)
            left = number % SIZE[0]
            noise = np.ascontiguousarray(drifting[:, left : left + SIZE[0]])
            frame = (
                faces[place] if place < len(faces) else av.VideoFrame.from_ndarray(noise, "yuv420p")
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


class Gauge:
    """Thread that samples resident memory and open files."""

    def __init__(self, every: int) -> None:
        self._every = every
        self.samples: list[tuple[int, float, int]] = []
        """Finished frames, MiB of memory, open files."""

    def __call__(self, state: Progress) -> None:
        if state.frames % self._every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            mebibytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
            self.samples.append(
                (state.frames, mebibytes, len(list(Path("/proc/self/fd").iterdir())))
            )

    def check_steady(self) -> None:
        """Check that memory and files do not grow from the second quarter to the second half."""
        count = len(self.samples)
        for column, slack in ((1, 12.0), (2, 2.0)):
            values = [float(sample[column]) for sample in self.samples]
            earlier, later = values[count // 4 : count // 2], values[count // 2 :]
            assert max(later) <= max(earlier) + slack, self.samples


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
def test_memory_and_open_files_stay_constant(
    resume: bool, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gauge = Gauge(every=max(1, round(MINUTES * 60 * RATE / 60)))
    config = Config.from_options(
        model="identity",
        precision="fp32",
        min_face=12,
        resume=resume,
        output=OutputSettings(preset="ultrafast"),
    )
    summary = enhance(film, tmp_path / "out.mkv", config=config, on_progress=gauge)
    with capsys.disabled():
        for sample in gauge.samples:
            print("frames {} MiB {:.0f} files {}".format(*sample), file=sys.stderr)
    assert summary.statistics.frames == round(MINUTES * 60 * RATE)
    assert summary.statistics.faces > 0
    gauge.check_steady()
