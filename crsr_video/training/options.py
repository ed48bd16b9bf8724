"""Build a training method from command-line arguments."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from crsr_video.errors import TrainingError
from crsr_video.training.data import Tier
from crsr_video.training.method import SIZES, TrainingMethod
from crsr_video.training.perceptual import Perceptual
from crsr_video.training.regularisation import Consistification, Joint, Unpaired
from crsr_video.training.super_resolution import (
    BackgroundTraining,
    CycleAdaptation,
    DegradationFirst,
    SuperResolution,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

METHODS: dict[str, TrainingMethod] = {
    "sr": SuperResolution(),
    "cr": Consistification(),
    "joint": Joint(),
    "footage": Joint(paired=None, unpaired=Unpaired()),
    "both": Joint(unpaired=Unpaired()),
    "perceptual": Perceptual(),
    "blind": SuperResolution(blind=True),
    "background": BackgroundTraining(),
    "uda": CycleAdaptation(),
    "lrgan": DegradationFirst(),
}
"""Training methods with their default settings. The keys are names of commands and variants."""

_Settings = TypeVar("_Settings", bound="DataclassInstance")


def method(name: str, size: str, tiers: Sequence[str], changes: Sequence[str]) -> TrainingMethod:
    """Return a training method with the requested settings.

    Args:
        name: A key of `METHODS`.
        size: A key of `SIZES`.
        tiers: Texts that `tier` parses. If there are none, the default tiers are used.
        changes: Texts that `changed` applies, one after the other.

    Raises:
        TrainingError: A name or a value is not allowed.
    """
    if size not in SIZES:
        raise TrainingError(f"unknown size '{size}': use {', '.join(SIZES)}")
    chosen = replace(METHODS[name], size=size)
    if tiers:
        chosen = replace(chosen, tiers=tuple(tier(text) for text in tiers))
    for change in changes:
        chosen = changed(chosen, change)
    return chosen


def tier(text: str) -> Tier:
    """Parse a tier from "FACE:PATCH:BATCH:SHARE", such as "64:64:8:0.5".

    Raises:
        TrainingError: The text does not have this form, or a value is not allowed.
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
    """Return a copy of settings in which one number or switch is changed.

    Args:
        settings: A dataclass, which may contain groups of settings.
        change: "name=value" or "group.name=value".

    Raises:
        TrainingError: There is no such setting, or the value does not have the setting's type.
    """
    path, equals, value = change.partition("=")
    name, _, rest = path.partition(".")
    known = {f.name: getattr(settings, f.name) for f in fields(settings)}
    if not equals or name not in known:
        raise TrainingError(f"no setting '{path}': there are {', '.join(known)}")
    old = known[name]
    if rest and is_dataclass(old) and not isinstance(old, type):
        return replace(settings, **{name: changed(old, f"{rest}={value}")})
    return replace(settings, **{name: _parsed(old, path, value)})


def _parsed(old: Any, path: str, text: str) -> Any:
    try:
        if isinstance(old, bool):
            return {"yes": True, "no": False}[text]
        if isinstance(old, int | float):
            return type(old)(text)
    except (ValueError, KeyError) as error:
        kind = "yes or no" if isinstance(old, bool) else "a number"
        raise TrainingError(f"{path} is {kind}, not '{text}'") from error
    raise TrainingError(f"{path} is no number or switch, so it cannot be changed with --set")
