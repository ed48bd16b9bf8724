"""Load the effect as a host would, and ask it who it is."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

from crsr_video.errors import PluginError

_FILTER = 0
_RGBA = 1
_FREI0R = 1
"""FREI0R_MAJOR_VERSION."""


class _Info(ctypes.Structure):
    """`f0r_plugin_info_t` of frei0r.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("author", ctypes.c_char_p),
        ("plugin_type", ctypes.c_int),
        ("color_model", ctypes.c_int),
        ("frei0r_version", ctypes.c_int),
        ("major_version", ctypes.c_int),
        ("minor_version", ctypes.c_int),
        ("num_params", ctypes.c_int),
        ("explanation", ctypes.c_char_p),
    )


class _Parameter(ctypes.Structure):
    """`f0r_param_info_t` of frei0r.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("explanation", ctypes.c_char_p),
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """What an effect says of itself."""

    name: str
    version: str
    """"major.minor"."""
    parameters: tuple[str, ...]
    """Their names, in the order in which FFmpeg takes them."""


def load(path: Path) -> Effect:
    """Load an effect, without making an instance.

    Raises: PluginError: it does not load, or is something else.
    """
    try:
        library = ctypes.CDLL(str(path))
        library.f0r_init.restype = ctypes.c_int
        if not library.f0r_init():
            raise PluginError(f"{path}: says that it cannot work here")
        info = _Info()
        library.f0r_get_plugin_info(ctypes.byref(info))
        names = [_parameter(library, index) for index in range(min(max(info.num_params, 0), 64))]
        library.f0r_deinit()
    except OSError as error:
        raise PluginError(f"{path}: does not load: {error}") from error
    except AttributeError as error:
        raise PluginError(f"{path}: is no frei0r effect") from error
    if info.frei0r_version != _FREI0R or (info.plugin_type, info.color_model) != (_FILTER, _RGBA):
        raise PluginError(f"{path}: is another kind of effect")
    version = f"{info.major_version}.{info.minor_version}"
    return Effect(_text(info.name), version, tuple(names))


def _parameter(library: ctypes.CDLL, index: int) -> str:
    told = _Parameter()
    library.f0r_get_param_info(ctypes.byref(told), ctypes.c_int(index))
    return _text(told.name)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
