"""How large networks are made, by name."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Size:
    """Constructor arguments of the networks."""

    consistifier: dict[str, Any] = field(default_factory=dict)
    superresolver: dict[str, Any] = field(default_factory=dict)
    reverse: dict[str, Any] = field(default_factory=dict)
    critic: int = 32
    """Channels of the discriminators' first layer."""


SIZES = {
    # For tests.
    "tiny": Size(
        consistifier={"channels": (4, 4, 4), "middle": 1},
        superresolver={
            "channels": (4, 4, 4),
            "down": (1, 1),
            "middle": 1,
            "up": (1, 1),
            "tail": 4,
        },
        reverse={"channels": (4, 4, 4), "middle": 1},
        critic=4,
    ),
    # For comparisons in minutes: the paper's protocol, 16 to 64 pixels.
    "small": Size(
        consistifier={"channels": (16, 32, 64), "middle": 2},
        superresolver={"channels": (32, 64, 128), "down": (1, 1), "middle": 3, "up": (1, 2)},
        reverse={"channels": (16, 32, 64), "middle": 2},
        critic=16,
    ),
    # The networks' own defaults: 2.4 billion multiply-adds for both at 64 to 256 pixels.
    "fast": Size(superresolver={"tail": 16}),
}
