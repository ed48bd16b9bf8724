"""What a live sink writes: encoder, pixel format, settings, and what has to stay behind."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from av.codec.codec import find_best_pix_fmt_of_list

from crsr_video.config import OutputSettings
from crsr_video.errors import EncoderError
from crsr_video.io import encoders, pyav
from crsr_video.io.containers import MATROSKA, MOV, takes
from crsr_video.io.feed import Feed, SinkSettings
from crsr_video.io.hdr import hdr_options
from crsr_video.io.losses import INTERLACED, OWN_ASPECT
from crsr_video.io.outgoing import yuv4mpeg
from crsr_video.io.outgoing.address import PLAIN, Target
from crsr_video.io.outgoing.fitting import Shape, shape_for
from crsr_video.types import Frame

RAW = "rawvideo"
_RAW_CONTAINERS = ("nut", *PLAIN)
_PRESETS = {"libx264": "veryfast", "libx265": "ultrafast", "libsvtav1": "10", "h264_nvenc": "p3"}
_NO_DELAY: dict[str, dict[str, str]] = {
    "libx264": {"tune": "zerolatency", "forced-idr": "1"},
    "libx264rgb": {"tune": "zerolatency", "forced-idr": "1"},
    "libx265": {"tune": "zerolatency", "forced-idr": "1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "h264_nvenc": {"tune": "ull", "delay": "0", "zerolatency": "1", "forced-idr": "1"},
    "hevc_nvenc": {"tune": "ull", "delay": "0", "zerolatency": "1", "forced-idr": "1"},
}
"""Under which an encoder gives every picture back at once."""
_CRF = 20.0
"""x264's quality, where no bit rate is asked for."""
_NUT_UNREADABLE = frozenset(
    (
        *("nv16", "nv20le", "nv24", "nv42", "p010le", "p012le", "p016le", "p210le", "p212le"),
        *("p216le", "p410le", "p412le", "p416le", "ya16le", "yuv440p10le", "yuv440p12le"),
        "yuvj411p",
    )
)
"""Raw pictures for which NUT has no code: readers take them for something else."""


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What will be written."""

    target: Target
    choice: encoders.Choice
    shape: Shape
    rate: Fraction
    """Frames a second, nominally."""
    tick: Fraction
    """Seconds in which frames' times are counted; as fine as the source's, and a divisor."""
    keyframe_seconds: float
    """Between two keyframes at most."""
    notices: tuple[str, ...]

    @property
    def container(self) -> str:
        """FFmpeg's name of the muxer."""
        return self.target.container


def plan_sink(
    settings: SinkSettings, target: Target, feed: Feed, rate: Fraction | None
) -> SinkPlan:
    """Decide what is written; nothing is opened.

    Raises: EncoderError: no such encoder, or it does not fit the container or the picture.
    """
    first = feed.first
    encoder, told = _encoder(settings, target)
    size = first.width, first.height
    if encoder == RAW:
        shape = shape_for(first.layout, _raw_format(settings, target, first), size)
        options = {k: v for k, v in settings.options.items() if k != "pix_fmt"}
        encoders.leftover(options, RAW)
        choice = encoders.Choice(RAW, shape.pixel_format, {}, counted=False)
        told += _conversion(target, first, shape.pixel_format)
        if target.container == "rawvideo":
            what = f"{size[0]}x{size[1]} {shape.pixel_format}"
            told += (f"raw video: {what}, {_rate(rate or feed.info.rate)} frames a second",)
    else:
        choice, size = _choice(settings, target, encoder, feed, rate)
        shape = shape_for(first.layout, choice.pixel_format, size)
        told += choice.notices
    nominal = _rate(rate or feed.info.rate)
    told += tuple(_losses(target, encoder, first))
    fields = first.interlaced if _keeps_fields(target, encoder, shape, first) else "progressive"
    shape = replace(shape, sample_aspect=first.sample_aspect, interlaced=fields)
    if fields != first.interlaced:
        told += (f"{target.container} is not told of fields here: the picture stays interlaced",)
    seconds = 1.0 if target.kind == "hls" else 2.0
    tick = _tick(feed.info.time_base)
    return SinkPlan(target, choice, shape, nominal, tick, seconds, tuple(dict.fromkeys(told)))


def _keeps_fields(target: Target, encoder: str, shape: Shape, first: Frame) -> bool:
    """Whether the result says that its pictures are made of two fields.

    Encoders look at each picture's own mark, which is lost where it is converted.
    """
    if encoder == RAW:
        return target.container == "yuv4mpegpipe"
    same = (shape.pixel_format, *shape.size) == (first.layout.name, first.width, first.height)
    return same and encoder in INTERLACED


def _rate(rate: Fraction | None) -> Fraction:
    if rate is None or not 1 <= rate <= 1000:
        return Fraction(25)
    return rate.limit_denominator(1001)


