"""All that a training run is at one moment, and its file."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from crsr_video.errors import TrainingError
from crsr_video.files import replacing
from crsr_video.networks import (
    Consistifier,
    Discriminator,
    FeatureDiscriminator,
    Reverse,
    SuperResolver,
)

FORMAT = "crsr-video-training/2"

KINDS: dict[str, type[nn.Module]] = {
    "consistifier": Consistifier,
    "superresolver": SuperResolver,
    "reverse": Reverse,
    "discriminator": Discriminator,
    "feature_discriminator": FeatureDiscriminator,
}
"""What a checkpoint may ask to be built."""


@dataclass(frozen=True)
class Part:
    """One network of a run."""

    kind: str
    """One of `KINDS`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of its constructor."""
    rate: float = 1.0
    """Its learning rate over the run's; 0: it is used, but not trained."""
    only: tuple[str, ...] = ()
    """Train only parameters whose names begin so; empty: all."""
    faster: dict[str, float] = field(default_factory=dict)
    """Factors of the rate for parameters whose names begin so."""
    critic: bool = False
    """A discriminator: it has an optimizer of its own, and no average."""


class Run:
    """Networks, their averages, optimizers and counters between two steps."""

    def __init__(
        self,
        method: str,
        settings: dict[str, Any],
        parts: dict[str, Part],
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """A new run.

        Args: method: name of what trains.
              settings: all that it was told; a run can only go on with the same.
              parts: the networks, by name.
        """
        self.method, self.settings, self.parts = method, settings, parts
        self.seed, self.device = seed, torch.device(device)
        self.step = 0
        self.planned = 0
        """Steps the schedule is made for; 0 until the speed has been measured."""
        self.progress = 0.0
        """How far the schedule has come, 0 to 1."""
        self.seconds = 0.0
        """Spent in training so far."""
        self.frozen: dict[str, nn.Module] = {}
        """Pretrained networks by name; see `pretrained`."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            built = {name: KINDS[part.kind](**part.arguments) for name, part in parts.items()}
        self.networks = nn.ModuleDict(built).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        makers = [name for name, part in parts.items() if not part.critic]
        self.averages = nn.ModuleDict({name: copy.deepcopy(built[name]) for name in makers})
        self.averages.requires_grad_(False)
        self.makers = self._optimizer(makers, betas=(0.9, 0.99))
        # A critic must follow the maker at once: little momentum.
        self.critics = self._optimizer(
            [name for name in parts if name not in makers], betas=(0.5, 0.99)
        )

    def _optimizer(
        self, names: list[str], betas: tuple[float, float]
    ) -> torch.optim.Optimizer | None:
        groups = []
        for name in names:
            part, network = self.parts[name], self.networks[name]
            for key, parameter in network.named_parameters():
                parameter.requires_grad_(part.rate > 0 and key.startswith(part.only or ("",)))
            by_share: dict[float, list[nn.Parameter]] = {}
            for key, parameter in network.named_parameters():
                if parameter.requires_grad:
                    factors = [f for prefix, f in part.faster.items() if key.startswith(prefix)]
                    share = part.rate * (factors[0] if factors else 1.0)
                    by_share.setdefault(share, []).append(parameter)
            groups += [{"params": trained, "share": s} for s, trained in by_share.items()]
        if not groups:
            return None
        return torch.optim.AdamW(groups, lr=0.0, betas=betas, weight_decay=1e-4, fused=True)

    def pretrained(self, name: str, load: Callable[[], nn.Module]) -> nn.Module:
        """A frozen network that takes part in training and is not saved with the run.

        Args: load: makes it, the first time.
        """
        if name not in self.frozen:
            self.frozen[name] = load().to(self.device)
        return self.frozen[name]

    def __getitem__(self, name: str) -> nn.Module:
        """A network, by name."""
        found: nn.Module = self.networks[name]
        return found

    def average(self, name: str) -> nn.Module:
        """The moving average of a network: what is evaluated and shipped."""
        found: nn.Module = self.averages[name]
        return found

    def autocast(self) -> torch.autocast:
        """Mixed precision for the forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def update(self, terms: dict[str, Tensor], *, rate: float, clip: float) -> None:
        """One step of all networks but the critics, down the sum of `terms`.

        Raises: TrainingError: the loss is not finite; nothing was changed.
        """
        self._down(self.makers, terms, rate, clip)

    def update_critics(self, terms: dict[str, Tensor], *, rate: float, clip: float) -> None:
        """One step of the critics; the same in all else."""
        self._down(self.critics, terms, rate, clip)

    def _down(
        self,
        optimizer: torch.optim.Optimizer | None,
        terms: dict[str, Tensor],
        rate: float,
        clip: float,
    ) -> None:
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss became {loss.item()} at step {self.step}")
        assert optimizer is not None
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            # Each network by itself: one that is in trouble must not hold the others back.
            torch.nn.utils.clip_grad_norm_(group["params"], clip)
            group["lr"] = rate * group["share"]
        optimizer.step()

    def follow(self, decay: float) -> None:
        """Let the averages follow, and count the step."""
        # The average of a young run must not remember its first steps.
        lerp = get_ema_multi_avg_fn(min(decay, (1 + self.step) / (10 + self.step)))  # type: ignore[no-untyped-call]
        for name, average in self.averages.items():
            if self.parts[name].rate:
                parameters = tuple(p.detach() for p in self.networks[name].parameters())
                lerp(tuple(average.parameters()), parameters, 0)
        if self.planned:
            # A plan that is revised on the way spreads what is left over the steps that are left.
            self.progress += (1 - self.progress) / max(1, self.planned - self.step)
        self.step += 1

    def begin_from(self, name: str, weights: dict[str, Tensor]) -> list[str]:
        """Start a network from trained weights.

        Returns: the names of weights it has beyond those: of added blocks, which do nothing yet.
        Raises:  TrainingError: they belong to another network.
        """
        try:
            found = self.networks[name].load_state_dict(weights, strict=False)
            if name in self.averages:
                self.averages[name].load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise TrainingError(f"the weights do not fit the {name}: {_first(error)}") from error
        if found.unexpected_keys:
            raise TrainingError(f"the {name} has no {found.unexpected_keys[0]}")
        return list(found.missing_keys)


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200]


