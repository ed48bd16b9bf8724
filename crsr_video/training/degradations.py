"""Draw random parameters of the degradations that cameras, codecs and editors cause."""

from dataclasses import dataclass, replace

import numpy as np

from crsr_video.training.codec import CODECS, Codec

MAX_SPEED_PX = 3.0
"""Maximum speed of a face or its background, in native pixels per frame. Shaken faces move
faster."""

EXTRA_KINDS = {"sharpened": 0.4, "shaken": 0.2, "dark": 0.2, "combed": 0.2}
"""Degradations beyond blur, noise and compression, with their probabilities."""


@dataclass(frozen=True)
class Degradation:
    """Parameters of the degradation of one face.

    Lengths are in pixels of the high-resolution picture, or in native pixels, which are those of
    the camera, where stated. Noise is relative to white.
    """

    defocus: float
    """Standard deviation of the lens blur."""
    motion: float
    """Maximum length of the motion blur. Below one pixel, there is no motion blur."""
    angle: float
    native_scale: float
    """Side of the crop in native pixels, relative to its side in the network's input."""
    read_noise: float
    """Standard deviation of the noise in black areas."""
    shot_noise: float
    """Additional standard deviation of the noise in white areas."""
    quality: int
    """JPEG quality, 1 to 100."""
    speed: float = 0.0
    """Maximum speed of the face, in native pixels per frame."""
    is_light: bool = False
    """Whether video compression is left out, so that the face is hardly degraded."""
    bend: float = 0.0
    """Sagitta of the curved path of the motion blur, relative to the path's length."""
    chroma_noise: float = 0.0
    """Standard deviation of correlated colour noise."""
    chroma_grain: float = 3.0
    """Size of the grain of the colour noise, in native pixels."""
    denoise: float = 0.0
    """Range parameter of a bilateral noise filter, or 0 for no filter."""
    comb: float = 0.0
    """Native pixels by which the second field of each frame is displaced, or 0 for progressive
    video."""
    sharpen_before: float = 0.0
    """Amount of an unsharp mask before compression."""
    sharpen_after: float = 0.0
    """Amount of an unsharp mask after compression."""
    sharpen_radius: float = 1.0
    """Standard deviation of the blur of the unsharp masks, in native pixels."""
    is_linear: bool = False
    """Whether blur and noise act on linear light, as in a camera, instead of encoded values."""


@dataclass(frozen=True)
class Compression:
    """Parameters of the video compression of a batch."""

    codec: Codec
    quantiser: int
    """Quantiser on the codec's own scale."""
    has_b_frames: bool = False
    depth: int | None = None
    """Number of frames since the key frame, or None for a random number from 1 to 5."""
    bits_per_pixel: float | None = None
    """Bit rate that is used instead of the quantiser, if not None. There is a cut shortly before
    the frame, for which this bit rate is too low."""
    rescale: float = 1.0
    """Size of the video in the second compression, relative to its size in the first."""
    second: "Compression | None" = None
    """The second compression, such as that of a video platform, or None if there is none."""


def draw_degradation(rng: np.random.Generator, extra: float = 0.0) -> Degradation:
    """Draw a degradation.

    One in four degradations is light, so that networks do not learn to make good footage worse.

    Args:
        rng: Generator for all random choices.
        extra: Probability that one of `EXTRA_KINDS` is added. If it is greater than 0, blur and
            noise always act on linear light.
    """
    basic = _basic(rng)
    if extra <= 0:
        return basic
    basic = replace(basic, is_linear=True)
    if rng.random() >= extra:
        return basic
    kind = str(rng.choice(list(EXTRA_KINDS), p=list(EXTRA_KINDS.values())))
    return with_extra(basic, kind, rng)


def _basic(rng: np.random.Generator) -> Degradation:
    if rng.random() < 0.25:
        return Degradation(
            defocus=rng.uniform(0.0, 1.0),
            motion=0.0,
            angle=0.0,
            native_scale=rng.uniform(0.9, 1.3),
            read_noise=rng.uniform(0.0, 1.0) / 255,
            shot_noise=0.0,
            quality=int(rng.integers(90, 98)),
            is_light=True,
        )
    # Squared random numbers make strong degradations rare: most footage is only slightly bad.
    motion = rng.uniform(2.0, 12.0) if rng.random() < 0.25 else 0.0
    return Degradation(
        defocus=rng.uniform(0.3, 3.5),
        motion=motion,
        angle=rng.uniform(0.0, 2 * np.pi),
        native_scale=rng.uniform(0.5, 1.3),
        read_noise=8 / 255 * rng.random() ** 2,
        shot_noise=9 / 255 * rng.random() ** 2,
        quality=int(95 - 75 * rng.random() ** 1.5),
        # A shutter that is always open blurs over the whole motion between two frames.
        speed=motion / 12 * MAX_SPEED_PX if motion else MAX_SPEED_PX * rng.random() ** 2,
    )


def with_extra(basic: Degradation, kind: str, rng: np.random.Generator) -> Degradation:
    """Return a degradation with one of `EXTRA_KINDS` added.

    - sharpened: halos of an unsharp mask in the camera, in an editor, or in both
    - shaken: long and curved motion blur
    - dark: low light with strong, coloured noise, which in most cases a noise filter has smeared
    - combed: interlaced video, in which each frame holds two fields from different moments
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
            speed=length / 12 * MAX_SPEED_PX,
            defocus=min(basic.defocus, 2.0),
            is_light=False,
        )
    if kind == "dark":
        return replace(
            basic,
            read_noise=rng.uniform(3, 14) / 255,
            shot_noise=rng.uniform(3, 14) / 255,
            chroma_noise=rng.uniform(2, 12) / 255,
            chroma_grain=rng.uniform(1.0, 4.0),
            denoise=rng.uniform(0.04, 0.2) if rng.random() < 0.6 else 0.0,
            is_light=False,
        )
    comb = float(rng.choice([-1, 1])) * rng.uniform(0.7, 3.0)
    return replace(basic, comb=comb, is_light=False)


def draw_compression(rng: np.random.Generator, extra: float = 0.0) -> Compression:
    """Draw a codec and a quality. Low quality is slightly less likely than high quality.

    Args:
        rng: Generator for all random choices.
        extra: Probability of one of three complications: a second compression at another size, a
            frame far from the key frame, or a limited bit rate with a cut before the frame.
    """
    first = _compression(rng)
    if extra <= 0 or rng.random() >= extra:
        return first
    kind = rng.choice(3, p=(0.5, 0.3, 0.2))
    if kind == 0:
        return replace(first, rescale=rng.uniform(0.55, 1.0), second=_compression(rng))
    if kind == 1:
        return replace(first, depth=int(rng.integers(6, 30)))
    return replace(first, bits_per_pixel=float(np.exp(rng.uniform(np.log(0.1), np.log(0.8)))))


def _compression(rng: np.random.Generator) -> Compression:
    codecs = list(CODECS.values())
    shares = np.array([codec.share for codec in codecs])
    codec = codecs[int(rng.choice(len(codecs), p=shares / shares.sum()))]
    badness = rng.random() ** 1.3
    quantiser = round(codec.good + (codec.bad - codec.good) * badness)
    return Compression(codec, quantiser, has_b_frames=bool(rng.random() < 0.4))
