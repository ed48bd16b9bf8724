"""The fixed suite of test scenes for the tracking evaluation."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from crsr_video.errors import ConfigError
from crsr_video.evaluation.tracking.scenes import Actor, Key, Occluder, Scene, Shot, Sway

HD, UHD, VGA = (1920, 1080), (3840, 2160), (640, 480)


def _at(x: float, y: float, width: float, tilt: float = 0.0) -> tuple[Key, ...]:
    return (Key(0, x, y, width, tilt),)


def _grid(
    size: tuple[int, int], columns: int, rows: int, low: float, high: float, *, drift: float = 1.0
) -> tuple[Actor, ...]:
    """Return a grid of faces that sway a little, with widths evenly spread from `low` to `high`."""
    total = columns * rows
    widths = np.linspace(low, high, total)
    # Neighbours differ in size. A step that shares no factor with the count visits all widths.
    step = next(s for s in range(round(total * 0.38) or 1, total + 2) if np.gcd(s, total) == 1)
    actors = []
    for n in range(total):
        x = (n % columns + 0.5) / columns * size[0]
        y = (n // columns + 0.5) / rows * size[1]
        width = float(widths[n * step % total])
        sway = Sway(drift * width / 2, drift * width / 5, 6 * drift, 60, n * 0.37 % 1)
        actors.append(Actor(n + 1, n, _at(x, y, width), sway))
    return tuple(actors)


def _one_shot(name: str, *layers: Actor | Occluder, **more: Any) -> Scene:
    shot_names = ("backdrop", "shake", "pan")
    of_shot = {key: more.pop(key) for key in shot_names if key in more}
    return Scene(name, (Shot(0, layers, **of_shot),), **more)


def _sizes() -> list[Scene]:
    """Faces of every size that hardly move."""
    return [
        _one_shot("sizes-16-24", *_grid(HD, 6, 4, 16.5, 23.5), frames=60),
        _one_shot("sizes-24-32", *_grid(HD, 6, 4, 24, 32), frames=60, backdrop=1),
        _one_shot("sizes-32-64", *_grid(HD, 6, 4, 32, 64), frames=60, backdrop=2),
        _one_shot("sizes-64-200", *_grid(HD, 5, 2, 64, 200, drift=0.5), frames=60, backdrop=3),
        _one_shot("sizes-4k", *_grid(UHD, 6, 4, 20, 160), frames=30, size=UHD, backdrop=1),
        _one_shot("sizes-vga", *_grid(VGA, 4, 3, 16.5, 60), frames=60, size=VGA, backdrop=2),
        _one_shot(
            "large",
            Actor(1, 0, (Key(0, 560, 560, 500), Key(59, 600, 540, 560)), Sway(30, 10, 4)),
            Actor(2, 1, _at(1400, 520, 300), Sway(40, 12, 5, 50)),
            frames=60,
        ),
    ]


def _tilts() -> list[Scene]:
    """Tilted heads, some of which turn."""
    ids = count(1)
    fixed = [
        Actor(next(ids), n, _at(170 + 263 * n, 200, 60, tilt), Sway(12, 5, 4, 60, n / 7))
        for n, tilt in enumerate((-90, -60, -30, 0, 30, 60, 90))
    ]
    small = [
        Actor(next(ids), n + 7, _at(170 + 263 * n, 520, 30, tilt), Sway(8, 4, 4, 60, n / 7))
        for n, tilt in enumerate((90, 60, 30, 0, -30, -60, -90))
    ]
    turning = [
        Actor(
            next(ids),
            n + 14,
            (Key(0, x, 850, width), Key(30, x, 850, width, tilt), Key(89, x, 850, width, -tilt)),
        )
        for n, (x, width, tilt) in enumerate(((300, 120, 90), (900, 48, -90), (1500, 90, 60)))
    ]
    upside_down = [
        Actor(n + 1, n, _at(200 + 300 * n, 240 + 300 * (n % 2), width, tilt), Sway(10, 4, 4))
        for n, (width, tilt) in enumerate(
            ((150, 180), (90, 150), (60, 210), (48, 180), (36, 180), (28, 210))
        )
    ]
    return [
        _one_shot("tilts", *fixed, *small, *turning),
        _one_shot("upside-down", *upside_down, backdrop=1),
    ]


def _crossings() -> list[Scene]:
    """People who pass in front of other people and hide them for about half a second."""
    return [
        _one_shot(
            "crossing",
            Actor(1, 0, (Key(0, 300, 500, 90), Key(89, 1500, 500, 90)), Sway(0, 6)),
            Actor(2, 1, (Key(0, 1500, 520, 110), Key(89, 300, 520, 110)), Sway(0, 6, 2, 40)),
        ),
        _one_shot(
            "crossing-small",
            Actor(1, 2, (Key(0, 150, 240, 30), Key(89, 450, 240, 30)), Sway(0, 2)),
            Actor(2, 3, (Key(0, 450, 246, 34), Key(89, 150, 246, 34)), Sway(0, 2, 2, 40)),
            Actor(3, 4, (Key(0, 120, 100, 48), Key(89, 500, 110, 48))),
            Actor(4, 5, (Key(0, 520, 108, 52), Key(89, 140, 100, 52))),
            size=VGA,
            backdrop=2,
        ),
        _one_shot(
            "turn-back",
            # The two people meet, one is partly covered, and both go back.
            Actor(1, 6, (Key(0, 500, 500, 80), Key(44, 930, 500, 80), Key(89, 500, 500, 80))),
            Actor(2, 7, (Key(0, 1400, 505, 84), Key(44, 980, 505, 84), Key(89, 1400, 505, 84))),
            backdrop=1,
        ),
    ]


def _occlusions() -> list[Scene]:
    """Objects that cover faces for up to a second."""
    return [
        _one_shot(
            "occlusion",
            Actor(1, 0, _at(400, 400, 100), Sway(20, 6, 3)),
            Actor(2, 1, _at(1000, 420, 60), Sway(20, 6, 3, 50)),
            Actor(3, 2, _at(1500, 400, 36), Sway(10, 3, 3, 70)),
            # A hand in front of a face, which is not fully visible for 27 frames.
            Occluder((Key(25, 400, 1300, 150), Key(33, 400, 410, 150), Key(52, 400, 410, 150),
                      Key(60, 400, 1300, 150)), 1.3, "hand"),
            # Boards that pass in front of the other two faces.
            Occluder((Key(0, 300, 420, 130), Key(89, 1700, 420, 130)), 2.5, "wall"),
            Occluder((Key(30, 1800, 400, 60), Key(60, 1200, 400, 60)), 2.0, "wall"),
        ),
        _one_shot(
            "hands",
            # Hands that cover only a part of each face, so the faces must still be found.
            Actor(1, 3, _at(200, 220, 80), Sway(10, 4, 3)),
            Actor(2, 4, _at(450, 220, 50), Sway(10, 4, 3, 50)),
            Occluder((Key(15, 120, 420, 50), Key(30, 185, 260, 50), Key(60, 215, 262, 50),
                      Key(75, 120, 420, 50)), 0.7, "hand"),
            Occluder((Key(20, 560, 300, 34), Key(40, 452, 250, 34), Key(70, 560, 300, 34)),
                     0.8, "hand"),
            size=VGA,
            backdrop=1,
        ),
    ]  # fmt: skip


def _comings() -> list[Scene]:
    """Faces that enter and leave the picture at every edge, and cuts."""
    return [
        _one_shot(
            "comings",
            Actor(1, 0, (Key(0, -150, 400, 90), Key(89, 1200, 420, 100)), Sway(0, 5)),
            Actor(2, 1, (Key(0, 1300, 250, 60), Key(50, 2100, 240, 60))),
            Actor(3, 2, (Key(20, 900, 1250, 120), Key(60, 900, 800, 120))),
            Actor(4, 3, (Key(0, 500, 800, 48), Key(60, 480, -80, 48))),
            Actor(5, 4, (Key(30, 1990, 700, 32), Key(75, 1650, 690, 32))),
            Actor(6, 5, (Key(0, 1500, 900, 40), Key(70, 1990, 930, 40))),
        ),
        Scene(
            "cuts",
            (
                Shot(0, (Actor(1, 0, _at(300, 240, 90), Sway(15, 5, 3)),)),
                Shot(
                    25,
                    (
                        Actor(2, 1, _at(200, 200, 60), Sway(10, 4)),
                        Actor(3, 2, _at(420, 260, 50), Sway(10, 4, 2, 45)),
                    ),
                    backdrop=1,
                ),
                Shot(50, (), backdrop=2),
                Shot(65, (Actor(4, 0, _at(320, 230, 80), Sway(15, 5, 3)),), backdrop=3),
            ),
            size=VGA,
        ),
    ]


def _motions() -> list[Scene]:
    """Fast faces, a moving camera, and people who walk towards it."""
    standing = tuple(
        Actor(n + 1, n, _at(260 + 280 * n, 400 + 40 * (n % 2), w), Sway(6, 2, 2, 60, n / 6))
        for n, w in enumerate((24, 32, 48, 64, 90, 120))
    )
    return [
        _one_shot(
            "fast",
            # The faces move by up to a third of their width per frame.
            Actor(1, 0, _at(960, 400, 80), Sway(380, 0, 5, 90)),
            Actor(2, 1, _at(960, 750, 50), Sway(200, 40, 8, 75)),
            blur=0.8,
        ),
        _one_shot("handheld", *standing, shake=8.0, blur=0.6, backdrop=1),
        _one_shot("panning", *standing, pan=(9.0, 1.0), backdrop=2),
        _one_shot(
            "growing",
            Actor(1, 0, (Key(0, 640, 420, 16), Key(89, 700, 500, 260)), Sway(6, 3, 2)),
            Actor(2, 1, (Key(0, 1300, 600, 180), Key(89, 1200, 420, 18)), Sway(6, 3, 2)),
        ),
    ]


def _stills() -> list[Scene]:
    """Scenes without any motion."""
    faces = (
        Actor(1, 0, _at(160.3, 200.7, 90.2)),
        Actor(2, 1, _at(360.6, 190.4, 50.1, 12)),
        Actor(3, 2, _at(520.2, 220.9, 30.3, -8)),
    )
    still = {"size": VGA, "frames": 60}
    return [
        _one_shot("still", *faces, noise=0.0, **still),
        _one_shot("still-noise", *faces, noise=2.5, **still),
    ]


def _crowds() -> list[Scene]:
    """Scenes with many faces at once, and one scene without any face."""
    return [
        _one_shot("crowd-30", *_grid(HD, 6, 5, 24, 90, drift=0.7), frames=45, backdrop=3),
        _one_shot("crowd-120", *_grid(HD, 15, 8, 18, 56, drift=0.7), frames=24, backdrop=1),
        _one_shot("nobody", frames=60, backdrop=0, pan=(3.0, 0.0)),
    ]


SUITE: tuple[Scene, ...] = (
    *_sizes(),
    *_tilts(),
    *_crossings(),
    *_occlusions(),
    *_comings(),
    *_motions(),
    *_stills(),
    *_crowds(),
)
NAMES = tuple(scene.name for scene in SUITE)


def scenes(names: Sequence[str] = ()) -> list[Scene]:
    """Return the named scenes in the order of the suite, or all scenes if no name is given.

    Raises:
        ConfigError: If a name is unknown.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(f"unknown scene {unknown[0]!r}: use {', '.join(NAMES)}")
    return [scene for scene in SUITE if not names or scene.name in names]
