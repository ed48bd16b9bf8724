"""The shipped weights with their cards, and the loader that verifies them."""

from crsr_video.weights.loader import (
    BACKGROUND,
    FAST,
    FORMAT,
    IDENTITY,
    TEXTURED,
    NetworkPair,
    Ranges,
    ShippedWeights,
    background,
    digest,
    load,
    load_background,
    path_of,
    ranges_file,
    shipped,
)

__all__ = [
    "BACKGROUND",
    "FAST",
    "FORMAT",
    "IDENTITY",
    "TEXTURED",
    "NetworkPair",
    "Ranges",
    "ShippedWeights",
    "background",
    "digest",
    "load",
    "load_background",
    "path_of",
    "ranges_file",
    "shipped",
]
