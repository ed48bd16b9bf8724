"""The card that lies beside shipped weights: what they are made of and what to expect."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crsr_video.training.prepare import Prepared, read_index
from crsr_video.training.state import State
from crsr_video.training.train import Recipe

GENERATORS = {
    "sfhq_panels": "made with StyleGAN2",
    "sfhq_t2i_panels": "made with FLUX.1, SDXL and DALL-E 3",
}
"""What drew the synthetic faces of a source, by the name of its folder."""

_METHOD = """\
Two networks after "Characteristic Regularisation for Super-Resolving Face Images" (Cheng, Zhu and
Gong, WACV 2020): a consistifier (phi, small face to small face) and a super-resolver (psi, four
times larger). Layers, losses and weights of losses are our reconstruction, not the paper's; here
both are trained on pairs made by synthetic degradation, without an adversarial term. One pair of
weights serves inputs of 32, 64 and 128 pixels (outputs of 128, 256 and 512)."""

_LIMITS = """\
- Trained on still pictures only; nothing in training rewards steadiness over time.
- A pixel loss invents nothing it is not sure of: skin and hair stay smooth, and a face that is
  blurred beyond recognition comes back as a soft face.
- Most photographs are frontal portraits of adults, largely officials and civil servants of the
  United States; nearly half of all faces are synthetic, with the habits of their generators.
  Nothing was balanced or counted by age, sex or skin tone, and no figure is given for such
  groups. Profiles, children, masks and hands before faces are rare.
- A grey face whose video carries colour planes may take on a faint tint when it is very degraded.
- An enhanced face is an estimate, no evidence: do not use it to identify anybody.
- The degradations (blur, noise, JPEG, H.264 key frames) are synthetic, and the figures for
  "degraded" input come from the same family. Interlacing, film grain, frames predicted from
  others and pictures enlarged by earlier tools are not among them; gains there are unknown."""


def write_card(
    weights: Path,
    state: State,
    prepared: Path,
    *,
    figures: dict[str, Any] | None = None,
    hardware: str = "",
    command: str = "",
) -> tuple[Path, Path]:
    """Write the card as Markdown and as JSON, beside the weights and under their name.

    Args:    figures: what the evaluation command wrote with --json.
             hardware: in words, for readers who would repeat the run.
             command: the one that trained.
    Returns: the two files.
    """
    facts = _facts(weights, state, prepared)
    facts |= {"figures": figures or {}, "hardware": hardware, "command": command}
    text, data = weights.with_suffix(".md"), weights.with_suffix(".json")
    data.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    text.write_text(as_markdown(facts), encoding="utf-8")
    return text, data


def _facts(weights: Path, state: State, prepared: Path) -> dict[str, Any]:
    index = read_index(prepared)
    return {
        "name": weights.stem,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "bytes": weights.stat().st_size,
        "parameters": {
            name: sum(p.numel() for p in network.parameters())
            for name, network in state.average.named_children()
        },
        "licence": "MIT",
        "sources": _sources([entry for entry in index if entry.split == "train"]),
        "validation_faces": sum(entry.split == "val" for entry in index),
        "recipe": asdict(Recipe()),
        "seed": state.seed,
        "steps": state.step,
        "planned_steps": state.planned,
        "minutes": round(state.seconds / 60, 1),
    }


def _sources(entries: list[Prepared]) -> list[dict[str, Any]]:
    """What each source gave, by the first folder of its files."""
    pictures = Counter((entry.file.split("/")[0], entry.kind, entry.licence) for entry in entries)
    return [
        {
            "source": source,
            "kind": kind,
            "pictures": count,
            "licence": licence,
            "generator": GENERATORS.get(source, ""),
        }
        for (source, kind, licence), count in sorted(pictures.items())
    ]


def as_markdown(facts: dict[str, Any]) -> str:
    """The card for people."""
    parameters = facts["parameters"]
    sections = [
        f"# Weights: {facts['name']}",
        _METHOD,
        f"- SHA-256 `{facts['sha256']}`, {facts['bytes']:,} bytes, float16 (run in any precision)\n"
        f"- parameters: consistifier {parameters['consistifier']:,}, "
        f"super-resolver {parameters['superresolver']:,}\n"
        f"- licence of the weights: {facts['licence']}",
        "## Data\n\n" + _data_table(facts["sources"]),
        "No picture is distributed with the weights. They were measured on "
        f"{facts['validation_faces']} faces of other persons.",
        "## Recipe\n\n" + _recipe(facts),
        "## Figures\n\n" + _figures(facts["figures"]),
        "## Limits and biases\n\n" + _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def _data_table(sources: list[dict[str, Any]]) -> str:
    lines = ["| source | kind | pictures | licence |", "|---|---|---:|---|"]
    for s in sources:
        kind = f"{s['kind']}, {s['generator']}" if s["generator"] else s["kind"]
        lines.append(f"| {s['source']} | {kind} | {s['pictures']} | {s['licence']} |")
    return "\n".join(lines)


def _recipe(facts: dict[str, Any]) -> str:
    recipe = facts["recipe"]
    lines = [
        f"- {facts['steps']} of {facts['planned_steps']} planned steps in {facts['minutes']} "
        f"minutes{' on ' + facts['hardware'] if facts['hardware'] else ''}; seed {facts['seed']}",
        f"- AdamW, learning rate {recipe['peak']:g} to {recipe['floor']:g} (warm-up, cosine), "
        f"moving average {recipe['decay']:g}, gradient norm at most {recipe['clip']:g}, bfloat16",
        "- Charbonnier loss on psi(phi(d)), psi(a) and psi(phi(a)) at high resolution, on phi(d) "
        "and phi(a) at low resolution (d degraded, a artificial input); weights "
        "{degraded:g}, {clean:g} for both of a, {toward:g}, {keep:g}".format(
            degraded=1, **recipe["weights"]
        ),
        *(
            f"- batches of {t['batch']} from {t['face']}-pixel faces, {t['patch']} pixels wide: "
            f"{t['share']:.0%}"
            for t in recipe["tiers"]
        ),
    ]
    if facts["command"]:
        lines.append(f"\n```\n{facts['command']}\n```")
    return "\n".join(lines)


def _figures(figures: dict[str, Any]) -> str:
    """The table in short; empty until the weights have been measured."""
    if not figures:
        return "Not measured yet."
    lines = [
        "PSNR in dB over the face region of the validation faces; the last column is the gain of",
        "psi(phi(input)) over bicubic enlargement; psi is the super-resolver alone.",
        "",
        "| tier | input | faces | bicubic | psi | psi(phi) | gain |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['tier']} | {r['input']} | {r['faces']} | {r['bicubic_psnr']:.2f} "
        f"| {r['psi_psnr']:.2f} | {r['crsr_psnr']:.2f} | {r['gain']:+.2f} |"
        for r in figures["rows"]
    ]
    return "\n".join(lines)
