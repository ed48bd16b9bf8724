"""The state of a training run between two steps, and its checkpoint file."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from crsr_video.errors import TrainingError, first_lines
from crsr_video.files import replacing
from crsr_video.networks import (
    BackgroundNetwork,
    Consistifier,
    Discriminator,
    FeatureDiscriminator,
    Reverse,
    SuperResolver,
)
from crsr_video.networks.blocks import use_channels_last

FORMAT = "crsr-video-training/3"

KINDS: dict[str, type[nn.Module]] = {
    "background": BackgroundNetwork,
    "consistifier": Consistifier,
    "superresolver": SuperResolver,
    "reverse": Reverse,
    "discriminator": Discriminator,
    "feature_discriminator": FeatureDiscriminator,
}
"""Network classes that a checkpoint may name."""


@dataclass(frozen=True)
class NetworkSpec:
    """How to build and train one network of a run."""

    kind: str
    """A key of `KINDS`."""
    arguments: dict[str, Any] = field(default_factory=dict)
    rate: float = 1.0
    """Learning rate as a multiple of the run's. A network with rate 0 is used but not trained."""
    rates_by_prefix: dict[str, float] = field(default_factory=dict)
    """Additional learning rate factors by prefix of the parameter names. If several prefixes match
    a name, the first one applies."""
    is_discriminator: bool = False
    """Whether this is a discriminator. All discriminators share an optimizer of their own, and have
    no moving average."""


