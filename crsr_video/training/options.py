"""Method of a method from words on a command line."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from crsr_video.errors import TrainingError
from crsr_video.training.baseline import CycleAdaptation, DegradationFirst
from crsr_video.training.cr import Consistification, Unpaired
from crsr_video.training.data import TIERS, Tier
from crsr_video.training.joint import Joint
from crsr_video.training.method import Method
from crsr_video.training.perceptual import Perceptual
from crsr_video.training.schedule import Schedule
from crsr_video.training.sizes import SIZES
from crsr_video.training.sr import SuperResolution

METHODS: dict[str, Method] = {
    "sr": SuperResolution(),
    "cr": Consistification(),
    "joint": Joint(),
    "footage": Joint(paired=None, unpaired=Unpaired()),
    "both": Joint(unpaired=Unpaired()),
    "blind": SuperResolution(blind=True),
    "uda": CycleAdaptation(),
    "lrgan": DegradationFirst(),
    "perceptual": Perceptual(schedule=Schedule(peak=1e-4)),
}
"""Ways of training with their defaults, by the names of commands and their variants."""

_Settings = TypeVar("_Settings")


def method(name: str, size: str, tiers: Sequence[str], changes: Sequence[str]) -> Method:
    """A way of training as asked for.

    Args:   name: one of `METHODS`. size: one of `SIZES`.
            tiers: as `tier` reads them; none: the defaults.
            changes: as `changed` reads them.
    Raises: TrainingError: a name or a value that cannot be.
    """
    if size not in SIZES:
        raise TrainingError(f"unknown size '{size}': use {', '.join(SIZES)}")
    chosen = replace(METHODS[name], size=size, tiers=tuple(tier(text) for text in tiers) or TIERS)
    for change in changes:
        chosen = changed(chosen, change)
    return chosen


def tier(text: str) -> Tier:
    """From "FACE:PATCH:BATCH:SHARE", such as "64:64:8:0.5"; see `Tier`.

    Raises: TrainingError: not of that form.
    """
    try:
        face, patch, batch, share = text.split(":")
        made = Tier(int(face), int(patch), int(batch), float(share))
        if min(made.face, made.patch, made.batch) < 1 or made.patch > made.face or made.share <= 0:
            raise ValueError
    except ValueError as error:
        raise TrainingError(f"a tier is FACE:PATCH:BATCH:SHARE, not '{text}'") from error
    return made


def changed(settings: _Settings, change: str) -> _Settings:
    """Method with one number or switch changed, by "name=value" or "group.name=value".

    Raises: TrainingError: no such setting, or a value of another kind.
    """
    path, equals, value = change.partition("=")
    name, _, rest = path.partition(".")
    known = {f.name: getattr(settings, f.name) for f in fields(settings)}  # type: ignore[arg-type]
    if not equals or name not in known:
        raise TrainingError(f"no setting '{path}': there are {', '.join(known)}")
    old = known[name]
    if rest and is_dataclass(old):
        return replace(settings, **{name: changed(old, f"{rest}={value}")})  # type: ignore[type-var]
    return replace(settings, **{name: _like(old, path, value)})  # type: ignore[type-var]


def _like(old: Any, path: str, text: str) -> Any:
    """A value of the same kind as the old one."""
    try:
        if isinstance(old, bool):
            return {"yes": True, "no": False}[text]
        if isinstance(old, int | float):
            return type(old)(text)
    except (ValueError, KeyError) as error:
        kind = "yes or no" if isinstance(old, bool) else "a number"
        raise TrainingError(f"{path} is {kind}, not '{text}'") from error
    raise TrainingError(f"{path} is no number that could be changed")
