"""The chain of FFmpeg filters around the effect: into its RGBA and back, with nothing shifted.

Left to itself, FFmpeg converts with the matrix of standard definition, and forgets range and tags
on the way.
"""

from dataclasses import dataclass

from crsr_video.types import FieldOrder, PixelLayout

_ROUNDING = "flags=bicubic+accurate_rnd+full_chroma_int"
_MATRICES = {"bt601": "smpte170m"}
"""The scale filter's names, where they are not ours."""

_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film"}
_PRIMARIES |= {9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432"}
_TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear"}
_TRANSFERS |= {9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1"}
_TRANSFERS |= {14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428"}
_TRANSFERS |= {18: "arib-std-b67"}
_SPACES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
_SPACES |= {8: "ycgco", 9: "bt2020nc", 10: "bt2020c"}
"""FFmpeg's names of the codes of H.273."""

_UPRIGHT = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}
_BACK = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What a video says of its colours: codes of H.273."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0
    """1: limited, 2: full, 0: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The effect's."""

    strength: float = 1.0
    min_face: float = 16.0
    """Pixels."""
    model: str = "fast"
    compare: bool = False
    debug: bool = False
    tracks: str = ""
    """Absolute path of a tracks file."""
    persons: str = ""
    """Whom to enhance, as the effect takes it: 1,4 or 2=off."""


ROW = 16
"""FFmpeg makes rows of a multiple of so many pixels, and tells a frei0r effect nothing of it: an
effect would see a picture of any other width slanted."""
MIN_FACE_UNIT = 256
"""Pixels of a face for which the effect's parameter is 1."""


def effect(parameters: Parameters) -> str:
    """The effect as a filter, with as many parameters as are not as usual."""
    words = _words(parameters)
    usual = _words(Parameters())
    while len(words) > 1 and words[-1] == usual[len(words) - 1]:
        words.pop()
    values = "|".join(escaped(word, "|") for word in words)
    return f"frei0r=crsr:{escaped(escaped(values, ':'), '[],;')}"


def escaped(text: str, special: str) -> str:
    """Text for one level of FFmpeg's parsers, each of which takes a layer of backslashes off."""
    marked = "".join(f"\\{char}" if char in f"{special}\\'" else char for char in text)
    # Blanks at either end would be cut off.
    stripped = marked.strip(" \n\t\r")
    if not stripped:
        return "".join(f"\\{char}" for char in marked)
    before, _, after = marked.partition(stripped)
    return "".join((*(f"\\{c}" for c in before), stripped, *(f"\\{c}" for c in after)))


def _words(parameters: Parameters) -> list[str]:
    return [
        f"{parameters.strength:g}",
        f"{parameters.min_face / MIN_FACE_UNIT:g}",
        parameters.model,
        "y" if parameters.compare else "n",
        "y" if parameters.debug else "n",
        parameters.tracks,
        parameters.persons,
    ]


def chain(
    layout: PixelLayout,
    parameters: Parameters,
    *,
    size: tuple[int, int],
    target: str,
    tags: Tags,
    rotation: int = 0,
    interlaced: FieldOrder = "progressive",
) -> str:
    """The filters.

    Args: layout: of the source. size: its width and height.
          target: pixel format of the result, FFmpeg's name.
          rotation: degrees counter-clockwise in {0, 90, 180, 270} that set the picture upright for
          the effect; it is turned back afterwards.
    """
    woven = interlaced != "progressive"
    width, height = size if rotation % 180 == 0 else size[::-1]
    wide = -(-width // ROW) * ROW
    filters = [
        _scale("in", layout, woven),
        "format=rgba",
        _UPRIGHT.get(rotation, ""),
        f"pad={wide}:{height}" if wide != width else "",
        effect(parameters),
        f"crop={width}:{height}:0:0" if wide != width else "",
        _BACK.get(rotation, ""),
        _scale("out", layout, woven),
        f"format={target}",
        retag(tags),
        {"top": "setfield=tff", "bottom": "setfield=bff"}.get(interlaced, ""),
    ]
    return ",".join(part for part in filters if part)


def _scale(side: str, layout: PixelLayout, woven: bool) -> str:
    """The conversion on one side of the effect; nothing, where RGB only changes its order."""
    if layout.family == "rgb":
        return ""
    interlaced = ":interl=1" if woven else ""
    codes = "pc" if layout.full_range else "tv"
    matrix = _MATRICES.get(layout.matrix, layout.matrix)
    return f"scale={side}_color_matrix={matrix}:{side}_range={codes}{interlaced}:{_ROUNDING}"


def retag(tags: Tags) -> str:
    """A filter that says again what the source said; nothing, if it said nothing."""
    told = {
        "range": {1: "tv", 2: "pc"}.get(tags.range),
        "color_primaries": _PRIMARIES.get(tags.primaries),
        "color_trc": _TRANSFERS.get(tags.transfer),
        "colorspace": _SPACES.get(tags.matrix),
    }
    words = [f"{key}={value}" for key, value in told.items() if value is not None]
    return f"setparams={':'.join(words)}" if words else ""
