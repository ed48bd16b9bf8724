"""The comparison in the paper's protocol: 16 to 64 pixels, several seeds, equal steps.

Every method is trained for the same number of steps from the same starting weights, once for each
seed. Two ablations start from scratch instead, and take as many steps in total. Differences between
CR and the other methods are given with 95 % intervals of a bootstrap that draws seeds and faces
with replacement. Faces are paired: all methods see the same input.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crsr_video.evaluation import stills
from crsr_video.evaluation.methods import BASELINE, methods
from crsr_video.evaluation.models import MetricModels
from crsr_video.evaluation.samples import DRAWN, samples
from crsr_video.evaluation.stills import GenuineFaces, measure_faces
from crsr_video.formatting import markdown_table
from crsr_video.training.export import export
from crsr_video.training.genuine import NPZ_FRAME, Genuine
from crsr_video.training.options import method
from crsr_video.training.session import Limits, TrainingSession, read_run

Values = NDArray[np.float64]

TIER = 16
RESAMPLES = 2000
OURS = "cr"
"""The method that all others are compared with."""
_PAIRED_MEASURES = {"psnr": (".2f", 1.0), "ssim": (".4f", 1.0), "identity": (".4f", 1.0)}
"""Format and factor of each measure of paired faces."""
_GENUINE_MEASURES = {"frechet": (".4f", 1.0), "kid": (".1f", 1000.0), "identity": (".4f", 1.0)}


@dataclass(frozen=True)
class Training:
    """One training run of the protocol."""

    name: str
    method: str
    """A key of `training.options.METHODS`."""
    start: str = ""
    """Name of the run whose final weights this run starts from. Empty to start from scratch."""
    share: float = 1.0
    """Length of the run, relative to the number of steps."""
    changes: tuple[str, ...] = ()
    """Settings that differ from the method's own, as NAME=VALUE."""
    size: str = ""
    """Network size. Defaults to the size of the comparison."""


_SLOW = ("schedule.peak=2e-4",)
_JOINT = ("schedule.peak=1e-4", "schedule.floor=2e-5", "adversarial=0.002")
PLAN = (
    Training("start", "sr"),
    Training("sr, pixel", "sr", "start", changes=_SLOW),
    Training("sr", "sr", "start", changes=("adversarial=0.005", *_SLOW)),
    Training("blind", "blind", "start", changes=("adversarial=0.005", *_SLOW)),
    Training("uda", "uda", "start", changes=_SLOW),
    Training("lrgan", "lrgan", "start", changes=_SLOW),
    Training("consistifier", "cr", "start", 0.5),
    Training(OURS, "footage", "consistifier", 0.5, _JOINT),
    Training("cr, closed", "footage", "consistifier", 0.5, (*_JOINT, "closing=1")),
    Training("cr, no LR terms", "footage", "consistifier", 0.5, (*_JOINT, "characteristic=no")),
    Training("cr, psi frozen", "footage", "consistifier", 0.5, (*_JOINT, "frozen=yes")),
    Training("cr, from scratch", "footage", share=2.0, changes=_JOINT),
    Training("one network", "blind", share=2.0, changes=("adversarial=0.005",), size="single"),
)
"""All runs, in the order in which they are trained. The last four are ablations."""
_PARTS = ("start", "consistifier")
"""Runs that only provide weights for other runs, and are not compared."""


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings:
    """Options of the comparison."""

    faces: Path
    genuine: Path
    """A pack or an .npz file of real low-resolution faces of about 16 pixels."""
    folder: Path
    """Folder for the runs. Finished runs in it are not repeated."""
    seeds: tuple[int, ...] = (1, 2, 3)
    steps: int = 2000
    """Training steps of every method, after a shared run of the same number of steps."""
    size: str = "small"
    limit: int | None = None
    """Maximum number of paired faces, and of real low-resolution faces."""


def compare(settings: ProtocolSettings, *, on_run: Callable[[str], None] = lambda _: None) -> str:
    """Train and measure every method with every seed, and return a Markdown report.

    Args:
        settings: Options.
        on_run: Called with the description of each run before it begins.
    """
    paired: list[dict[tuple[str, str], dict[str, Values]]] = []
    on_genuine: list[dict[str, dict[str, float]]] = []
    faces = GenuineFaces(settings.genuine.stem, Genuine(settings.genuine, "val"), NPZ_FRAME)
    for seed in settings.seeds:
        files = _train(settings, seed, on_run)
        on_run(f"measuring, seed {seed}")
        compared = methods([f"{path}" for path in files])
        with MetricModels() as models:
            held_out = samples(
                settings.faces, TIER, settings.limit, framing=NPZ_FRAME, degradations=DRAWN
            )
            paired.append(measure_faces(compared, held_out, models, TIER, NPZ_FRAME)[0])
            rows = stills.measure_genuine(
                compared,
                [faces],
                settings.faces,
                models,
                tiers=(TIER,),
                count=settings.limit or stills.COUNT,
                splits=("val",),
            )
        on_genuine.append({row.method: row.figures for row in rows})
    return report(settings, paired, on_genuine)


