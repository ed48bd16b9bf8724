"""How pictures lie on the screen, and when."""

from fractions import Fraction

from crsr_video.errors import ConfigError
from crsr_video.types import Frame


def seconds(frame: Frame) -> Fraction:
    """Presentation time, exactly."""
    return frame.pts * frame.time_base


def scale_between(before: Frame, after: Frame) -> int:
    """How many times larger the second picture is; a pixel's difference is not counted.

    Raises: ConfigError: it is no whole multiple, or of another shape.
    """
    (w, h, aspect), (wide, high, other) = upright(before), upright(after)
    scale = max(1, round(wide / w))
    if abs(wide - scale * w) > scale or abs(high - scale * h) > scale:
        told = f"{wide}x{high} is no whole multiple of {w}x{h}"
        raise ConfigError(f"the pictures cannot be compared: {told}")
    if abs(other / aspect - 1) > Fraction(1, 50):
        raise ConfigError("the pictures cannot be compared: their pixels differ in shape")
    return scale


def upright(frame: Frame) -> tuple[int, int, Fraction]:
    """Width, height and sample aspect as a player shows the frame."""
    if frame.rotation % 180:
        return frame.height, frame.width, 1 / frame.sample_aspect
    return frame.width, frame.height, frame.sample_aspect
