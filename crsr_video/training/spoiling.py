"""What may happen to a face on its way through a camera and a codec, drawn at random."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Coding:
    """What a batch is compressed by."""

    codec: Codec
    quantiser: int
    """In the codec's own scale."""
    bidirectional: bool = False
    """With B frames."""


def draw(rng: np.random.Generator) -> Spoiling:
    """A random spoiling; one in four is nearly none, so that good footage is not made worse."""
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


def draw_coding(rng: np.random.Generator) -> Coding:
    """A random codec and quality; bad ones are a little rarer."""
    codecs = list(CODECS.values())
    shares = np.array([codec.share for codec in codecs])
    codec = codecs[int(rng.choice(len(codecs), p=shares / shares.sum()))]
    badness = rng.random() ** 1.3
    quantiser = round(codec.good + (codec.bad - codec.good) * badness)
    return Coding(codec, quantiser, bidirectional=bool(rng.random() < 0.4))