class Run:
    """Networks, their moving averages, optimizers and counters between two steps."""

    def __init__(
        self,
        method: str,
        settings: dict[str, Any],
        specs: dict[str, NetworkSpec],
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Start a new run.

        Args:
            method: Name of the training method.
            settings: Every setting of the method. A run can only be resumed with the same ones.
            specs: The networks by name.
            seed: Seed of the networks' initial weights.
            device: Where the networks are trained.
        """
        self.method, self.settings, self.specs = method, settings, specs
        self.seed, self.device = seed, torch.device(device)
        self.step = 0
        self.planned = 0
        """Length of the schedule in steps, or 0 before the speed is measured."""
        self.progress = 0.0
        """Position in the schedule, 0 to 1."""
        self.seconds = 0.0
        """Training time so far."""
        self.frozen: dict[str, nn.Module] = {}
        """Pretrained networks by name, see `pretrained`."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            built = {name: KINDS[spec.kind](**spec.arguments) for name, spec in specs.items()}
        self.networks = nn.ModuleDict(built).to(self.device)
        use_channels_last(self.networks)
        generators = [name for name, spec in specs.items() if not spec.is_discriminator]
        discriminators = [name for name, spec in specs.items() if spec.is_discriminator]
        self.averages = nn.ModuleDict({name: copy.deepcopy(built[name]) for name in generators})
        self.averages.requires_grad_(False)
        self.generator_optimizer = self._optimizer(generators, betas=(0.9, 0.99))
        # A discriminator must follow the generator without delay, so it has little momentum.
        self.discriminator_optimizer = self._optimizer(discriminators, betas=(0.5, 0.99))

    def _optimizer(
        self, names: list[str], betas: tuple[float, float]
    ) -> torch.optim.Optimizer | None:
        groups = []
        for name in names:
            spec, network = self.specs[name], self.networks[name]
            by_rate: dict[float, list[nn.Parameter]] = {}
            for key, parameter in network.named_parameters():
                factors = [
                    f for prefix, f in spec.rates_by_prefix.items() if key.startswith(prefix)
                ]
                rate = spec.rate * (factors[0] if factors else 1.0)
                parameter.requires_grad_(rate > 0)
                if rate > 0:
                    by_rate.setdefault(rate, []).append(parameter)
            groups += [{"params": found, "rate": rate} for rate, found in by_rate.items()]
        if not groups:
            return None
        return torch.optim.AdamW(groups, lr=0.0, betas=betas, weight_decay=1e-4, fused=True)

    def pretrained(self, name: str, load: Callable[[], nn.Module]) -> nn.Module:
        """Return a frozen network that takes part in training and is not saved with the run.

        Args:
            name: Key under which the network is kept.
            load: Function that loads the network. It is called once.
        """
        if name not in self.frozen:
            self.frozen[name] = load().to(self.device)
        return self.frozen[name]

    def __getitem__(self, name: str) -> nn.Module:
        """Return a network by name."""
        found: nn.Module = self.networks[name]
        return found

    def average(self, name: str) -> nn.Module:
        """Return the moving average of a network, which is evaluated and shipped instead."""
        found: nn.Module = self.averages[name]
        return found

    def autocast(self) -> torch.autocast:
        """Return the mixed-precision context for forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def update(
        self,
        optimizer: torch.optim.Optimizer | None,
        terms: dict[str, Tensor],
        *,
        rate: float,
        clip: float,
    ) -> None:
        """Take one step of an optimizer.

        Args:
            optimizer: `generator_optimizer` or `discriminator_optimizer`.
            terms: Weighted loss terms, which are added up.
            rate: Learning rate of the run.
            clip: Largest gradient norm of each parameter group.

        Raises:
            TrainingError: The loss is not finite. Nothing was changed.
        """
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss became {loss.item()} at step {self.step}")
        assert optimizer is not None
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            # Each group is clipped on its own, so that a large gradient in one does not
            # shrink the gradients of the others.
            torch.nn.utils.clip_grad_norm_(group["params"], clip)
            group["lr"] = rate * group["rate"]
        optimizer.step()

    def finish_step(self, decay: float) -> None:
        """Update the moving averages and count the step."""
        # Early in a run, the decay is smaller, so that the average soon forgets the first steps.
        lerp = get_ema_multi_avg_fn(min(decay, (1 + self.step) / (10 + self.step)))
        for name, average in self.averages.items():
            if self.specs[name].rate:
                parameters = tuple(p.detach() for p in self.networks[name].parameters())
                lerp(tuple(average.parameters()), parameters, 0)
        if self.planned:
            # If `planned` changes during a run, the rest is spread over the remaining steps.
            self.progress += (1 - self.progress) / max(1, self.planned - self.step)
        self.step += 1

    def load_weights(self, name: str, weights: dict[str, Tensor]) -> list[str]:
        """Initialise a network from trained weights.

        Returns:
            Names of the network's tensors that the weights lack, such as those of added blocks.

        Raises:
            TrainingError: The weights belong to another network.
        """
        try:
            found = self.networks[name].load_state_dict(weights, strict=False)
            if name in self.averages:
                self.averages[name].load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise TrainingError(
                f"the weights do not fit the {name}: {first_lines(error)}"
            ) from error
        if found.unexpected_keys:
            raise TrainingError(f"the {name} has no {found.unexpected_keys[0]}")
        return list(found.missing_keys)


_COUNTERS = ("step", "planned", "progress", "seconds")


def save(run: Run, path: Path) -> None:
    """Write a checkpoint. If writing is interrupted, the previous checkpoint stays.

    Raises:
        TrainingError: The file cannot be written.
    """
    optimizers = (run.generator_optimizer, run.discriminator_optimizer)
    content = {
        "format": FORMAT,
        "method": run.method,
        "settings": run.settings,
        "specs": {name: asdict(spec) for name, spec in run.specs.items()},
        "seed": run.seed,
        "networks": run.networks.state_dict(),
        "averages": run.averages.state_dict(),
        "optimizers": [optimizer and optimizer.state_dict() for optimizer in optimizers],
        **{name: getattr(run, name) for name in _COUNTERS},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TrainingError(f"cannot write {path}: {first_lines(error)}") from error


def load(path: Path, device: str = "cpu") -> Run:
    """Read a checkpoint, so that training continues as if it had never stopped.

    Raises:
        TrainingError: The file is missing, damaged, or not a checkpoint of this version.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if content["format"] != FORMAT:
            raise TrainingError(f"{path} is a checkpoint of another version")
        specs = {name: NetworkSpec(**spec) for name, spec in content["specs"].items()}
        run = Run(
            content["method"], content["settings"], specs, seed=content["seed"], device=device
        )
        run.networks.load_state_dict(content["networks"])
        run.averages.load_state_dict(content["averages"])
        optimizers = (run.generator_optimizer, run.discriminator_optimizer)
        for optimizer, saved in zip(optimizers, content["optimizers"], strict=True):
            if optimizer is not None:
                optimizer.load_state_dict(saved)
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
        raise TrainingError(f"cannot resume from {path}: {first_lines(error)}") from error
    return run


def check_same(
    run: Run, method: str, settings: dict[str, Any], specs: dict[str, NetworkSpec]
) -> None:
    """Check that a run is resumed with the method, settings and networks it was started with.

    Raises:
        TrainingError: The run was started with another method, setting or network.
    """
    if run.method != method:
        raise TrainingError(f"the run was started by 'train {run.method}', not 'train {method}'")
    for name in sorted({*run.settings, *settings}):
        before, now = run.settings.get(name), settings.get(name)
        if before != now:
            raise TrainingError(
                f"the run was started with {name} {before}, not {now}: start a new run to change it"
            )
    if run.specs != specs:
        raise TrainingError("the run was started with other networks: start a new run")
