"""The data that travels between the stages. Everything is frozen: a stage replaces, never mutates.

Points are (x, y) in frame pixels with pixel centres at integers (see `geometry`). Pictures for
networks are RGB in [0, 1].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One component of a frame, (H, W): a view into the decoder's memory, which is read-only."""

Family = Literal["yuv", "rgb", "gray"]
FieldOrder = Literal["progressive", "top", "bottom"]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How code values make a picture: everything needed to convert to RGB and back."""

    name: str
    """FFmpeg's name of the pixel format, such as "yuv420p10le"."""
    family: Family
    bits: int
    """Depth of a component; code values lie in [0, 2**bits)."""
    x_shift: int = 0
    """log2 of how much narrower chroma is than luma; 1 for 4:2:0 and 4:2:2."""
    y_shift: int = 0
    """log2 of how much lower chroma is than luma; 1 for 4:2:0."""
    matrix: str = "bt709"
    """One of `colour.MATRICES`; meaningless for RGB and gray."""
    full_range: bool = False
    """Codes use the whole range (JPEG) rather than 16..235 (times 2**(bits - 8))."""
    x_cosited: bool = True
    """Chroma lies on every second luma column (MPEG-2, H.264) or between two (JPEG)."""
    y_cosited: bool = False
    """Chroma lies on every second luma row, as in most BT.2020 video, or between two."""

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        """Groups of components whose samples lie in the same places; the first carries luma."""
        return {"yuv": ((0,), (1, 2)), "rgb": ((0, 1, 2),), "gray": ((0,),)}[self.family]


Window = tuple[int, int, int, int]
"""First row, row after the last, first column and column after the last of a part of a canonical
crop, in sixteenths of its side. The part may reach beyond the canonical crop, see `Crop.headroom`.
"""


@dataclass(frozen=True, slots=True)
class HeadMask:
    """Where in its crop a head may be changed."""

    shares: NDArray[np.float32]
    """(M, M) in [0, 1], 0 at the edges: the share of the change. It covers the canonical crop, a
    headroom of 1/8 of its side, and half as much to the left and to the right."""
    window: Window
    """The part of the crop that contains all shares above 0."""
    has_headroom: bool
    """The crop must grow by the headroom to contain the head."""
    is_fresh: bool = True
    """The networks look at the whole head in this frame, and otherwise at the face only."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Region of a finished frame that was changed for one face: the support of its mask."""

    track: int
    """Track ID of the face."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in frame pixels, half-open: no sample outside differs because of this face."""
    crop_from_frame: NDArray[np.float64]
    """2x3: places in the face's canonical crop, from (0, 0) to (1, 1), from frame coordinates."""
    size: int
    """Side in pixels of the enhanced crop that was pasted."""
    weight: float
    """The mask's value at its middle, 0 to 1."""
    shares: NDArray[np.float32] | None = None
    """The mask of a head, see `HeadMask.shares`. Without one it is the face's ellipse."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture with its native planes."""

    components: tuple[Plane, ...]
    """(Y, U, V), (R, G, B) or (Y,); alpha stays in `native` and is never touched."""
    layout: PixelLayout
    pts: int
    """Presentation time in units of `time_base`."""
    time_base: Fraction
    rotation: int = 0
    """Degrees counter-clockwise, one of 0, 90, 180, 270: turned by so much, faces stand upright. A
    mirrored display matrix is reduced to its rotation, since faces are found in mirrors too."""
    sample_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    native: Any = None
    """The decoder's own frame, opaque to the stages. It keeps the planes alive and carries what the
    stages do not look at (alpha, side data)."""
    edited: bool = False
    """`components` differ from `native`."""
    interlaced: FieldOrder = "progressive"
    """The field that is shown first, where the lines of two fields alternate."""
    interlaced_frame: "Frame | None" = None
    """For a single field, the frame that it was taken from."""
    is_second_field: bool = False
    """This is the later field of an interlaced frame."""
    changed: tuple[Patch, ...] = ()
    """Added by paste: outside of these patches every sample is as it was."""

    def __post_init__(self) -> None:
        """Check what every stage relies on.

        Raises:
            ValueError: There is a wrong number of components, or one of the wrong kind.
        """
        wanted = 1 if self.layout.family == "gray" else 3
        if len(self.components) != wanted or any(c.ndim != 2 for c in self.components):
            raise ValueError(f"{self.layout.name} frame needs {wanted} two-dimensional components")
        if self.layout.bits > 8 * self.components[0].itemsize:
            raise ValueError(f"{self.layout.bits} bits do not fit {self.components[0].dtype}")

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.components[0].shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.components[0].shape[0])

    @property
    def nbytes(self) -> int:
        """Size of the components in bytes."""
        return sum(component.nbytes for component in self.components)

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def with_components(self, components: tuple[Plane, ...]) -> "Frame":
        """Return the same frame with other pixels."""
        return replace(self, components=components, edited=True)


