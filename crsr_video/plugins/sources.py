"""Where the effect's source and the editors' descriptions are."""

from pathlib import Path

from crsr_video.errors import PluginError

_INSTALLED = Path(__file__).parent / "data"
"""Of a wheel, which takes them along."""
_CLONE = Path(__file__).parents[2] / "plugins"
"""In a clone they lie beside the package."""

EFFECT = "frei0r/crsr.c"
"""Beside it lie the headers that it includes."""
KDENLIVE = "kdenlive/frei0r_crsr.xml"
SHOTCUT = ("shotcut/crsr/meta.qml", "shotcut/crsr/ui.qml")
ALL = (EFFECT, KDENLIVE, *SHOTCUT)
"""Everything that is installed from, relative to ``plugins``."""


def effect() -> tuple[Path, ...]:
    """Everything that the effect is compiled from, the C file first.

    Raises: PluginError: this installation is without it.
    """
    main = find(EFFECT)
    return (main, *sorted(main.parent.glob("*.h")))


def find(name: str) -> Path:
    """The file of one of `ALL`.

    Raises: PluginError: this installation is without it.
    """
    for folder in (_INSTALLED, _CLONE):
        if (folder / name).is_file():
            return folder / name
    raise PluginError(f"{name} is missing from this installation of crsr-video; install it anew")
