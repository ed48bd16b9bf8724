"""The contents of a report as frozen dataclasses.

`Observer` gathers them, `document` writes them as JSON, `page` shows them as HTML. Times are
presentation times in seconds. Face sizes are widths in pixels of the source frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "crsr-video report"
VERSION = 2
"""Version of the schema. It grows when a field is removed or changes its meaning."""

MAX_PICTURES = 3
"""Maximum number of pictures of each person."""
PICTURE_GAP_SECONDS = 2.0
"""Minimum time between two pictures of a person."""

UNSPECIFIED = "unspecified"
"""Value of a colour property that the file does not specify."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream of a media file."""

    index: int
    kind: str
    """"video", "audio", "subtitle", "data" or "attachment"."""
    codec: str
    language: str
    kept: bool
    """Whether the stream of a source is in the result, enhanced or copied."""
    main: bool = False
    """Whether this is the video stream that is enhanced."""


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """Properties of a media file or live stream."""

    path: str
    bytes: int
    container: str
    """FFmpeg's name of the format."""
    seconds: float
    """Duration, 0 if unknown."""
    codec: str
    width: int
    height: int
    rate: float | None
    """Average frame rate according to the container, in frames per second."""
    bit_rate: int
    """Bit rate of the whole file in bits per second, 0 if unknown."""
    pixel_format: str
    colour: Mapping[str, str]
    """H.273 names of primaries, transfer, matrix and range, or "unspecified"."""
    streams: tuple[StreamFacts, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity over time. Long curves are thinned: each value is the mean of an interval."""

    seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class VisibleSpan:
    """An interval during which a face was visible and either always or never enhanced."""

    first_seconds: float
    last_seconds: float
    enhanced: bool


@dataclass(frozen=True, slots=True)
class BackedOff:
    """How the back-off stage reduced the strength for one face."""

    frames: int
    lowest: float
    """Smallest remaining share of the strength."""
    mean: float
    """Mean remaining share over the frames with reduced strength."""
    cause: str
    """"drift", "softness" or "motion blur"."""


@dataclass(frozen=True, slots=True)
class IdentitySimilarity:
    """Cosine similarities of face-recognition embeddings; 1 means identical."""

    samples: int
    likeness_mean: float
    """Similarity between the same moment before and after enhancement."""
    likeness_min: float
    steady_before: float | None
    """Similarity between consecutive samples of the source, or None for a single sample."""
    steady_after: float | None
    """Similarity between consecutive samples of the result. A lower value means that the identity
    drifts."""


@dataclass(frozen=True, slots=True)
class Flicker:
    """Mean absolute change of luma between neighbouring frames, in 8-bit codes.

    It is measured on the aligned face, after motion compensation.
    """

    pairs: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A face at one moment, before and after enhancement: two JPEG files of the same region."""

    seconds: float
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """One person of the video."""

    id: int
    """Number of the person, see `Face.person`."""
    tracks: tuple[int, ...]
    """IDs of the face tracks that show the person."""
    frames: int
    enhanced: int
    """Number of frames in which the face was enhanced."""
    first_seconds: float
    last_seconds: float
    size_median: float
    size_min: float
    size_max: float
    strength_mean: float
    """Mask weight at the centre of the face, over enhanced frames: the user's strength, times
    presence, times the share that back-off left."""
    strength_min: float
    strength_max: float
    backed_off: BackedOff | None = None
    identity: IdentitySimilarity | None = None
    """None if the face was never measured or the network is not installed."""
    flicker: Flicker | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Number of frames in which the face was left unchanged, by reason."""
    spans: tuple[VisibleSpan, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Curves by name: "size", "strength", "flicker_before", "flicker_after" and "likeness"."""
    pictures: tuple[Picture, ...] = ()
    """Pictures for the page, which are not part of the JSON report."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Share of the picture that was changed, measured on a sample of the frames."""

    frames: int
    mean: float
    """Mean share of the pixels that may differ, 0 to 1, including frames without a face."""
    highest: float


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """Frame counts of a run."""

    total: int
    changed: int | None
    """Frames with at least one enhanced face, or None if they were not counted."""
    passed_through: int
    """Frames left unchanged because of an error."""
    concealed: int
    """Frames that the decoder repaired."""
    damaged: int
    """Packets that could not be decoded."""
    resumed: int
    """Frames that an earlier run finished."""
    truncated: bool


@dataclass(frozen=True, slots=True)
class Observations:
    """Facts about faces and frames that an `Observer` gathered during a run."""

    people: tuple[PersonFacts, ...] = ()
    changed: int | None = None
    """Frames with at least one enhanced face, or None if they were not counted."""
    masks: Masks | None = None
    cuts: tuple[float, ...] = ()
    """Times of the first scene cuts."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """All facts about a finished run. `format.md` documents the JSON form."""

    created: str
    """ISO 8601 time in UTC."""
    complete: bool
    """False if the source was truncated or damaged."""
    command: tuple[str, ...]
    """Words of the command line; empty if the run was started from Python."""
    settings: Mapping[str, Any]
    """Every setting, including the defaults."""
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
    """Faces enhanced, summed over frames."""
    skipped: Mapping[str, int]
    masks: Masks | None
    seconds: float
    startup_seconds: float
    fps: float
    stages: Mapping[str, float]
    """Seconds by stage."""
    cuts: tuple[float, ...]
    people: tuple[PersonFacts, ...]
    people_left_out: int
    """Number of people that are not in `people` because they are seen for less time."""
    notices: tuple[str, ...]
