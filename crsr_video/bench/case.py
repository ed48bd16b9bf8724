"""Measurement of one case of the benchmark in the current process."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from crsr_video import weights
from crsr_video.bench import peak
from crsr_video.bench.suite import BenchCase, CaseFigures, NetworkSpeed, Speed
from crsr_video.config import Config, NetworkSettings, OutputSettings, ReadSettings
from crsr_video.imaging.masks import window
from crsr_video.io.pictures import picture_of
from crsr_video.io.pyav import Passthrough
from crsr_video.io.reader import Reader
from crsr_video.io.writer import Writer
from crsr_video.machine import peak_mib
from crsr_video.networks import SuperResolver
from crsr_video.networks.costs import count_macs
from crsr_video.pipeline import Pipeline, build
from crsr_video.runner import Runner
from crsr_video.runtime import placement as devices
from crsr_video.runtime.loading import Networks, Predictors, load_networks
from crsr_video.runtime.placement import Placement
from crsr_video.runtime.predictor import Predictor
from crsr_video.stages.base import Stage
from crsr_video.stages.networks import LARGEST_HALF, head_part
from crsr_video.stopwatch import Stopwatch
from crsr_video.types import Crop, Face, Frame, TrackedFrame

_GPU_BATCH = 16
"""Number of crops that the pipeline sends to a GPU in one batch."""
_PRECISIONS = ("fp32", "bf16", "fp16", devices.INT8)


@dataclass(frozen=True, slots=True)
class ComputedCrop:
    """Size of a crop without its headroom, and height and width of the part that is computed."""

    size: int
    height: int
    width: int
    half: bool = False
    """Whether the network for results of half the size runs, see `SuperResolver.at_half_size`."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """CPU time of each stage in milliseconds per frame, and the crops that were enhanced."""

    stages: dict[str, float]
    crops: Counter[ComputedCrop]
    """Number of crops by size and computed part."""
    frames: int


def measure(case: BenchCase, clip: Path) -> CaseFigures:
    """Measure one case. Plain and enhanced runs alternate."""
    networks = load_networks(configuration(case))
    device = networks.placement.device
    plain, enhanced = [], []
    for _ in range(case.runs):
        plain.append(transcode(case, clip))
        enhanced.append(_enhance(case, clip, networks))
    memory, device_memory = peak_mib() or 0.0, device_peak_bytes(device)
    times = [measure_stages(case, clip, networks) for _ in range(case.runs)]
    first = times[0]
    compute_ms = _gpu_compute_ms(networks, first, case.runs)
    return CaseFigures(
        case=case,
        plain=_median(plain),
        enhanced=_median(enhanced),
        stages={name: median(one.stages[name] for one in times) for name in first.stages},
        enhanced_faces=first.crops.total() / first.frames,
        networks=network_speed(case.model, networks, first, compute_ms),
        peak_bytes=round(memory * 2**20),
        device=device_name(device),
        device_bytes=device_memory,
        notices=decoder_notices(case, clip),
    )


def configuration(case: BenchCase) -> Config:
    """Settings of a case."""
    return Config.from_options(
        model=case.model,
        device=case.device,
        precision=case.precision,
        reading=ReadSettings(hwaccel=case.hwaccel),
        output=OutputSettings(codec="libx264", preset=case.preset),
        overwrite=True,
    )


# Runs over a clip --------------------------------------------------------------------------------


class _NoTracker(Stage[Frame, TrackedFrame]):
    """A tracker that finds no faces."""

    def push(self, item: Frame) -> list[TrackedFrame]:
        return [TrackedFrame(item)]


class _NoPaste(Stage[TrackedFrame, Frame]):
    """A paste stage that returns frames unchanged."""

    def push(self, item: TrackedFrame) -> list[Frame]:
        return [item.frame]


def transcode(case: BenchCase, clip: Path) -> Speed:
    """Measure decoding and encoding alone, with the threads and queues that enhancing uses."""
    return _run(case, clip, Pipeline([("track", _NoTracker()), ("paste", _NoPaste())]))


def _enhance(case: BenchCase, clip: Path, networks: Networks) -> Speed:
    with build(configuration(case), networks=networks) as pipeline:
        return _run(case, clip, pipeline)


def _run(case: BenchCase, clip: Path, pipeline: Pipeline) -> Speed:
    config = configuration(case)
    with (
        Reader(clip, settings=config.reading) as reader,
        Writer(output_path(clip), reader.source, config.output, overwrite=True) as writer,
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        Runner(reader, pipeline, writer).run()
        writer.close()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        frames = reader.report.frames
    return Speed(1000 * wall / frames, 1000 * cpu / frames)


def output_path(clip: Path) -> Path:
    """Path of the video that a run writes."""
    return clip.with_suffix(".out.mp4")


def decoder_notices(case: BenchCase, clip: Path) -> tuple[str, ...]:
    """Notices of the decoder when it opens the clip."""
    with Reader(clip, settings=configuration(case).reading) as reader:
        return tuple(reader.report.notes)


def measure_stages(case: BenchCase, clip: Path, networks: Networks) -> StageTimes:
    """Measure the CPU time of each stage while everything runs on one thread."""
    config, clock = configuration(case), Stopwatch(time.process_time)
    output = output_path(clip)
    crops, frames = Counter[ComputedCrop](), 0
    with (
        Reader(clip, threads=1, settings=config.reading) as reader,
        Writer(output, reader.source, config.output, overwrite=True, threads=1) as writer,
        build(config, networks=networks) as pipeline,
    ):
        pipeline.use_clock(time.process_time)
        pipeline.observer = lambda item, _: crops.update(
            _computed(face, face.crop, networks) for face in item.faces if face.crop is not None
        )
        for frame in _enhanced_frames(pipeline, clock.iterate("decode", reader)):
            frames += 1
            with clock("convert"):
                picture_of(frame, reader.source.first, writer.plan.shape)
            with clock("encode"):
                writer.push(frame)
        with clock("encode"):
            writer.close()
        stages = pipeline.statistics.stage_seconds
    # The writer converts every frame again, and that time must not count as encoding.
    clock.seconds["encode"] -= clock.seconds["convert"]
    seconds = {"decode": clock.seconds.pop("decode"), **stages, **clock.seconds}
    return StageTimes({name: 1000 * s / frames for name, s in seconds.items()}, crops, frames)


def _enhanced_frames(pipeline: Pipeline, items: Iterable[Frame | Passthrough]) -> Iterator[Frame]:
    for item in items:
        if isinstance(item, Frame):
            yield from pipeline.push(item)
    yield from pipeline.flush()


# Throughput of the networks ----------------------------------------------------------------------


def network_speed(
    model: str, networks: Networks, times: StageTimes, gpu_ms: float = 0.0
) -> NetworkSpeed:
    """Compute the throughput of the networks from the times of their stages.

    Args:
        model: Name of shipped weights, or path of a file.
        networks: The networks as the pipeline runs them.
        times: Times of the stages.
        gpu_ms: Milliseconds of computing on a GPU for all crops. If 0, the CPU time of the stages
            is used.
    """
    pair = unused_pair(model)
    macs = {
        crop: face_macs(pair, crop.height, crop.width, half=crop.half) * count
        for crop, count in times.crops.items()
    }
    faces, total = times.crops.total(), sum(macs.values())
    cpu_ms = (times.stages["consistify"] + times.stages["super-resolve"]) * times.frames
    method = Predictor(pair.superresolver, networks.placement).method
    limit = peak.measure(networks.placement.device, precision_of(method, networks.placement))
    return NetworkSpeed(
        precision=precision_of(method, networks.placement),
        crop=times.crops.most_common(1)[0][0].size if faces else 0,
        face_macs=total / faces if faces else 0.0,
        achieved=2 * total / ((gpu_ms or cpu_ms) / 1000) if faces else 0.0,
        peak=limit.rate,
        peak_kernel=limit.kernel,
        method=method,
    )


def precision_of(method: str, placement: Placement) -> str:
    """The precision of a backend: fp32, bf16, fp16 or int8.

    Args:
        method: Description of the backend, which begins with its precision.
        placement: Device and precision of the networks.
    """
    name = method.partition(",")[0]
    return name if name in _PRECISIONS else placement.precision


def _computed(face: Face, crop: Crop, networks: Networks) -> ComputedCrop:
    """Return the part of a crop that the networks compute (see `runtime.predictor.Windowed`)."""
    rows = columns = slice(0, crop.size)
    if crop.size >= min(networks.windowed, default=crop.size + 1):
        if face.head is not None:
            rows, columns = window(crop.size, head_part(face.head), crop.headroom)
        elif crop.size in networks.windowed:
            rows, columns = window(crop.size)
    size = crop.size - crop.headroom
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return ComputedCrop(size, height, width, face.enlargement <= LARGEST_HALF)


def unused_pair(model: str) -> weights.NetworkPair:
    """Return networks at the default texture whose layers no run has rewritten yet."""
    return weights.load(model).with_texture(NetworkSettings().texture)


def face_macs(pair: weights.NetworkPair, height: int, width: int, *, half: bool = False) -> int:
    """Count the multiply-adds of both networks for one picture.

    Args:
        pair: The networks.
        height: Height of the picture.
        width: Width of the picture.
        half: Whether to count the network for results of half the size.
    """
    picture, second = torch.zeros(1, 3, height, width), pair.superresolver
    if half and isinstance(second, SuperResolver):
        second = second.at_half_size()
    return sum(count_macs(part, picture) for part in (pair.consistifier, second))


# Memory and the GPU ------------------------------------------------------------------------------


def device_name(device: torch.device) -> str:
    """Name of a GPU, or the kind of any other device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def device_peak_bytes(device: torch.device) -> int:
    """Peak memory of this process's tensors on a GPU since `reset_device_peak`, in bytes."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def reset_device_peak(device: torch.device) -> None:
    """Restart the measurement of `device_peak_bytes`."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def seconds_on(
    device: torch.device, forward: Callable[[Tensor], Tensor], pictures: Tensor
) -> float:
    """Return the elapsed time of a network on a device, until a GPU has completed its work."""
    begin = time.perf_counter()
    forward(pictures)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def chain(predictors: Predictors, *, half: bool = False) -> Callable[[Tensor], Tensor]:
    """Return a function that runs both networks, with values clipped between them."""
    second = predictors.super_resolve_half if half else predictors.super_resolve
    return lambda x: second(predictors.consistify(x).clamp(0, 1))


def _gpu_compute_ms(networks: Networks, times: StageTimes, runs: int) -> float:
    """Return the GPU's computing time for all crops in milliseconds, or 0 without a GPU.

    Copies to and from the GPU are not counted.
    """
    device = networks.placement.device
    if device.type != "cuda":
        return 0.0
    total = 0.0
    predictors = networks.predictors()
    for crop, count in times.crops.items():
        forward = chain(predictors, half=crop.half)
        batch = min(count, _GPU_BATCH)
        images = torch.zeros(batch, 3, crop.size, crop.size, device=device)
        # The first run only warms up.
        seconds = [seconds_on(device, forward, images) for _ in range(1 + runs)][1:]
        total += 1000 * median(seconds) / batch * count
    return total


def _median(speeds: list[Speed]) -> Speed:
    return Speed(median(s.wall_ms for s in speeds), median(s.cpu_ms for s in speeds))