_COUNTERS = ("step", "planned", "progress", "seconds")


def save(run: Run, path: Path) -> None:
    """Write the run, whole or not at all: an interruption leaves the previous file.

    Raises: TrainingError: it cannot be written.
    """
    content = {
        "format": FORMAT,
        "method": run.method,
        "settings": run.settings,
        "parts": {name: asdict(part) for name, part in run.parts.items()},
        "seed": run.seed,
        "networks": run.networks.state_dict(),
        "averages": run.averages.state_dict(),
        "makers": run.makers and run.makers.state_dict(),
        "critics": run.critics and run.critics.state_dict(),
        **{name: getattr(run, name) for name in _COUNTERS},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainingError(f"cannot write {path}: {_first(error)}") from error


def load(path: Path, device: str = "cpu") -> Run:
    """Read a run back, to go on as if it had never stopped.

    Raises: TrainingError: missing, damaged, or no training checkpoint of this version.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["format"] != FORMAT:
            raise TrainingError(f"{path} is a checkpoint of another version")
        parts = {name: Part(**part) for name, part in content["parts"].items()}
        run = Run(
            content["method"], content["settings"], parts, seed=content["seed"], device=device
        )
        run.networks.load_state_dict(content["networks"])
        run.averages.load_state_dict(content["averages"])
        for optimizer, saved in ((run.makers, "makers"), (run.critics, "critics")):
            if optimizer is not None:
                optimizer.load_state_dict(content[saved])
        for name in _COUNTERS:
            setattr(run, name, content[name])
    except (
        OSError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise TrainingError(f"cannot resume from {path}: {_first(error)}") from error
    return run


def check_same(run: Run, method: str, settings: dict[str, Any], parts: dict[str, Part]) -> None:
    """Make sure that a run goes on as it began.

    Raises: TrainingError: it was begun with other settings; which, in words.
    """
    if run.method != method:
        raise TrainingError(f"the run was begun by '{run.method}', not by '{method}'")
    for name in sorted({*run.settings, *settings}):
        before, now = run.settings.get(name), settings.get(name)
        if before != now:
            raise TrainingError(
                f"the run was begun with {name} {before}, not {now}: begin a new one for that"
            )
    if run.parts != parts:
        raise TrainingError("the run was begun with other networks: begin a new one for that")
