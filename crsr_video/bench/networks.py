"""The networks by themselves: batches of faces through both, as the pipeline runs them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import numpy as np
import torch

from crsr_video import weights
from crsr_video.bench import contenders, crops, peak, transfers
from crsr_video.bench.arithmetic import count_macs
from crsr_video.bench.contenders import Contender, Images
from crsr_video.bench.measure import device_bytes, forget_device_bytes, name_of
from crsr_video.bench.network_figures import NetworkFigures, Wanted
from crsr_video.config import Config
from crsr_video.errors import BenchError
from crsr_video.export.modules import reference
from crsr_video.pipeline import Networks, load_networks

_LEAST = 0.05
"""Seconds for which the clock runs: a small batch is repeated."""
_FLOWING = 8
"""Batches in a row at least, where copies of one go beside another's computing."""
_COMPARED = 4
"""Faces of a batch whose result is compared with that of plain fp32."""


def measure(
    wanted: Wanted, *, on_batch: Callable[[str], None] = lambda _: None
) -> list[NetworkFigures]:
    """Measure; contenders take turns with every batch.

    Args:   on_batch: told what comes next, in words.
    Raises: BenchError: a batch does not fit into memory, or another program is not there.
            DeviceError, WeightsError, ExportError.
    """
    rows: list[NetworkFigures] = []
    peaks: dict[str, peak.Peak] = {}
    for model in wanted.models:
        config = Config.from_options(model=model, device=wanted.device, precision=wanted.precision)
        # Whole crops, as others compute them, though the pipeline leaves out what is not used.
        networks = replace(load_networks(config), windowed=())
        with contenders.rivals(wanted.against, model, networks) as others:
            match = _Match(model, networks, [contenders.ours(networks), *others], peaks)
            for side in wanted.sides:
                for batch in wanted.batches:
                    on_batch(f"{model}, {batch} x {side} px")
                    with _memory_told(batch, side, networks):
                        rows += match.play(side, batch, wanted.runs)
    return rows


class _Match:
    """One model, and all who compute it.

    Args: peaks: those that are known already, by precision.
    """

    def __init__(
        self,
        model: str,
        networks: Networks,
        players: list[Contender],
        peaks: dict[str, peak.Peak],
    ) -> None:
        self._model, self._networks, self._players = model, networks, players
        self._device, self._peaks = networks.placement.device, peaks
        self._plain = weights.load(model)  # anew: what runs may have been rewritten for speed

    def play(self, side: int, batch: int, runs: int) -> list[NetworkFigures]:
        """A row for each contender."""
        images = crops.pictures(batch, side)
        forget_device_bytes(self._device)
        results = [player.run(images) for player in self._players]  # warms up, too
        repeats = [_repeats(player, images) for player in self._players]
        taken: list[list[tuple[float, float]]] = [[] for _ in self._players]
        for _ in range(runs):
            for player, times, count in zip(self._players, taken, repeats, strict=True):
                times.append(_timed(player, images, count))
        compared = len(self._players) > 1
        return [
            self._row(player, side, batch, times, self._psnr(images, result) if compared else None)
            for player, times, result in zip(self._players, taken, results, strict=True)
        ]

    def _row(
        self,
        player: Contender,
        side: int,
        batch: int,
        times: list[tuple[float, float]],
        psnr: float | None,
    ) -> NetworkFigures:
        wall, cpu = (1000 * median(one) for one in zip(*times, strict=True))
        parts = (self._plain.consistifier, self._plain.superresolver)
        macs = sum(count_macs(part, side) for part in parts)
        held = device_bytes(self._device)
        precision = player.precision(side)
        limit = self._peak(precision)
        spent = cpu if self._device.type == "cpu" else wall
        apart = None
        if player.forward is not None:
            images = crops.pictures(batch, side)
            apart = transfers.measure(player.forward, self._device, images, len(times))
        return NetworkFigures(
            model=self._model,
            runner=player.name,
            way=player.way,
            precision=precision,
            device=name_of(self._device),
            threads=contenders.threads_of(self._networks),
            side=side,
            batch=batch,
            ms=wall,
            cpu_ms=cpu,
            face_macs=macs,
            achieved=2 * macs * batch / (spent / 1000),
            peak=limit.rate,
            peak_kernel=limit.kernel,
            upload_ms=apart.upload_ms if apart else None,
            compute_ms=apart.compute_ms if apart else None,
            download_ms=apart.download_ms if apart else None,
            device_bytes=held,
            psnr=psnr,
        )

    def _peak(self, precision: str) -> peak.Peak:
        if precision not in self._peaks:
            self._peaks[precision] = peak.measure(self._device, precision)
        return self._peaks[precision]

    @torch.inference_mode()
    def _psnr(self, images: Images, result: Images) -> float:
        few = torch.from_numpy(images[:_COMPARED])
        expected = reference(self._plain, "pair", few).numpy()
        error = float(np.mean((expected - result[:_COMPARED]).astype(np.float64) ** 2))
        return -10 * math.log10(max(error, 1e-12))


def _timed(player: Contender, images: Images, repeats: int) -> tuple[float, float]:
    """Seconds and CPU seconds of one batch."""
    wall, cpu = time.perf_counter(), time.process_time()
    if player.flow is not None:
        player.flow(images, repeats)
    else:
        for _ in range(repeats):
            player.run(images)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / repeats, max(cpu, 1e-9) / repeats


def _repeats(player: Contender, images: Images) -> int:
    seconds, _ = _timed(player, images, 1)
    least = _FLOWING if player.flow is not None else 1
    return max(least, math.ceil(_LEAST / max(seconds, 1e-6)))


@contextmanager
def _memory_told(batch: int, side: int, networks: Networks) -> Iterator[None]:
    """Raises: BenchError: a batch does not fit into memory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        device = name_of(networks.placement.device)
        told = f"{batch} crops of {side} pixels do not fit into the memory of {device}"
        raise BenchError(told) from error
