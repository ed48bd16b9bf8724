"""Measure the network for whole frames.

On pictures that are degraded, it is compared with Lanczos enlargement. On videos, the flicker of
its results is measured.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crsr_video import weights
from crsr_video.errors import InputError
from crsr_video.evaluation.models import STLPIPS
from crsr_video.evaluation.samples import FIXED
from crsr_video.evaluation.video_measures import FlickerMeasurement, Steadiness, flow_between
from crsr_video.formatting import markdown_table
from crsr_video.imaging.psnr import psnr
from crsr_video.imaging.resampling import sample
from crsr_video.imaging.upscaling import enlarge
from crsr_video.io.pictures import as_rgb, from_rgb
from crsr_video.io.reader import Reader
from crsr_video.networks import BackgroundNetwork
from crsr_video.runtime.loading import BackgroundPredictor
from crsr_video.runtime.placement import place
from crsr_video.stages.background import Background
from crsr_video.training.prepare import picture_files, read_picture
from crsr_video.training.session import read_run
from crsr_video.types import Bytes, FloatPicture, Frame

INPUTS = ("clean", "mild", "H.264 crf 33")
"""Keys of `FIXED`."""
_MULTIPLE = 8
"""Sides of the measured pictures are multiples of this, so that they shrink evenly."""
_LARGEST = 256
"""Largest side of the measured pictures. ST-LPIPS takes most of the time."""
_MEGAPIXEL = 1024
"""Side of the picture with which the time is measured."""


_TILE = 192
"""Side in pixels of the tiles of a frame whose motion and flicker are measured."""


@dataclass(frozen=True)
class BackgroundFlicker:
    """Results for one video at scale 1, relative to the video itself."""

    flicker: float
    """Change from frame to frame that motion does not explain."""
    flicker_at_equal_sharpness: float
    gain: float
    """RMS of the fine detail."""
    milliseconds: float
    """CPU time for each frame."""


@dataclass(frozen=True)
class BackgroundRow:
    """Means over all pictures for one scale and one degradation."""

    scale: int
    input: str
    pictures: int
    lanczos_psnr: float
    """PSNR in dB of the Lanczos enlargement or, at scale 1, of the input itself."""
    psnr: float
    lanczos_stlpips: float
    stlpips: float
    milliseconds: float
    """CPU time of the treatment of a source of 1024 x 1024 pixels."""


def measure(
    pictures: Path, model: Path | None = None, limit: int | None = None
) -> list[BackgroundRow]:
    """Degrade pictures, restore them, and compare both results with the truth.

    Args:
        pictures: Folder of pictures that were not used in training. A square in the middle of
            each is measured.
        model: A training run or a safetensors file. Defaults to the shipped weights.
        limit: Maximum number of pictures.

    Raises:
        InputError: There is no picture.
        TrainingError: The run cannot be read.
        WeightsError: The weights cannot be used.
    """
    truths = list(_squares(picture_files(pictures)[:limit]))
    if not truths:
        raise InputError(f"{pictures}: there is no picture to measure on")
    background = Background(BackgroundPredictor(_network(model), place()))
    judge = STLPIPS.load()
    return [
        _row(background, judge, truths, scale, name, milliseconds)
        for scale in BackgroundNetwork.factors
        for milliseconds in [_milliseconds(background, scale)]
        for name in INPUTS
    ]


def measure_flicker(
    video: Path, model: Path | None = None, frames: int | None = None
) -> BackgroundFlicker:
    """Treat a video at scale 1, and measure its flicker in tiles.

    Args:
        video: The video.
        model: A training run or a safetensors file. Defaults to the shipped weights.
        frames: Number of frames. Defaults to one second of 25 frames.

    Raises:
        InputError: The video cannot be read, or is too small or too short.
    """
    background = Background(BackgroundPredictor(_network(model), place()))
    tiles: dict[tuple[int, int], _Tile] = defaultdict(_Tile)
    spent: list[float] = []
    with Reader(video) as reader:
        for frame in islice(_frames(reader), frames or 25):
            begin = time.process_time()
            done = background.treat(frame, frame)
            spent.append(time.process_time() - begin)
            before, after = (_as_floats(picture) for picture in (frame, done))
            for y in range(0, frame.height - _TILE + 1, _TILE):
                for x in range(0, frame.width - _TILE + 1, _TILE):
                    where = slice(y, y + _TILE), slice(x, x + _TILE)
                    tiles[y, x].push(before[where], after[where])
    used = [tile.series for tile in tiles.values() if tile.series["before"].change]
    if not used:
        raise InputError(f"{video}: too small, too short or too restless to measure flicker")
    # Tiles count by their flicker and detail, as if the whole frame were one picture.
    change = {name: sum(np.mean(tile[name].change) for tile in used) for name in used[0]}
    equal = sum(np.mean(tile["after"].equal_change) for tile in used)
    detail = {name: sum(np.mean(tile[name].detail) for tile in used) for name in used[0]}
    return BackgroundFlicker(
        float(change["after"] / change["before"]),
        float(equal / change["before"]),
        float(np.sqrt(detail["after"] / detail["before"])),
        1e3 * float(np.mean(spent)),
    )


def flicker_as_text(row: BackgroundFlicker) -> str:
    """Return the flicker of a video as a Markdown table."""
    header = ["flicker", "equally sharp", "gain", "ms/frame"]
    values = (row.flicker, row.flicker_at_equal_sharpness, row.gain)
    return markdown_table(header, [[*(f"{v:.3f}" for v in values), f"{row.milliseconds:.0f}"]], ())


class _Tile:
    """A part of the frame, before and after."""

    def __init__(self) -> None:
        self.series = {"before": Steadiness(), "after": Steadiness()}
        self._measurement = FlickerMeasurement("before")
        self._previous: FloatPicture | None = None

    def push(self, before: FloatPicture, after: FloatPicture) -> None:
        """Measure the next frame."""
        previous, self._previous = self._previous, before
        flow = None if previous is None else flow_between(previous, before)
        self._measurement.push(self.series, {"before": before, "after": after}, flow)


def _frames(reader: Reader) -> Iterator[Frame]:
    return (item for item in reader if isinstance(item, Frame))


def _as_floats(frame: Frame) -> FloatPicture:
    return sample(frame, np.eye(2, 3), frame.width, frame.height).clip(0, 1)


def as_text(rows: Sequence[BackgroundRow]) -> str:
    """Return the rows as a Markdown table."""
    header = ["scale", "input", "PSNR before", "after", "ST-LPIPS before", "after", "ms/megapixel"]
    cells = [
        [
            str(row.scale),
            row.input,
            f"{row.lanczos_psnr:.2f}",
            f"{row.psnr:.2f} ({row.psnr - row.lanczos_psnr:+.2f})",
            f"{row.lanczos_stlpips:.3f}",
            f"{row.stlpips:.3f}",
            f"{row.milliseconds:.0f}",
        ]
        for row in rows
    ]
    return markdown_table(header, cells, (0, 1))


def _network(model: Path | None) -> BackgroundNetwork:
    if model is None or model.suffix == ".safetensors":
        return weights.load_background(model)
    network = read_run(model).average("background")
    assert isinstance(network, BackgroundNetwork)
    return network


def _squares(files: Sequence[Path]) -> Iterator[Tensor]:
    """Yield the middle of each readable picture, (1, 3, S, S) in [0, 1]."""
    for file in files:
        picture = read_picture(file)
        if picture is None:
            continue
        side = min(*picture.shape[:2], _LARGEST) // _MULTIPLE * _MULTIPLE
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        square = np.ascontiguousarray(picture[top : top + side, left : left + side])
        yield torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255


def _milliseconds(background: Background, scale: int) -> float:
    """Return the CPU time of the treatment of a megapixel: the shorter one of two runs."""
    noise = np.random.default_rng(0).integers(0, 256, (_MEGAPIXEL, _MEGAPIXEL, 3), np.uint8)
    frame = from_rgb(noise, 0)
    large, times = enlarge(frame, scale, "cubic"), []
    for _ in range(2):
        background.reset()
        begin = time.process_time()
        background.treat(frame, large)
        times.append(time.process_time() - begin)
    return 1e3 * min(times)


def _row(
    background: Background,
    judge: STLPIPS,
    truths: Sequence[Tensor],
    scale: int,
    name: str,
    milliseconds: float,
) -> BackgroundRow:
    values = []
    for number, truth in enumerate(truths):
        small = FIXED[name](truth, np.random.default_rng(number), scale)
        frame = from_rgb(_as_bytes(small), number)
        before = enlarge(frame, scale)
        background.reset()
        after = background.treat(frame, enlarge(frame, scale, "cubic"))
        features = judge.features(truth)
        results = [_as_tensor(as_rgb(done)) for done in (before, after)]
        values.append(
            [float(psnr(result, truth)) for result in results]
            + [float(judge(result, features)) for result in results]
        )
    old_psnr, new_psnr, old_stlpips, new_stlpips = map(float, np.mean(values, axis=0))
    return BackgroundRow(
        scale, name, len(truths), old_psnr, new_psnr, old_stlpips, new_stlpips, milliseconds
    )


def _as_bytes(picture: Tensor) -> Bytes:
    return picture[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().contiguous().numpy()


def _as_tensor(picture: Bytes) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
