"""The table: every tier, on artificial and on video-like input, against bicubic enlargement."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from crsr_video.evaluation.metrics import face_region, psnr, ssim
from crsr_video.evaluation.samples import INPUTS, TIERS, Sample, samples
from crsr_video.networks import Bicubic


@dataclass(frozen=True)
class Row:
    """Means over the faces of one tier and kind of input."""

    tier: int
    input: str
    faces: int
    bicubic_psnr: float
    """dB, over the face region."""
    psi_psnr: float
    """The super-resolver alone."""
    crsr_psnr: float
    """Consistifier, then super-resolver."""
    gain: float
    """crsr_psnr - bicubic_psnr, dB."""
    bicubic_ssim: float
    psi_ssim: float
    crsr_ssim: float
    better: float
    """Share of faces that are nearer the truth than bicubic enlargement, by PSNR."""


def methods(consistifier: nn.Module, superresolver: nn.Module) -> dict[str, nn.Module]:
    """What is compared, LR to HR, by name."""
    return {
        "bicubic": Bicubic(),
        "psi": superresolver,
        "crsr": nn.Sequential(consistifier, superresolver),
    }


@torch.inference_mode()
def measure(
    networks: dict[str, nn.Module],
    folder: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    bf16: bool = False,
    each: Callable[[Sample], None] = lambda _: None,
) -> list[Row]:
    """Run every method on every face.

    Args: networks: by the names of `methods`.
          bf16: run the networks in bfloat16, as live use does.
          each: called for every face done, for progress.
    """
    rows: list[Row] = []
    for tier in TIERS:
        scores: dict[str, list[dict[str, tuple[float, float]]]] = {kind: [] for kind in INPUTS}
        for sample in samples(folder, tier, limit, seed):
            for kind in INPUTS:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    made = {name: net(sample.inputs[kind]) for name, net in networks.items()}
                scores[kind].append({n: score(p, sample.truth) for n, p in made.items()})
            each(sample)
        rows.extend(_row(tier, kind, scores[kind]) for kind in INPUTS)
    return rows


def score(prediction: Tensor, truth: Tensor) -> tuple[float, float]:
    """PSNR in dB and SSIM of one picture over the face region."""
    x, y = face_region(prediction.float()), face_region(truth)
    return psnr(x, y).item(), ssim(x, y).item()


def _row(tier: int, kind: str, scores: list[dict[str, tuple[float, float]]]) -> Row:
    values = {name: np.array([s[name] for s in scores]) for name in ("bicubic", "psi", "crsr")}
    mean = {name: value.mean(0) for name, value in values.items()}
    gains = values["crsr"][:, 0] - values["bicubic"][:, 0]
    return Row(
        tier=tier,
        input=kind,
        faces=len(scores),
        bicubic_psnr=float(mean["bicubic"][0]),
        psi_psnr=float(mean["psi"][0]),
        crsr_psnr=float(mean["crsr"][0]),
        gain=float(gains.mean()),
        bicubic_ssim=float(mean["bicubic"][1]),
        psi_ssim=float(mean["psi"][1]),
        crsr_ssim=float(mean["crsr"][1]),
        better=float((gains > 0).mean()),
    )


def as_dicts(rows: list[Row]) -> list[dict[str, float | int | str]]:
    """For JSON, rounded to what the figures are worth."""
    return [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
        for row in rows
    ]


def as_text(rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [
        "| tier | input | faces | bicubic | psi | psi(phi) | gain | better "
        "| SSIM bicubic | SSIM psi(phi) |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.tier} | {r.input} | {r.faces} | {r.bicubic_psnr:.2f} | {r.psi_psnr:.2f} "
        f"| {r.crsr_psnr:.2f} | {r.gain:+.2f} | {r.better:.0%} "
        f"| {r.bicubic_ssim:.3f} | {r.crsr_ssim:.3f} |"
        for r in rows
    ]
    return "\n".join(lines)
