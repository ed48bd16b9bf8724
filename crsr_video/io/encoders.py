"""Which encoder follows a source, with which settings, and which pixel format it is given."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from av.codec import Codec, CodecContext
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import pyav
from crsr_video.io.quality import MPEG_FAMILY, options_for

FALLBACK = "libx264"

FOR_CODEC: dict[str, tuple[str, ...]] = {
    "h264": ("libx264", "h264_videotoolbox", "h264_mf"),
    "hevc": ("libx265", "hevc_videotoolbox", "hevc_mf"),
    "vp8": ("libvpx",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1", "librav1e"),
    "mpeg4": ("mpeg4",),
    "mpeg2video": ("mpeg2video",),
    "mpeg1video": ("mpeg1video",),
    "mjpeg": ("mjpeg",),
    "prores": ("prores_ks",),
    "dnxhd": ("dnxhd",),
    "ffv1": ("ffv1",),
    "theora": ("libtheora",),
    "flv1": ("flv",),
    "msmpeg4v3": ("msmpeg4",),
    "wmv1": ("wmv1",),
    "wmv2": ("wmv2",),
    "huffyuv": ("huffyuv",),
    "ffvhuff": ("ffvhuff",),
    "utvideo": ("utvideo",),
    "magicyuv": ("magicyuv",),
    "rawvideo": ("rawvideo",),
    "png": ("png",),
    "qtrle": ("qtrle",),
}
"""Encoders of a codec, the preferred one first; any other codec becomes `FALLBACK`."""

LISTED = (
    *dict.fromkeys(name for names in FOR_CODEC.values() for name in names),
    *("libx264rgb", "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv"),
    *("h264_vaapi", "hevc_vaapi", "libopenh264"),
)

_HARDWARE = ("_nvenc", "_qsv", "_vaapi", "_amf", "_videotoolbox", "_mf")

_COUNTED = frozenset((*MPEG_FAMILY, "libxvid", "libtheora"))
"""Encoders whose own clock only counts frames, or has too few bits for a container's ticks."""

_EVEN = frozenset(("libx264", "libx264rgb", "libx265", "libsvtav1", "prores_ks", "dnxhd"))
"""Encoders that refuse a picture its subsampled chroma does not divide."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An encoder and what it is given."""

    encoder: str
    pixel_format: str
    options: dict[str, str]
    counted: bool
    """Its clock counts frames; presentation times are restored on its packets."""
    notices: tuple[str, ...] = field(default=())


def available_encoders() -> tuple[str, ...]:
    """The known video encoders that this FFmpeg has, and that work on this machine."""
    return tuple(name for name in LISTED if find(name) is not None and _works(name))


def has_own_rate(name: str) -> bool:
    """Whether an encoder's profile or losslessness decides on its bit rate."""
    codec = find(name)
    fixed = name in ("prores_ks", "dnxhd")
    return fixed or (codec is not None and codec.lossless and not codec.lossy)


def needs_device(name: str) -> bool:
    """Whether an encoder is a piece of hardware."""
    return name.endswith(_HARDWARE)


def _works(name: str) -> bool:
    """Whether an encoder that needs hardware finds it."""
    if not needs_device(name):
        return True
    try:
        context = CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.time_base = 256, 256, Fraction(1, 25)
        context.pix_fmt = "nv12"
        context.open()
    except (FFmpegError, ValueError, OSError):
        return False
    return True


def find(name: str) -> Codec | None:
    """A video encoder by its name; None: not in this build."""
    try:
        codec = Codec(name, "w")
    except (UnknownCodecError, ValueError):
        return None
    return codec if codec.type == "video" and codec.name == name else None