def _tick(base: Fraction) -> Fraction:
    """A whole part of the source's tick, a millisecond or less: a later source may need it."""
    return base / max(1, -(-base * 1000 // 1)) if base > Fraction(1, 1000) else base


def _encoder(settings: SinkSettings, target: Target) -> tuple[str, tuple[str, ...]]:
    raw = target.container in _RAW_CONTAINERS
    if target.container in PLAIN and settings.codec not in (None, RAW):
        raise EncoderError(f"{target.container} holds raw pictures only, not {settings.codec}")
    asked = settings.codec or (RAW if raw else None)
    name, told = encoders.encoder_name("h264", asked, rgb=False)
    if target.container not in PLAIN and not takes(_muxer(target), name):
        raise EncoderError(f"{target.container} cannot hold {name}'s video")
    return name, told


def _muxer(target: Target) -> str:
    """The container that tells whether a codec fits; the two have none of their own."""
    return {"hls": "mpegts", "rtsp": "mpegts"}.get(target.container, target.container)


def _raw_format(settings: SinkSettings, target: Target, first: Frame) -> str:
    name = settings.options.get("pix_fmt", first.layout.name)
    if not _is_known(name):
        raise EncoderError(f"there is no pixel format {name!r} that could be written")
    if target.container == "yuv4mpegpipe":
        return name if name in yuv4mpeg.FORMATS else _nearest(name, tuple(yuv4mpeg.FORMATS))
    if target.container == "nut" and name in _NUT_UNREADABLE:
        readable = ("yuv420p", "yuv422p", "yuv444p", "yuv440p", "gray16le", "gbrap16le")
        deep = tuple(f"yuv{s}p{b}le" for s in ("420", "422", "444") for b in (10, 12, 16))
        return _nearest(name, (*readable, *deep))
    return name


def _is_known(name: str) -> bool:
    try:
        return pyav.pixel_format(name) is not None
    except ValueError:
        return False


def _nearest(name: str, offered: tuple[str, ...]) -> str:
    best = find_best_pix_fmt_of_list(list(offered), name, has_alpha=False)[0]
    assert best is not None
    return best.name


def _conversion(target: Target, first: Frame, new: str) -> tuple[str, ...]:
    old, fmt = pyav.pixel_format(first.layout.name), pyav.pixel_format(new)
    if old is None or fmt is None or not old.same_codes(fmt):
        what = f"{target.container} does not hold {first.layout.name} pictures"
        return (f"{what}: they are converted to {new}",)
    if old.alpha and not fmt.alpha:
        return (f"{target.container} holds no transparency, which is left out",)
    return ()


def _choice(
    settings: SinkSettings, target: Target, encoder: str, feed: Feed, rate: Fraction | None
) -> tuple[encoders.Choice, tuple[int, int]]:
    """The encoder's settings, and the size it is given."""
    layout = feed.first.layout
    size = feed.first.width, feed.first.height
    options = _NO_DELAY.get(encoder, {}) | dict(settings.options)
    told: tuple[str, ...] = ()
    player = target.networked or target.kind == "hls" or target.container == "flv"
    offered = [f.name for f in getattr(encoders.find(encoder), "video_formats", None) or ()]
    if player and "yuv420p" in offered and "pix_fmt" not in options:
        options["pix_fmt"] = "yuv420p"  # What every player and service takes.
        even = size[0] & ~1, size[1] & ~1
        if even != size:
            told = (f"a picture of {size[0]}x{size[1]} loses its last row or column for players",)
        size = even
    if settings.bitrate is not None and encoder.startswith("libx26"):  # A steady stream.
        options = {"maxrate": str(settings.bitrate), "bufsize": str(settings.bitrate)} | options
    rated = settings.bitrate is not None or options.keys() & {"crf", "qp", "b"}
    chosen = OutputSettings(
        crf=None if rated or not encoder.startswith("libx264") else _CRF,
        bitrate=settings.bitrate,
        preset=settings.preset or _PRESETS.get(encoder),
        options=options,
    )
    name, bits = layout.name, feed.info.bit_rate
    choice = encoders.choose(encoder, chosen, name, size, rate or feed.info.rate, bits)
    return _reworded(choice, name, told), size


def _reworded(choice: encoders.Choice, name: str, told: tuple[str, ...]) -> encoders.Choice:
    """The same with what is to be said of the pixel format, in this place's words."""
    old, new = pyav.pixel_format(name), pyav.pixel_format(choice.pixel_format)
    if old is None or new is None or not old.same_codes(new):
        told += (f"{name} pictures are converted to {choice.pixel_format} for {choice.encoder}",)
    elif old.alpha and not new.alpha:
        told += (f"{choice.encoder} holds no transparency, which is left out",)
    return encoders.Choice(
        choice.encoder, choice.pixel_format, choice.options, choice.counted, told
    )


def _losses(target: Target, encoder: str, first: Frame) -> Iterator[str]:
    """What hangs on the picture and is not written down."""
    where, attached = target.container, pyav.side_data(first.native) if first.native else {}
    turned = first.rotation or pyav.display_matrix(attached) is not None
    if turned and where not in MOV | MATROSKA:
        yield f"{where} does not hold the rotation: pictures stay as they are, not turned upright"
    if not hdr_options(encoder, attached)[1]:
        yield f"{encoder} does not hold HDR metadata"
    if encoder == RAW and first.layout.family == "yuv":
        if first.layout.full_range and where != "yuv4mpegpipe":
            yield f"{where} does not hold the range of raw pictures, which is full: tell the reader"
        if first.layout.matrix != "bt601":
            yield f"{where} does not hold the colour matrix of raw pictures: {first.layout.matrix}"
    held = encoder in OWN_ASPECT or where in MOV | {"nut", "yuv4mpegpipe"}
    if first.sample_aspect != 1 and not held:
        yield f"{where} with {encoder} does not get the sample aspect: square pixels"
