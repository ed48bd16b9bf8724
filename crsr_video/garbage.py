"""Cyclic garbage: a program of ours collects it seldom, a library leaves that to its host."""

import gc

_ALLOCATIONS = 50_000
"""More objects made than freed between two collections; Python's own figure is some hundreds."""


def seldom() -> None:
    """Let this process look for cyclic garbage seldom.

    Importing the networks' library makes a million objects that stay, and each search goes through
    them again: a quarter of a second of the start. Frames and pictures are freed without it.
    """
    gc.set_threshold(_ALLOCATIONS, 20, 100)
