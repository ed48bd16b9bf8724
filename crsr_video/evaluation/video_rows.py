"""Rows of the video table: means over frames, and over the worst of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation.video_cases import Case
from crsr_video.evaluation.video_measures import Meter, Series
from crsr_video.evaluation.video_methods import baseline

Values = NDArray[np.float64]

WORST = 0.05
"""Share of the frames that the worst are."""
ALL = "all"
"""The group that holds everything."""


@dataclass(frozen=True)
class VideoRow:
    """One method on one group of clips; means over frames and over the worst 5 % of them."""

    group: str
    """Width of the face in the degraded clips, the name of a pair, or `ALL`."""
    method: str
    """`video_methods.baseline` of the scale, or a model."""
    scale: int
    clips: int
    tracks: int
    """Faces, summed over clips."""
    frames: int
    """Faces, summed over frames."""
    psnr: float
    """dB, in the face."""
    psnr_worst: float
    ssim: float
    ssim_worst: float
    identity: float | None
    """Cosine similarity of the face's embedding to the truth's; None: not measured."""
    identity_worst: float | None
    identity_spread: float | None
    """Standard deviation of it over a track, mean over tracks."""
    flicker: float
    """Change between frames that motion does not explain, over the degraded clip's own mean."""
    flicker_worst: float
    """Likewise of the frames that change most, over the same mean."""
    flicker_of_truth: float
    """The same change, over the truth's own."""
    motion: float
    """Step of the landmarks from frame to frame against the truth's step, in distances between
    the eyes."""
    motion_worst: float


def rows_of(
    found: Sequence[tuple[Case, list[Meter]]], names: Sequence[str], scale: int
) -> list[VideoRow]:
    """Sum up by group and method."""
    groups = list(dict.fromkeys(case.group for case, _ in found))
    rows = []
    for group in [*groups, ALL] if len(groups) > 1 else groups:
        part = [(case, m) for case, m in found if group in (case.group, ALL)]
        clips = len({case.clip.name for case, _ in part})
        meters = [m for _, several in part for m in several if m.truth.change]
        rows += [_row(group, name, scale, clips, meters) for name in names]
    return rows


def _row(group: str, name: str, scale: int, clips: int, meters: list[Meter]) -> VideoRow:
    series = [meter.series[name] for meter in meters]
    own = [_relative(m.series[name], m.series[baseline(scale)]) for m in meters]
    true = [_relative(m.series[name], m.truth) for m in meters]
    psnr, ssim = _pooled(series, lambda s: s.psnr), _pooled(series, lambda s: s.ssim)
    same, motion = _pooled(series, lambda s: s.identity), _pooled(series, lambda s: s.motion)
    spread = [float(np.std(s.identity)) for s in series if s.identity]
    return VideoRow(
        group=group,
        method=name,
        scale=scale,
        clips=clips,
        tracks=len(meters),
        frames=len(psnr),
        psnr=_mean(psnr),
        psnr_worst=worst(psnr),
        ssim=_mean(ssim),
        ssim_worst=worst(ssim),
        identity=_mean(same) if len(same) else None,
        identity_worst=worst(same) if len(same) else None,
        identity_spread=_mean(spread) if spread else None,
        flicker=_mean(np.concatenate(own)),
        flicker_worst=worst(np.concatenate(own), high=True),
        flicker_of_truth=_mean(np.concatenate(true)),
        motion=_mean(motion),
        motion_worst=worst(motion, high=True),
    )


def _pooled(series: Iterable[Series], pick: Callable[[Series], list[float]]) -> Values:
    """One measure of all faces together."""
    return np.concatenate([np.array(pick(s), np.float64) for s in series])


def _relative(series: Series, other: Series) -> Values:
    """Changes from frame to frame over another's mean, so that quiet clips count like lively."""
    return np.array(series.change) / max(float(np.mean(other.change)), 1e-6)


def _mean(values: Sequence[float] | Values) -> float:
    return float(np.mean(values))


def worst(values: Values, *, high: bool = False) -> float:
    """Mean of the worst 5 % of values, of one at least.

    Args: high: the highest are the worst, not the lowest.
    """
    count = max(1, round(WORST * len(values)))
    ordered = np.sort(values)
    return float((ordered[-count:] if high else ordered[:count]).mean())


def as_dicts(rows: Sequence[VideoRow]) -> list[dict[str, float | int | str | None]]:
    """For JSON, rounded to what the figures are worth."""
    return [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]


def as_text(rows: Sequence[VideoRow]) -> str:
    """A Markdown table; in brackets the mean of the worst 5 %."""
    lines = [
        "| faces | method | scale | frames | PSNR | SSIM | identity | spread "
        "| flicker | of truth's | motion |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: VideoRow) -> str:
    cells = [
        row.group,
        row.method,
        f"{row.scale}x",
        f"{row.frames}",
        f"{row.psnr:.2f} ({row.psnr_worst:.2f})",
        f"{row.ssim:.3f} ({row.ssim_worst:.3f})",
        _optional(row.identity, f" ({row.identity_worst or 0:.3f})"),
        _optional(row.identity_spread),
        f"{row.flicker:.2f} ({row.flicker_worst:.2f})",
        f"{row.flicker_of_truth:.2f}",
        f"{row.motion:.4f} ({row.motion_worst:.4f})",
    ]
    return f"| {' | '.join(cells)} |"


def _optional(value: float | None, more: str = "") -> str:
    return "" if value is None else f"{value:.3f}{more}"
