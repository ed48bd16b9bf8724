"""What may happen to a face on its way through a camera and a codec, drawn at random."""

from dataclasses import dataclass, replace

import numpy as np

from crsr_video.training.codec import CODECS, Codec

FASTEST = 3.0
"""Native pixels a frame that a face or its background moves, at most."""


@dataclass(frozen=True)
class Spoiling:
    """What happens to one picture or clip; lengths in HR pixels."""

    defocus: float
    """Standard deviation of the lens blur."""
    motion: float
    """Length of the motion blur at its longest; under one pixel there is none."""
    angle: float
    """Direction of the motion, radians."""
    native: float
    """Side of the face as filmed, over the network's input size."""
    read_noise: float
    """Standard deviation in black, of values in [0, 1]."""
    shot_noise: float
    """What is added in white, likewise."""
    quality: int
    """Of JPEG, 1 to 100."""
    speed: float = 0.0
    """At most, native pixels a frame."""
    light: bool = False
    """Nearly nothing happens: no video codec either."""
    bend: float = 0.0
    """How far the path of the motion blur is curved, as a fraction of its length."""
    chroma_noise: float = 0.0
    """Standard deviation of correlated colour noise, of values in [0, 1]."""
    chroma_grain: float = 3.0
    """Size of that noise's grain, native pixels."""
    denoise: float = 0.0
    """Range of a bilateral noise filter, of values in [0, 1]; 0: there is none."""
    comb: float = 0.0
    """Native pixels by which the second field of each frame is displaced; 0: progressive."""
    sharpen_before: float = 0.0
    """Amount of an unsharp mask before compression."""
    sharpen_after: float = 0.0
    """Amount of an unsharp mask after compression."""
    sharpen_radius: float = 1.0
    """Standard deviation of the unsharp masks' blur, native pixels."""


@dataclass(frozen=True)
class Coding:
    """What a batch is compressed by."""

    codec: Codec
    quantiser: int
    """In the codec's own scale."""
    bidirectional: bool = False
    """With B frames."""
    rescale: float = 1.0
    """Factor of size at which a platform compresses the video a second time."""
    second: "Coding | None" = None
    """The second compression; None: there is none."""


def draw(rng: np.random.Generator, extra: float = 0.0) -> Spoiling:
    """A random spoiling; one in four is nearly none, so that good footage is not made worse.

    Args: extra: probability of one of `EXTRA_KINDS` besides.
    """
    basic = _basic(rng)
    if extra <= 0 or rng.random() >= extra:
        return basic
    kind = str(rng.choice(list(EXTRA_KINDS), p=list(EXTRA_KINDS.values())))
    return with_extra(basic, kind, rng)


EXTRA_KINDS = {"sharpened": 0.4, "shaken": 0.2, "dark": 0.2, "combed": 0.2}
"""Degradations beyond blur, noise and compression, with their probabilities."""


def with_extra(basic: Spoiling, kind: str, rng: np.random.Generator) -> Spoiling:
    """The same with one of `EXTRA_KINDS`.

    sharpened: halos of an unsharp mask in the camera, in an editor, or in both.
    shaken: long and curved motion blur. dark: low light, with strong and coloured noise, which a
    noise filter has smeared in half the cases. combed: two fields of different moments in a frame.
    """
    if kind == "sharpened":
        where = rng.integers(1, 4)
        amounts = 0.3 + 1.7 * rng.random(2) ** 1.5
        return replace(
            basic,
            sharpen_before=float(amounts[0]) if where & 1 else 0.0,
            sharpen_after=float(amounts[1]) if where & 2 else 0.0,
            sharpen_radius=rng.uniform(0.6, 1.8),
        )
    if kind == "shaken":
        length = rng.uniform(6.0, 30.0)
        return replace(
            basic,
            motion=length,
            angle=rng.uniform(0.0, 2 * np.pi),
            bend=rng.uniform(-0.4, 0.4),
            speed=length / 12 * FASTEST,
            defocus=min(basic.defocus, 2.0),
            light=False,
        )
    if kind == "dark":
        return replace(
            basic,
            read_noise=rng.uniform(3, 14) / 255,
            shot_noise=rng.uniform(3, 14) / 255,
            chroma_noise=rng.uniform(2, 12) / 255,
            chroma_grain=rng.uniform(1.0, 4.0),
            denoise=rng.uniform(0.04, 0.2) if rng.random() < 0.6 else 0.0,
            light=False,
        )
    return replace(basic, comb=float(rng.choice([-1, 1])) * rng.uniform(0.7, 3.0), light=False)


def _basic(rng: np.random.Generator) -> Spoiling:
    if rng.random() < 0.25:
        return Spoiling(
            defocus=rng.uniform(0.0, 1.0),
            motion=0.0,
            angle=0.0,
            native=rng.uniform(0.9, 1.3),
            read_noise=rng.uniform(0.0, 1.0) / 255,
            shot_noise=0.0,
            quality=int(rng.integers(90, 98)),
            light=True,
        )
    # Squares make the strong cases rare: most footage is a little bad, some is very bad.
    motion = rng.uniform(2.0, 12.0) if rng.random() < 0.25 else 0.0
    return Spoiling(
        defocus=rng.uniform(0.3, 3.5),
        motion=motion,
        angle=rng.uniform(0.0, 2 * np.pi),
        native=rng.uniform(0.5, 1.3),
        read_noise=8 / 255 * rng.random() ** 2,
        shot_noise=9 / 255 * rng.random() ** 2,
        quality=int(95 - 75 * rng.random() ** 1.5),
        # A shutter open all the time blurs over the way from frame to frame.
        speed=motion / 12 * FASTEST if motion else FASTEST * rng.random() ** 2,
    )


def draw_coding(rng: np.random.Generator, extra: float = 0.0) -> Coding:
    """A random codec and quality; bad ones are a little rarer.

    Args: extra: half the probability of a second compression at another size.
    """
    first = _coding(rng)
    if extra <= 0 or rng.random() >= extra / 2:
        return first
    return replace(first, rescale=rng.uniform(0.55, 1.0), second=_coding(rng))


def _coding(rng: np.random.Generator) -> Coding:
    codecs = list(CODECS.values())
    shares = np.array([codec.share for codec in codecs])
    codec = codecs[int(rng.choice(len(codecs), p=shares / shares.sum()))]
    badness = rng.random() ** 1.3
    quantiser = round(codec.good + (codec.bad - codec.good) * badness)
    return Coding(codec, quantiser, bidirectional=bool(rng.random() < 0.4))
