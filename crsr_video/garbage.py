"""Cyclic garbage: a program of ours collects it seldom while it starts, and as usual afterwards."""

import gc

_ALLOCATIONS = 50_000
"""More objects made than freed between two collections; Python's own figure is some hundreds."""

_usual: tuple[int, int, int] | None = None
"""Thresholds to go back to."""


def seldom() -> None:
    """Let this process look for cyclic garbage seldom, until `settle`.

    Importing the networks' library makes a million objects that stay, and each search goes through
    them again: a quarter of a second of the start.
    """
    global _usual
    _usual = _usual or gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, 20, 100)


def settle() -> None:
    """Everything is loaded: it stays, and what comes is collected as usual.

    A run may be long, and libraries leave cycles; pictures do not hang on any, or memory would go
    up and down with the collector. Does nothing without `seldom`.
    """
    global _usual
    if _usual is None:
        return
    gc.freeze()
    gc.set_threshold(*_usual)
    _usual = None