def _train(settings: ProtocolSettings, seed: int, on_run: Callable[[str], None]) -> list[Path]:
    """Train all methods with one seed, and return the weights files of those compared."""
    root = settings.folder / f"seed{seed}"
    files = []
    for run in PLAN:
        steps = max(1, round(settings.steps * run.share))
        on_run(f"{run.name}, seed {seed}, {steps} steps")
        session = TrainingSession(
            method(run.method, run.size or settings.size, [f"{TIER}:{TIER}:32:1"], run.changes),
            settings.faces,
            root / run.name,
            genuine=settings.genuine,
            start=[root / run.start] if run.start else [],
            framing="wider",
            seed=seed,
        )
        session.train(Limits(steps=steps))
        if run.name not in _PARTS:
            path = root / f"{run.name}.safetensors"
            files.append(export(read_run(root / run.name), path))
    return files


def bootstrap(differences: Values, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, drawing seeds and faces with replacement.

    Args:
        differences: Paired differences, (seeds, faces).
        seed: Seed of the random draws.
    """
    rng = np.random.default_rng(seed)
    seeds, faces = differences.shape
    means = np.empty(RESAMPLES)
    for n in range(RESAMPLES):
        part = differences[rng.integers(seeds, size=seeds)]
        means[n] = part[:, rng.integers(faces, size=faces)].mean()
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def report(
    settings: ProtocolSettings,
    paired: Sequence[Mapping[tuple[str, str], Mapping[str, Values]]],
    on_genuine: Sequence[Mapping[str, Mapping[str, float]]],
) -> str:
    """Return the report as Markdown.

    Args:
        settings: Options.
        paired: For each seed, scores of each face by degradation, method and measure.
        on_genuine: For each seed, figures by method and measure.
    """
    parts = ["# The paper's protocol: 16 to 64 pixels", _text(settings)]
    for kind in dict.fromkeys(kind for kind, _ in paired[0]):
        scores = {
            name: {
                m: np.stack([one[kind, name][m] for one in paired])
                for m in _PAIRED_MEASURES
                if m in paired[0][kind, name]
            }
            for found, name in paired[0]
            if found == kind
        }
        parts += [f"## Paired faces, {kind}", _table(scores, _PAIRED_MEASURES)]
    figures = {
        name: {
            measure: np.array([[one[name][measure]] for one in on_genuine])
            for measure in _GENUINE_MEASURES
            if measure in known
        }
        for name, known in on_genuine[0].items()
    }
    parts += ["## Real low-resolution faces", _table(figures, _GENUINE_MEASURES)]
    return "\n\n".join(parts) + "\n"


def _table(
    scores: Mapping[str, Mapping[str, Values]], measures: Mapping[str, tuple[str, float]]
) -> str:
    """Return a table of means with standard errors over seeds, and of `OURS` minus each method."""
    known = [measure for measure in measures if all(measure in found for found in scores.values())]
    header = ["method", *(title for m in known for title in (m, f"{OURS} minus it"))]
    rows = []
    for name, found in scores.items():
        cells = []
        for measure in known:
            form, factor = measures[measure]
            values, ours = factor * found[measure], factor * scores[OURS][measure]
            by_seed = values.mean(1)
            error = by_seed.std(ddof=1) / len(by_seed) ** 0.5 if len(by_seed) > 1 else np.nan
            spread = "" if name == BASELINE or np.isnan(error) else f" ± {error:{form}}"
            cells.append(f"{values.mean():{form}}{spread}")
            if name == OURS:
                cells.append("")
            else:
                low, high = bootstrap(ours - values)
                difference = (ours - values).mean()
                cells.append(f"{difference:+{form}} [{low:+{form}}, {high:+{form}}]")
        rows.append([name, *cells])
    return markdown_table(header, rows)


def _text(settings: ProtocolSettings) -> str:
    seeds = ", ".join(map(str, settings.seeds))
    return f"""\
Every method was trained for {settings.steps} steps after {settings.steps} steps that all share,
with the seeds {seeds}. CR spends half of its steps on the consistifier. ±: standard error over
seeds. In brackets: 95 % interval of the difference, from a bootstrap over seeds and faces. An
interval that contains 0 shows no difference. Intervals over few seeds are too narrow: three seeds
say little about the spread between runs.

PSNR is measured over red, green and blue, identity is the distance (paired) or the cosine
similarity (real) of face-recognition embeddings, and the Frechet distance and KID (times 1000)
compare those embeddings with photographs of the held-out set, none of which was used in training.
A real face has one value for each seed and measure, so its interval is over seeds only.

What this comparison does not show: layer counts, loss weights and tables of the paper are not known
to us, so everything is our reconstruction. Steps are equal, but their cost is not: a step of CR
takes longer than a step of the super-resolver alone. The loss weights of CR were changed after
looking at earlier tables, those of the other methods never. "one network" is a super-resolver that
costs as much as both networks of the size "small", trained like "blind" but from scratch."""
