"""Checks of settings. A value that is not allowed raises `ConfigError` with the setting's name."""

import math
from collections.abc import Callable, Sequence
from numbers import Real

from crsr_video.errors import ConfigError


def check_number(name: str, value: object, rule: str, is_allowed: Callable[[float], bool]) -> None:
    """Refuse a value that is not a number, or that breaks a rule, as NaN always does.

    Args:
        name: Name of the setting.
        value: The value.
        rule: The rule in words after "must".
        is_allowed: Whether a number keeps the rule.
    """
    if not isinstance(value, Real):
        raise ConfigError(f"`{name}` must {rule}, but is {value!r}")
    if not is_allowed(float(value)):
        raise ConfigError(f"`{name}` must {rule}, but is {float(value):g}")


def is_not_negative(number: float) -> bool:
    """Return whether a number is zero or more, and finite."""
    return 0 <= number < math.inf


def is_positive(number: float) -> bool:
    """Return whether a number is above zero, and finite."""
    return 0 < number < math.inf


def check_share(name: str, value: object) -> None:
    """Refuse a value that is not a number from 0 to 1."""
    check_number(name, value, "lie between 0 and 1", lambda number: 0 <= number <= 1)


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not one of some names."""
    if value not in allowed:
        known = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise ConfigError(f"`{name}` must be {known}, not {value}")
