"""The card that lies beside shipped weights: what they are made of and what to expect."""

import hashlib
import json
from collections import Counter
from pathlib import Path

from crsr_video.errors import TrainingError
from crsr_video.training.export import shipped_tensors
from crsr_video.training.prepare import Prepared, read_index
from crsr_video.training.run import Run

GENERATORS = {
    "sfhq_panels": "made with StyleGAN2",
    "sfhq_t2i_panels": "made with FLUX.1, SDXL and DALL-E 3",
}
"""What drew the synthetic faces of a source, by the name of its folder."""

_METHOD = """\
Networks after "Characteristic Regularisation for Super-Resolving Face Images" (Cheng, Zhu and
Gong, WACV 2020): a consistifier (phi, small face to small face) and a super-resolver (psi, four
times larger). Layers, losses and weights of losses are our reconstruction, not the paper's. One set
of weights serves inputs of 32, 64 and 128 pixels (outputs of 128, 256 and 512)."""

_KINDS = {
    "joint": "both networks together, from pairs made by synthetic, video-like degradation",
    "perceptual": "both networks and a texture head, with feature, identity and adversarial terms",
}

_LIMITS = """\
- A pixel loss invents nothing it is not sure of: skin and hair stay smooth, and a face that is
  blurred beyond recognition comes back as a soft face. With texture it dares more, and may draw
  what was not there.
- Most photographs are frontal portraits of adults, largely officials and civil servants of the
  United States; nearly half of all faces are synthetic, with the habits of their generators.
  Nothing was balanced or counted by age, sex or skin tone, and no figure is given for such
  groups. Profiles, children, masks and hands before faces are rare.
- An enhanced face is an estimate, no evidence: do not use it to identify anybody.
- The degradations (blur, noise, JPEG, five video codecs) are synthetic, and the figures for
  "degraded" input come from the same family. Interlacing, film grain and pictures enlarged by
  earlier tools are not among them; gains there are unknown."""


def write_card(
    weights: Path,
    run: Run,
    faces: Path,
    *,
    figures: Path | None = None,
    hardware: str = "",
    commands: tuple[str, ...] = (),
    int8: str = "",
) -> Path:
    """Write the card as Markdown, beside the weights and under their name.

    Args:    run: that was exported. faces: the pack that they were trained on.
             figures: Markdown of the evaluation command, put in as it is.
             hardware: in words, for readers who would repeat the run.
             commands: that trained, in order.
             int8: what became of measuring them for eight bits, in words.
    Raises:  TrainingError: a file cannot be read or written.
    """
    index = read_index(faces)
    sections = [
        f"# Weights: {weights.stem}",
        _METHOD,
        _facts(weights, run) + (f"\n- int8: {int8}" if int8 else ""),
        "## Data\n\n" + _data_table([entry for entry in index if entry.split == "train"]),
        "No picture is distributed with the weights. They were measured on "
        f"{sum(entry.split == 'val' for entry in index)} faces of other persons.",
        "## Recipe\n\n" + _recipe(run, hardware, commands),
        "## Figures\n\n" + _figures(figures),
        "## Limits and biases\n\n" + _LIMITS,
    ]
    card = weights.with_suffix(".md")
    try:
        card.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"cannot write {card}: {error.strerror}") from error
    return card


def _facts(weights: Path, run: Run) -> str:
    counts = Counter[str]()
    for name, value in shipped_tensors(run).items():
        counts[name.split(".")[0]] += value.numel()
    parameters = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return (
        f"- SHA-256 `{digest}`, {weights.stat().st_size:,} bytes, float16 (run in any precision)\n"
        f"- parameters: {parameters}\n"
        "- licence of the weights: MIT"
    )


def _data_table(entries: list[Prepared]) -> str:
    pictures = Counter((entry.file.split("/")[0], entry.kind, entry.licence) for entry in entries)
    lines = ["| source | kind | pictures | licence |", "|---|---|---:|---|"]
    for (source, kind, licence), count in sorted(pictures.items()):
        drawn = GENERATORS.get(source)
        lines.append(
            f"| {source} | {f'{kind}, {drawn}' if drawn else kind} | {count} | {licence} |"
        )
    return "\n".join(lines)


def _recipe(run: Run, hardware: str, commands: tuple[str, ...]) -> str:
    lines = [_stage(run)]
    if hardware:
        lines.append(f"- trained on {hardware}")
    text = "\n".join(lines)
    return text + ("\n\n```\n" + "\n".join(commands) + "\n```" if commands else "")


def _stage(run: Run) -> str:
    """One run in words, with every setting."""
    settings = {k: v for k, v in run.settings.items() if k not in ("tiers", "size")}
    tiers = ", ".join(
        f"{t['batch']} of {t['face']} px seen {t['patch']} px wide ({t['share']:.0%})"
        for t in run.settings["tiers"]
    )
    return (
        f"- `{run.method}`: {_KINDS.get(run.method, run.method)}. {run.step} of {run.planned} "
        f"planned steps in {run.seconds / 60:.0f} minutes; seed {run.seed}. AdamW, bfloat16. "
        f"Batches: {tiers}. Settings: `{json.dumps(settings)}`"
    )


def _figures(figures: Path | None) -> str:
    if figures is None:
        return "None were measured."
    try:
        return figures.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TrainingError(f"cannot read {figures}: {error.strerror}") from error
