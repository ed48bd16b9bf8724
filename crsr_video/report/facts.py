"""What a report tells, as frozen data: gathered by `observe`, written by `document` and `page`.

Times are seconds of presentation. Sizes are widths of faces in pixels of the source's frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "crsr-video report"
VERSION = 1
"""Of the schema; it grows when a field changes its meaning or goes, not when one is added."""


UNSPECIFIED = "unspecified"
"""Of a colour property: the file does not tell."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream of a file."""

    index: int
    kind: str
    """"video", "audio", "subtitle", "data" or "attachment"."""
    codec: str
    language: str
    kept: bool
    """Of an input: it is in the result, as enhanced video or packet by packet."""
    main: bool = False
    """It is the video that is worked on."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """A file, as it says of itself."""

    path: str
    bytes: int
    container: str
    """FFmpeg's name(s) of the format."""
    seconds: float
    """Duration, 0 if unknown."""
    codec: str
    width: int
    height: int
    rate: float | None
    """Average frames a second, as the container claims."""
    bit_rate: int
    """Of the whole file in bits a second, 0 if unknown."""
    pixel_format: str
    colour: Mapping[str, str]
    """H.273's names of primaries, transfer, matrix and range, "unspecified" where not told."""
    streams: tuple[StreamFacts, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over time, thinned out: each value is the mean of its stretch."""

    seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a face was in view without a longer gap, all enhanced or all left alone."""

    first_seconds: float
    last_seconds: float
    enhanced: bool


@dataclass(frozen=True, slots=True)
class BackedOff:
    """What was taken from a face's strength because it went wrong; see `backoff`."""

    frames: int
    lowest: float
    """Least share of its strength that it was left with."""
    mean: float
    """Of the share, over those frames."""
    cause: str
    """"drift" or "softness"."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose face it is, by a face-recognition network: cosines, 1 for equal."""

    samples: int
    likeness_mean: float
    """Between the same moment before and after."""
    likeness_min: float
    steady_before: float | None
    """Between one sample and the next, in the source; None: there was one only."""
    steady_after: float | None
    """Likewise in the result: lower means that identity wanders."""


@dataclass(frozen=True, slots=True)
class Flicker:
    """Mean absolute change of luma, in 8-bit codes, from a frame to the next.

    Over the aligned face, as far as motion does not explain it.
    """

    pairs: int
    """Of neighbouring frames that were measured."""
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A face at one moment, before and after: JPEGs of the same place."""

    seconds: float
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """One face through the video."""

    id: int
    frames: int
    """In which it was seen."""
    enhanced: int
    """In which it was changed."""
    first_seconds: float
    last_seconds: float
    size_median: float
    size_min: float
    size_max: float
    strength_mean: float
    """Weight of the mask's middle where the face was changed: the user's strength, times presence,
    times what back-off left."""
    strength_min: float
    strength_max: float
    backed_off: BackedOff | None = None
    identity: Identity | None = None
    """None: never measured, or the network is not installed."""
    flicker: Flicker | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of frames."""
    spans: tuple[Span, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """"size", "strength", "flicker_before", "flicker_after", "likeness"."""
    pictures: tuple[Picture, ...] = ()
    """In no JSON."""


@dataclass(frozen=True, slots=True)
class Masks:
    """How much of the picture was touched, over frames that were looked at now and then."""

    frames: int
    mean: float
    """Share of the pixels that may differ, 0 to 1, frames without a face included."""
    highest: float


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """Counts of frames."""

    total: int
    changed: int | None
    """With at least one face pasted; None: nobody counted (of a resumable run)."""
    passed_through: int
    """Left unchanged because of an error."""
    concealed: int
    """Patched up by the decoder."""
    damaged: int
    """Packets that could not be decoded at all."""
    resumed: int
    """Finished by an earlier run."""
    truncated: bool
    """The source ended before its end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the observer gathered."""

    tracks: tuple[TrackFacts, ...] = ()
    changed: int | None = None
    masks: Masks | None = None
    cuts: tuple[float, ...] = ()
    """Times at which scenes begin, the first ones."""
    seconds: float = 0.0
    """Spent on observing."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    created: str
    """ISO 8601, UTC."""
    complete: bool
    """False: the source was cut off or damaged."""
    command: tuple[str, ...]
    """The command line, empty if Python was the caller."""
    settings: Mapping[str, Any]
    """Every choice, the defaults among them."""
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    """SHA-256 of the weights and of the face models."""
    device: str
    precision: str
    source: MediaFacts
    output: MediaFacts
    frames: FrameFacts
    faces: int
    """Faces seen, summed over frames."""
    enhanced: int
    """Faces changed, likewise."""
    people: int
    """Different faces, as the tracker tells them apart."""
    skipped: Mapping[str, int]
    masks: Masks | None
    seconds: float
    startup_seconds: float
    fps: float
    stages: Mapping[str, float]
    """Stage to seconds."""
    cuts: tuple[float, ...]
    tracks: tuple[TrackFacts, ...]
    tracks_left_out: int
    """Faces that are counted, but have no entry here."""
    notices: tuple[str, ...]
