"""Make the sample clips: one real face, made small, soft, noisy and codec-crushed.

A sitter is cut out of a public-domain portrait and moved, with a simulated camera, before a
defocused view of the portrait's own background; then the picture is spoilt and compressed.
Every step is seeded and single-threaded: the same library versions write the same bytes.

    python clips/make_clips.py [--out DIR]
"""

import argparse
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import cache
from itertools import accumulate, chain
from math import cos, pi, radians, sin
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

Floats = NDArray[np.floating[Any]]

TICKS_PER_SECOND = 90_000
AUDIO_HERTZ = 48_000
SUPERSAMPLING = 3
"""Drawn this much larger, even the smallest sitter is no smaller than its portrait: no aliasing."""

OUTLINE = (
    (33, 512), (25, 480), (23, 450), (20, 400), (25, 360), (32, 320), (40, 300), (43, 280),
    (53, 260), (77, 235), (97, 220), (113, 207), (113, 188), (122, 178), (128, 168), (138, 157),
    (150, 151), (165, 148), (184, 149), (182, 132), (176, 131), (170, 119), (158, 108), (155, 98),
    (153, 72), (156, 60), (163, 50), (173, 43), (188, 38), (192, 31), (200, 24), (212, 19),
    (225, 16), (240, 16), (255, 20), (268, 27), (280, 34), (290, 45), (296, 58), (299, 72),
    (301, 86), (299, 98), (293, 110), (284, 120), (276, 133), (266, 137), (264, 148), (259, 160),
    (256, 172), (275, 186), (288, 198), (298, 212), (305, 234), (320, 244), (342, 264), (349, 281),
    (356, 297), (358, 320), (363, 332), (361, 342), (370, 348), (381, 345), (398, 343), (420, 345),
    (437, 351), (454, 362), (473, 380), (487, 404), (494, 426), (497, 449), (506, 463), (512, 482),
    (512, 512),
)  # fmt: skip
"""The sitter's outline in the portrait, (x, y), traced by hand."""


@dataclass(frozen=True)
class Layer:
    """A cut-out or background, and how it moves. Lengths are frame pixels."""

    plate: str
    """A key of `plates()`."""
    centre: tuple[float, float]
    """Where the plate's pivot (the sitter's nose) rests in the frame."""
    scale: float
    """Frame pixels per portrait pixel; the face is about 95 portrait pixels wide."""
    _: KW_ONLY
    sway: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    tilt_degrees: float = 0.0
    period_seconds: float = 6.0
    mirrored: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Shot:
    """Layers from back to front, from one cut to the next."""

    layers: tuple[Layer, ...]
    _: KW_ONLY
    until_seconds: float = 60.0
    shake: float = 0.0
    """Amplitude of the hand-held camera's shake, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One file: when its frames are shown, what they show and how they are spoilt."""

    size: tuple[int, int]
    start: int
    """The first frame's time, in ticks; the audio starts at 0."""
    durations: tuple[int, ...]
    """Each frame's time on screen, in ticks."""
    shots: tuple[Shot, ...]
    chord_hertz: tuple[float, ...]
    blur: float
    noise: float
    crf: int
    matrix: Colorspace = Colorspace.ITU709

    @property
    def times(self) -> list[int]:
        """Every frame's presentation time, and the end of the last frame."""
        return list(accumulate(self.durations, initial=self.start))


@cache
def plates() -> dict[str, tuple[Image.Image, tuple[float, float]]]:
    """Return each plate (RGBA) and its pivot, in the portrait's coordinates."""
    portrait = astronaut().astype(np.float32)
    outline = Image.new("L", portrait.shape[1::-1])
    ImageDraw.Draw(outline).polygon(OUTLINE, fill=255)
    inside = np.asarray(outline, np.float32)[..., None] / 255
    # Twice the blur less one is 0 on the outline: it feathers inwards and lets no backdrop in.
    alpha = np.clip(2 * gaussian_filter(inside, (1.2, 1.2, 0), mode="nearest") - 1, 0, 1)
    sitter = np.dstack((portrait, 255 * alpha)).round().astype(np.uint8)
    backdrop = _defocus_around(portrait, inside).round().astype(np.uint8)
    return {
        "sitter": (Image.fromarray(sitter), (224.0, 118.0)),
        "backdrop": (Image.fromarray(backdrop).convert("RGBA"), (256.0, 144.0)),
    }


