"""The data that passes between the stages. It is frozen: stages replace objects, not modify them.

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
"""One component of a frame, (H, W). It is a read-only view of the decoder's memory."""
Bytes = NDArray[np.uint8]
"""An array of 8-bit values, such as the pixels of a picture in RGB."""
FloatPicture = NDArray[np.float32]
"""A picture, a batch of pictures or a mask, with values from 0 to 1 unless stated otherwise."""

Family = Literal["yuv", "rgb", "gray"]
FieldOrder = Literal["progressive", "top", "bottom"]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How code values form a picture: all properties needed to convert them to RGB and back."""

    name: str
    """FFmpeg's name of the pixel format, such as "yuv420p10le"."""
    family: Family
    bits: int
    """Depth of a component; code values lie in [0, 2**bits)."""
    x_shift: int = 0
    """log2 of the width of luma over that of chroma; 1 for 4:2:0 and 4:2:2."""
    y_shift: int = 0
    """log2 of the height of luma over that of chroma; 1 for 4:2:0."""
    matrix: str = "bt709"
    """One of `colour.MATRICES`; meaningless for RGB and gray."""
    full_range: bool = False
    """Whether codes use the whole range (JPEG) rather than 16..235 (times 2**(bits - 8))."""
    x_cosited: bool = True
    """Whether chroma lies on every second luma column (MPEG-2, H.264) or between two (JPEG)."""
    y_cosited: bool = False
    """Whether chroma lies on every second luma row (most BT.2020 video) or between two."""

    @property
    def grids(self) -> tuple[tuple[int, ...], ...]:
        """Groups of components whose samples lie in the same places; the first carries luma."""
        return {"yuv": ((0,), (1, 2)), "rgb": ((0, 1, 2),), "gray": ((0,),)}[self.family]


Window = tuple[int, int, int, int]
"""First row, row after the last, first column and column after the last of a part of a canonical
crop, in sixteenths of its side. The part may extend beyond the canonical crop; see
`Crop.headroom`."""


