"""FFmpeg filters around the effect: the conversion to RGBA and back, with exact colours.

Without them, FFmpeg converts with the matrix of standard definition, and loses the range and the
colour tags.
"""

from dataclasses import dataclass

from crsr_video.types import FieldOrder, PixelLayout

_SCALE_FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int"
_MATRICES = {"bt601": "smpte170m"}
"""Matrices whose names in the scale filter differ from those of `PixelLayout`."""

# FFmpeg's names of the codes of ITU-T H.273.
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film"}
_PRIMARIES |= {9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432"}
_TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear"}
_TRANSFERS |= {9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1"}
_TRANSFERS |= {14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428"}
_TRANSFERS |= {18: "arib-std-b67"}
_SPACES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}
_SPACES |= {8: "ycgco", 9: "bt2020nc", 10: "bt2020c"}

_TURN_UPRIGHT = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}
_TURN_BACK = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}

WIDTH_MULTIPLE = 16
"""FFmpeg pads rows to a multiple of this many pixels without telling a frei0r effect, which would
see a picture of any other width slanted."""
MIN_FACE_UNIT = 256
"""Width of a face in pixels for which the effect's parameter is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourTags:
    """The colour tags of a video, as codes of ITU-T H.273."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0
    """1 is limited, 2 is full, 0 is unspecified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectParameters:
    """The parameters of the effect, in the order in which it declares them."""

    strength: float = 1.0
    """Share of the correction that is applied, 0 to 1."""
    min_face: float = 16.0
    """Width in pixels below which faces are left alone."""
    model: str = "fast"
    """Name of a shipped model, or absolute path of weights."""
    compare: bool = False
    """Leave the left half of the frame as it was."""
    debug: bool = False
    """Draw boxes and landmarks."""
    tracks: str = ""
    """Absolute path of a tracks file."""
    persons: str = ""
    """Which track IDs to enhance, such as 1,4 or 2=off."""
    head: bool = False
    """Enhance the whole head rather than the face."""


def effect_filter(parameters: EffectParameters) -> str:
    """Return the effect as an FFmpeg filter, without trailing parameters that have defaults."""
    words = _words(parameters)
    defaults = _words(EffectParameters())
    while len(words) > 1 and words[-1] == defaults[len(words) - 1]:
        words.pop()
    values = "|".join(escaped(word, "|") for word in words)
    return f"frei0r=crsr:{escaped(escaped(values, ':'), '[],;')}"


def escaped(text: str, special: str) -> str:
    """Return text for one of FFmpeg's parsers, each of which removes one layer of backslashes.

    Args:
        text: The text.
        special: The characters that this parser treats specially.
    """
    marked = "".join(f"\\{char}" if char in f"{special}\\'" else char for char in text)
    # Spaces at either end would be removed.
    stripped = marked.strip(" \n\t\r")
    if not stripped:
        return "".join(f"\\{char}" for char in marked)
    before, _, after = marked.partition(stripped)
    return "".join((*(f"\\{c}" for c in before), stripped, *(f"\\{c}" for c in after)))


def _words(parameters: EffectParameters) -> list[str]:
    return [
        f"{parameters.strength:g}",
        f"{parameters.min_face / MIN_FACE_UNIT:g}",
        parameters.model,
        "y" if parameters.compare else "n",
        "y" if parameters.debug else "n",
        parameters.tracks,
        parameters.persons,
        "y" if parameters.head else "n",
    ]


def filter_chain(
    layout: PixelLayout,
    parameters: EffectParameters,
    *,
    size: tuple[int, int],
    pixel_format: str,
    tags: ColourTags,
    rotation: int = 0,
    interlaced: FieldOrder = "progressive",
) -> str:
    """Return the filters that enhance a video.

    Args:
        layout: Pixel layout of the source.
        parameters: Parameters of the effect.
        size: Width and height of the source.
        pixel_format: FFmpeg's name of the pixel format of the result.
        tags: Colour tags of the source.
        rotation: Degrees counter-clockwise, 0, 90, 180 or 270, that turn the picture upright for
            the effect. It is turned back afterwards.
        interlaced: Field order of the source.
    """
    is_interlaced = interlaced != "progressive"
    width, height = size if rotation % 180 == 0 else size[::-1]
    padded = -(-width // WIDTH_MULTIPLE) * WIDTH_MULTIPLE
    filters = [
        _scale("in", layout, is_interlaced),
        "format=rgba",
        _TURN_UPRIGHT.get(rotation, ""),
        f"pad={padded}:{height}" if padded != width else "",
        effect_filter(parameters),
        f"crop={width}:{height}:0:0" if padded != width else "",
        _TURN_BACK.get(rotation, ""),
        _scale("out", layout, is_interlaced),
        f"format={pixel_format}",
        tag_filter(tags),
        {"top": "setfield=tff", "bottom": "setfield=bff"}.get(interlaced, ""),
    ]
    return ",".join(part for part in filters if part)


def _scale(side: str, layout: PixelLayout, is_interlaced: bool) -> str:
    """Return the conversion on one side of the effect. RGB needs no conversion."""
    if layout.family == "rgb":
        return ""
    interlaced = ":interl=1" if is_interlaced else ""
    codes = "pc" if layout.full_range else "tv"
    matrix = _MATRICES.get(layout.matrix, layout.matrix)
    return f"scale={side}_color_matrix={matrix}:{side}_range={codes}{interlaced}:{_SCALE_FLAGS}"


def tag_filter(tags: ColourTags) -> str:
    """Return a filter that sets the colour tags, or nothing if there are none."""
    values = {
        "range": {1: "tv", 2: "pc"}.get(tags.range),
        "color_primaries": _PRIMARIES.get(tags.primaries),
        "color_trc": _TRANSFERS.get(tags.transfer),
        "colorspace": _SPACES.get(tags.matrix),
    }
    words = [f"{key}={value}" for key, value in values.items() if value is not None]
    return f"setparams={':'.join(words)}" if words else ""