def _defocus_around(portrait: Floats, inside: Floats) -> Floats:
    """Fill the sitter's place from around it, by normalised convolution, and defocus the rest."""
    wide = {"sigma": (40, 40, 0), "truncate": 6, "mode": "nearest"}
    outside = (gaussian_filter(inside, (4, 4, 0)) < 0.01).astype(np.float64)
    fill = gaussian_filter(portrait * outside, **wide) / gaussian_filter(outside, **wide)
    filled = np.where(outside, portrait, fill)
    blurred: Floats = gaussian_filter(filled, (6, 6, 0), mode="nearest")
    return blurred


def draw(shot: Shot, size: tuple[int, int], seconds: float) -> Image.Image:
    """Draw what the camera sees at a time, composed large and averaged down to size (RGB)."""
    wide, high = (SUPERSAMPLING * length for length in size)
    canvas = Image.new("RGBA", (wide, high))
    for layer in shot.layers:
        plate = plates()[layer.plate][0]
        inverse = _plate_from_canvas(layer, shot.shake, seconds)
        drawn = plate.transform(
            (wide, high), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC
        )
        canvas.alpha_composite(_tint(drawn, layer.gains))
    return canvas.reduce(SUPERSAMPLING).convert("RGB")


def _plate_from_canvas(layer: Layer, shake: float, seconds: float) -> tuple[float, ...]:
    """Return the six affine coefficients of a layer's pose, all of it sines of time.

    Convention: (x, y), Pillow's continuous coordinates: pixel centres at halves.
    """
    phase = 2 * pi * seconds / layer.period_seconds
    x = layer.centre[0] + layer.sway[0] * sin(phase) + shake * sin(11 * seconds)
    y = layer.centre[1] + layer.sway[1] * sin(2 * phase + 1) + shake * sin(17 * seconds + 1)
    tilt = radians(layer.tilt_degrees) * sin(phase + 0.7)
    shrink = 1 / (layer.scale * (1 + layer.zoom * sin(phase - 1)))
    # Plate = pivot + flip · rotation · (frame - rest) / scale; the flip turns only the first row.
    flip = -1 if layer.mirrored else 1
    a, b = flip * shrink * cos(tilt), flip * shrink * sin(tilt)
    d, e = -shrink * sin(tilt), shrink * cos(tilt)
    px, py = plates()[layer.plate][1]
    k = SUPERSAMPLING
    return (a / k, b / k, px - a * x - b * y, d / k, e / k, py - d * x - e * y)


def _tint(image: Image.Image, gains: tuple[float, float, float]) -> Image.Image:
    """Multiply red, green and blue by their gains; alpha stays."""
    return image.point([min(255, round(v * gain)) for gain in (*gains, 1.0) for v in range(256)])


def spoil(image: Image.Image, clip: Clip, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur a picture and add noise, stronger in the dark and grained as after demosaicing."""
    pixels = gaussian_filter(np.asarray(image, np.float32), (clip.blur, clip.blur, 0))
    grain = gaussian_filter(rng.standard_normal(pixels.shape, np.float32), (0.6, 0.6, 0))
    spoilt = pixels + clip.noise * (1.5 - pixels / 255) * grain / grain.std()
    picture: NDArray[np.uint8] = np.clip(spoilt.round(), 0, 255).astype(np.uint8)
    return picture


def chord(hertz: tuple[float, ...], seconds: float) -> Floats:
    """Return a quiet, slowly pulsing chord that fades in and out, (1, samples)."""
    t = np.arange(round(seconds * AUDIO_HERTZ)) / AUDIO_HERTZ
    tones = sum(np.sin(2 * pi * f * t) * (0.8 + 0.2 * np.sin(pi * t + f)) for f in hertz)
    fade = np.clip(np.minimum(t, seconds - t) / 0.2, 0, 1)
    return (0.04 * fade * tones).astype(np.float32)[None]


def add_video(container: av.container.OutputContainer, clip: Clip) -> av.VideoStream:
    """Open an H.264 stream that is tagged with the clip's matrix, limited range."""
    options = {"crf": str(clip.crf), "preset": "veryfast", "threads": "1"}
    options["x264-params"] = "no-deblock=1:keyint=50"  # blocks stay plain to see
    rate = Fraction(TICKS_PER_SECOND * len(clip.durations), sum(clip.durations))
    stream = container.add_stream("libx264", rate=rate.limit_denominator(1000), options=options)
    stream.width, stream.height = clip.size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
    tag(stream.codec_context, clip.matrix)
    return stream


def tag(target: av.VideoFrame | av.VideoCodecContext, matrix: Colorspace) -> None:
    """Write one standard's primaries, transfer and matrix: 1 is BT.709, 6 BT.601 (525 lines)."""
    standard = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}[matrix]
    target.color_primaries = target.color_trc = target.colorspace = standard
    target.color_range = ColorRange.MPEG