@dataclass(frozen=True, slots=True)
class Crop:
    """A face in canonical position."""

    image: Any
    """(3, S, S) float32 RGB, nominally in [0, 1]: a NumPy array or, where the stages compute on a
    device, a torch tensor."""
    crop_from_frame: NDArray[np.float64]
    """2x3: crop pixels from frame pixels."""
    headroom: int = 0
    """Rows above the canonical square, for hair and hats; half as many columns are added to the
    left and to the right, so that the crop stays square."""

    def __post_init__(self) -> None:
        """Check the shape.

        Raises:
            ValueError: The image is not float32 (3, S, S).
        """
        shape, kind = tuple(self.image.shape), str(self.image.dtype).removeprefix("torch.")
        if kind != "float32" or len(shape) != 3 or shape[0] != 3:
            raise ValueError(f"a crop is float32 (3, S, S), not {kind} {shape}")
        if shape[1] != shape[2]:
            raise ValueError(f"a crop is square, not {shape[1]}x{shape[2]}")

    @property
    def size(self) -> int:
        """Side in pixels, with the headroom."""
        return int(self.image.shape[1])

    @property
    def canonical(self) -> "Crop":
        """The crop without its headroom."""
        if self.headroom == 0:
            return self
        top, left = self.headroom, self.headroom // 2
        matrix = self.crop_from_frame - [[0, 0, left], [0, 0, top]]
        return Crop(self.image[:, top:, left : self.size - left], matrix)


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame; stages fill in what they add."""

    track: int
    """Track ID: stable over the frames of one scene, and never reused in a run."""
    landmarks: NDArray[np.float64]
    """(5, 2) in frame pixels, in the order of `geometry.TEMPLATE`."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the face itself (hairline to chin) in frame pixels."""
    confidence: float
    """Probability that this is a face, seen well enough to align by; 0 to 1."""
    presence: float = 1.0
    """0 to 1: rises as a face enters and falls as it leaves, so that nothing pops."""
    strength: float = 1.0
    """Share of the run's strength that this face gets, 0 to 1."""
    person: int = 0
    """Number of the person: the lowest of the track IDs that show the same person. 0 if people were
    not told apart, which makes every track a person."""
    skipped: str | None = None
    """Why this face is left alone, in words for the report. An enhanced face has no reason."""
    fresh: bool = True
    """The networks look at the face in this frame; otherwise an earlier change is carried along."""
    largest_crop: int | None = None
    """Side in pixels of the largest crop that there is time for. Defaults to any size."""
    ideal_crop: int = 0
    """Added by align: side in pixels of the crop that suits the face, whether or not there is time
    for it."""
    crop: Crop | None = None
    """Added by align: what the frame shows."""
    head: HeadMask | None = None
    """Added by heads, before align: the mask of the whole head. Without one only the face is
    changed."""
    consistent: Crop | None = None
    """Added by consistify: same size, same place."""
    detail: float = 1.0
    """Added by align: share of the frame's detail beyond the crop's band that is replaced (1)
    rather than kept (0)."""
    enhanced: Crop | None = None
    """Added by super-resolve, four times the size of `crop`, and averaged over time by smooth; may
    overshoot [0, 1] a little."""

    @property
    def person_number(self) -> int:
        """The number by which users choose the person."""
        return self.person or self.track


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """The one item that flows from track to paste."""

    frame: Frame
    faces: tuple[Face, ...] = ()
    cut: bool = False
    """This is the first frame of a new scene: no state may be carried over from before."""


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """Counts of what happened in a run, for progress and reports."""

    frames: int = 0
    faces: int = 0
    """Number of faces seen, summed over frames."""
    enhanced: int = 0
    """Number of faces changed, summed over frames."""
    tracks: int = 0
    """Number of different faces, as the tracker distinguishes them."""
    cuts: int = 0
    passed_through: int = 0
    """Number of frames left unchanged because of an error (``on_error="passthrough"``)."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of faces that were left alone, summed over frames, by reason."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Time spent in each stage."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a source that are known before its first frame."""

    width: int
    height: int
    pixel_format: str
    codec: str
    """FFmpeg's name of the decoder."""
    container: str
    """FFmpeg's name(s) of the format, such as "mov,mp4,m4a,3gp,3g2,mj2"."""
    rate: Fraction | None
    """Average frame rate according to the container; never used for timing."""
    time_base: Fraction
    frames: int
    """Estimated number of frames, 0 if unknown; for progress only."""
    seconds: float
    """Estimated duration, 0 if unknown."""
    bit_rate: int = 0
    """Bits per second of the video stream, 0 if unknown."""
    metadata: Mapping[str, str] = field(default_factory=dict)


Upscaler = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""Enlarges a picture. Takes float32 (H, W, 3) RGB, nominally in [0, 1] but not clipped, and the
scale, 2 or 4; returns float32 (H * scale, W * scale, 3). The edges of both pictures must coincide,
so that faces fit their heads: the middle of pixel x of the source comes to lie at
x * scale + (scale - 1) / 2 of the result."""