def encoder_name(codec: str, asked: str | None, rgb: bool) -> tuple[str, tuple[str, ...]]:
    """Name of the encoder to use, and what to tell the user about it.

    Args: codec: FFmpeg's name of the source's codec. asked: an encoder or codec by name.
          rgb: the source carries RGB.
    Raises: EncoderError: the encoder asked for does not exist.
    """
    if asked is not None:
        names = (asked, *FOR_CODEC.get(asked, ()))
        found = next((name for name in names if find(name)), None)
        if found is None:
            raise EncoderError(f"there is no video encoder {asked!r} in this FFmpeg")
        return found, ()
    if codec == "h264" and rgb and find("libx264rgb"):
        return "libx264rgb", ()
    for name in FOR_CODEC.get(codec, ()):
        if find(name):
            return name, ()
    if not find(FALLBACK):
        raise EncoderError(f"there is no encoder for {codec} in this FFmpeg, nor {FALLBACK}")
    return FALLBACK, (f"{codec} cannot be encoded here, {FALLBACK} is used instead",)


def choose(
    encoder: str,
    settings: OutputSettings,
    source_format: str,
    size: tuple[int, int],
    rate: Fraction | None,
    source_bit_rate: int,
    profile: str | None = None,
) -> Choice:
    """Pixel format and options for an encoder.

    Args: size: (width, height) of the result. source_bit_rate: bits a second, 0: unknown.
          profile: of the source, if it has the encoder's codec.
    Raises: EncoderError: there is no such encoder, no pixel format will do, or the settings do not
            exist there.
    """
    codec = find(encoder)
    if codec is None:
        raise EncoderError(f"there is no video encoder {encoder!r} in this FFmpeg")
    asked = settings.options.get("pix_fmt")
    target = asked or nearest_format(encoder, source_format, *size)
    formats = [f.name for f in codec.video_formats or ()]
    if formats and target not in formats:
        raise EncoderError(f"{encoder} does not take pixel format {target}")
    notices = []
    old, new = pyav.pixel_format(source_format), pyav.pixel_format(target)
    if old is None or new is None or not old.same_codes(new):
        notices.append(f"{encoder} does not take {source_format} here, {target} is used instead")
    elif old.alpha and not new.alpha:
        notices.append(f"{encoder} holds no transparency, which is left out")
    options = options_for(codec, settings, target, size, rate, source_bit_rate, profile)
    return Choice(encoder, target, options, encoder in _COUNTED, tuple(notices))


def nearest_format(encoder: str, name: str, width: int, height: int) -> str:
    """The encoder's pixel format that is closest to a source's.

    Raises: EncoderError: it takes none at this size.
    """
    codec = find(encoder)
    offered = [f.name for f in (codec.video_formats if codec else None) or ()]
    if not offered:
        return name
    fits = [f for f in offered if pyav.pixel_format(f) and _fits(encoder, f, width, height)]
    try:
        return nearest_of(fits, name)
    except EncoderError as error:
        told = f"{encoder} takes no picture of {width}x{height} pixels"
        raise EncoderError(told) from error


def nearest_of(fits: list[str], name: str) -> str:
    """The pixel format of a list that is closest to another.

    Raises: EncoderError: the list is empty.
    """
    if name in fits:
        return name
    source = pyav.pixel_format(name)
    exact = [f for f in fits if (p := pyav.pixel_format(f)) and source and source.same_codes(p)]
    if exact:
        return max(exact, key=lambda f: _alpha(f) == _alpha(name))
    # yuvj formats mean full range, which only a full-range source has.
    plain = [f for f in fits if not f.startswith("yuvj") or name.startswith("yuvj")]
    best = find_best_pix_fmt_of_list(plain, name, _alpha(name))[0] if plain else None
    if best is None:
        raise EncoderError(f"there is no pixel format like {name}")
    return best.name


def _alpha(name: str) -> bool:
    fmt = pyav.pixel_format(name)
    return fmt is not None and fmt.alpha


def _fits(encoder: str, name: str, width: int, height: int) -> bool:
    fmt = pyav.pixel_format(name)
    if fmt is None or encoder not in _EVEN:
        return True
    return width % (1 << fmt.x_shift) == 0 and height % (1 << fmt.y_shift) == 0


def leftover(options: Iterable[str], encoder: str) -> None:
    """Raises: EncoderError: options that the encoder did not take."""
    names = ", ".join(sorted(options))
    if names:
        raise EncoderError(f"{encoder} has no option {names}")