def video_frames(clip: Clip, seed: int) -> Iterator[av.VideoFrame]:
    """Draw, spoil and convert every frame of a clip."""
    rng = np.random.default_rng(seed)
    for pts, duration in zip(clip.times, clip.durations, strict=False):
        seconds = pts / TICKS_PER_SECOND
        shot = next(shot for shot in clip.shots if seconds < shot.until_seconds)
        rgb = av.VideoFrame.from_ndarray(spoil(draw(shot, clip.size, seconds), clip, rng), "rgb24")
        frame = rgb.reformat(
            format="yuv420p", dst_colorspace=clip.matrix, dst_color_range=ColorRange.MPEG
        )
        tag(frame, clip.matrix)
        frame.pts, frame.duration = pts, duration
        frame.time_base = Fraction(1, TICKS_PER_SECOND)
        yield frame


def write(path: Path, clip: Clip, seed: int) -> None:
    """Encode a clip; its sound ends with its last frame."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as out:
        video = add_video(out, clip)
        audio = out.add_stream("aac", rate=AUDIO_HERTZ, options={"b": "64k"}, layout="mono")
        samples = chord(clip.chord_hertz, clip.times[-1] / TICKS_PER_SECOND)
        sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        sound.sample_rate, sound.pts = AUDIO_HERTZ, 0
        for frame in chain(video_frames(clip, seed), [None]):
            out.mux(video.encode(frame))
        for block in (sound, None):
            out.mux(audio.encode(block))


def phone_durations(seed: int, count: int) -> tuple[int, ...]:
    """Return irregular frame durations, 15 to 33 ms with two gaps of 100 ms."""
    ticks = np.random.default_rng(seed).integers(1350, 3000, count)
    ticks[[count // 3, 2 * count // 3]] = 9000
    return tuple(ticks.tolist())


FRONT = Layer("backdrop", (320, 180), 1.5, sway=(12, 3), period_seconds=9)
BEHIND = Layer(
    "backdrop", (320, 190), 1.7, sway=(6, 2), mirrored=True, gains=(0.62, 0.7, 0.8)
)  # fmt: skip
PORTRAIT = Layer("sitter", (300, 152), 0.66, sway=(42, 4), zoom=0.06, tilt_degrees=4)
ALONE = Layer("sitter", (400, 175), 0.52, sway=(30, 4), tilt_degrees=3)
LEFT = Layer(
    "sitter", (190, 190), 0.49, sway=(20, 3), zoom=0.04, tilt_degrees=3, period_seconds=5
)  # fmt: skip
RIGHT = Layer(
    "sitter", (455, 196), 0.45, sway=(16, 3), tilt_degrees=-4, period_seconds=3.5,
    mirrored=True, gains=(0.82, 0.88, 1.0),
)  # fmt: skip
WALL = Layer("backdrop", (256, 146), 1.2, sway=(6, 2), mirrored=True)
HANDHELD = Layer(
    "sitter", (250, 131), 0.46, sway=(26, 3), zoom=0.05, tilt_degrees=3, period_seconds=4
)  # fmt: skip

CLIPS = {
    "portrait.mp4": Clip(
        size=(640, 360), start=0, durations=(3600,) * 75,
        shots=(Shot((FRONT, PORTRAIT)),),
        chord_hertz=(220.0, 277.2, 329.6), blur=1.3, noise=16.0, crf=32,
    ),
    "two_faces_cut.mp4": Clip(
        size=(640, 360), start=0, durations=(3000,) * 120,
        shots=(Shot((FRONT, ALONE), until_seconds=2.0), Shot((BEHIND, RIGHT, LEFT))),
        chord_hertz=(196.0, 246.9, 293.7), blur=0.9, noise=11.0, crf=30,
    ),
    "phone_vfr.mp4": Clip(
        size=(512, 288), start=7200, durations=phone_durations(seed=7, count=118),
        shots=(Shot((WALL, HANDHELD), shake=1.5),), matrix=Colorspace.ITU601,
        chord_hertz=(174.6, 220.0, 261.6), blur=0.9, noise=16.0, crf=29,
    ),
}  # fmt: skip


def main() -> None:
    """Write every clip."""
    parser = argparse.ArgumentParser(description="Make the sample clips.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, clip) in enumerate(CLIPS.items()):
        write(folder / name, clip, seed)


if __name__ == "__main__":
    main()