@dataclass(frozen=True, slots=True)
class HeadMask:
    """The part of a crop in which a head may be changed."""

    shares: NDArray[np.float32]
    """(M, M) in [0, 1], 0 at the edges: the share of the change that is applied. The array covers
    the canonical crop, a headroom of 1/8 of its side, and half as much to the left and right."""
    window: Window
    """The part of the crop that contains all shares above 0."""
    has_headroom: bool
    """Whether the crop must grow by the headroom to contain the head."""
    is_fresh: bool = True
    """Whether the networks process the whole head in this frame, and not only the face."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Region of a finished frame that was changed for one face: the support of its mask."""

    track: int
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in frame pixels, half-open. This face changes no sample outside the box."""
    crop_from_frame: NDArray[np.float64]
    """2x3 matrix from frame pixels to the face's canonical crop, which spans (0, 0) to (1, 1)."""
    size: int
    """Side in pixels of the enhanced crop that was pasted."""
    weight: float
    """Value of the mask in the middle, 0 to 1."""
    shares: NDArray[np.float32] | None = None
    """Mask of a head (see `HeadMask.shares`). With None, the mask is the ellipse of the face."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture with its native planes."""

    components: tuple[Plane, ...]
    """(Y, U, V), (R, G, B) or (Y,). Alpha stays in `native` and is never changed."""
    layout: PixelLayout
    pts: int
    """Presentation time in units of `time_base`."""
    time_base: Fraction
    rotation: int = 0
    """Rotation that turns faces upright, in degrees counter-clockwise: 0, 90, 180 or 270. Of a
    display matrix that also mirrors, only the rotation counts, as mirrored faces are found too."""
    sample_aspect: Fraction = Fraction(1)
    """Width of a pixel divided by its height."""
    native: Any = None
    """The decoder's own frame, opaque to the stages. It keeps the planes alive and carries the
    data that the stages do not use (alpha, side data)."""
    edited: bool = False
    """Whether `components` differ from `native`."""
    is_temporary: bool = False
    """Whether the memory of `components` is reused as soon as the frame is finished. Stages may
    then write to it, and must not read it later."""
    interlaced: FieldOrder = "progressive"
    """The field that is shown first, if the lines of two fields alternate in this frame."""
    interlaced_frame: "Frame | None" = None
    """For a single field, the frame that it was taken from."""
    is_second_field: bool = False
    """Whether this is the later field of an interlaced frame."""
    changed: tuple[Patch, ...] = ()
    """Added by the paste stage: outside these patches, every sample is unchanged."""

    def __post_init__(self) -> None:
        """Check the properties on which every stage relies.

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
    """2x3 matrix from frame pixels to crop pixels."""
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
        """Side in pixels, including the headroom."""
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
    """One face in one frame. Each stage fills in the fields that it adds."""

    track: int
    """Track ID: stable over the frames of one scene, and never reused in a run."""
    landmarks: NDArray[np.float64]
    """(5, 2) in frame pixels, in the order of `geometry.TEMPLATE`."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of the face itself (hairline to chin) in frame pixels."""
    confidence: float
    """Probability, 0 to 1, that this is a face and is visible well enough for alignment."""
    presence: float = 1.0
    """0 to 1. It rises as a face appears and falls as it disappears, to avoid abrupt changes."""
    strength: float = 1.0
    """Share of the run's strength that this face gets, 0 to 1."""
    person: int = 0
    """Number of the person: the lowest of the track IDs that show the same person. 0 if people were
    not identified; every track then counts as a person."""
    skipped: str | None = None
    """Reason why this face is left alone, in words for the report. None if it is enhanced."""
    fresh: bool = True
    """Whether the networks process the face in this frame. If not, an earlier change is reused."""
    largest_crop: int | None = None
    """Side in pixels of the largest crop that there is time for. None means any size."""
    ideal_crop: int = 0
    """Added by the align stage: side in pixels of the crop that suits the face, even if there is no
    time for it."""
    crop: Crop | None = None
    """Added by the align stage: the face as the frame shows it."""
    head: HeadMask | None = None
    """Added by the heads stage, before align: the mask of the whole head. With None, only the face
    is changed."""
    consistent: Crop | None = None
    """Added by the consistify stage, with the same size and place as `crop`."""
    detail: float = 1.0
    """Added by the align stage: share of the frame's detail above the crop's frequency band that is
    replaced (1) rather than kept (0)."""
    enlargement: int = 4
    """Added by the align stage: side of `enhanced` that the result needs, in sides of `crop`."""
    enhanced: Crop | None = None
    """Added by the super-resolve stage, up to four times as large as `crop`. The smooth stage
    averages it over time. Values may slightly overshoot [0, 1]."""

    @property
    def person_number(self) -> int:
        """The number by which users choose the person."""
        return self.person or self.track


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame and its faces: the item that the stages pass on, from track to paste."""

    frame: Frame
    faces: tuple[Face, ...] = ()
    cut: bool = False
    """Whether this frame begins a new scene, into which no earlier state may be carried over."""


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """Counts of what happened in a run, for progress and reports."""

    frames: int = 0
    faces: int = 0
    """Number of faces seen, summed over frames."""
    enhanced: int = 0
    """Number of faces changed, summed over frames."""
    tracks: int = 0
    """Number of tracks. A person who is seen again after a cut has several."""
    people: int = 0
    """Number of different people, or 0 if it is unknown which tracks show the same person."""
    cuts: int = 0
    passed_through: int = 0
    """Number of frames left unchanged because of an error (``on_error="passthrough"``)."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of faces that were left alone, summed over frames, by reason."""
    stage_seconds: dict[str, float] = field(default_factory=dict)


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
"""A function that enlarges a picture. It takes float32 (H, W, 3) RGB, nominally in [0, 1] but not
clipped, and the scale, 2 or 4. It returns float32 (H * scale, W * scale, 3). The edges of both
pictures must coincide, so that faces fit their heads: the centre of pixel x of the source lies at
x * scale + (scale - 1) / 2 in the result."""
