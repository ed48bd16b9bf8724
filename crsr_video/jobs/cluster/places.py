"""What workers take of machines, and how many fit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker takes of a machine."""

    cpus: float = 1.0
    gpus: float = 0.0
    """A fraction lets several workers use one GPU."""


def places_for(nodes: Iterable[dict[str, Any]], share: Share) -> int:
    """How many workers fit into a cluster, by what `ray.nodes` says of its machines."""
    places = 0
    for node in nodes:
        if not node.get("Alive"):
            continue
        has = node.get("Resources", {})
        fits = int(has.get("CPU", 0) / share.cpus)
        if share.gpus > 0:
            fits = min(fits, int(has.get("GPU", 0) / share.gpus))
        places += fits
    return places
