"""The shipped weights with their cards, and the loader that verifies them."""

from crsr_video.weights.loader import (
    FAST,
    FORMAT,
    IDENTITY,
    TEXTURED,
    NetworkPair,
    Ranges,
    ShippedWeights,
    digest,
    load,
    path_of,
    ranges_file,
    shipped,
)

__all__ = [
    "FAST",
    "FORMAT",
    "IDENTITY",
    "TEXTURED",
    "NetworkPair",
    "Ranges",
    "ShippedWeights",
    "digest",
    "load",
    "path_of",
    "ranges_file",
    "shipped",
]
