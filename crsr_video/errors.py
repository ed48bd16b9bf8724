"""Everything that can go wrong, in one tree.

Each message is one line, written for the person at the keyboard. Errors of other libraries are
translated where they enter (``raise ... from error``), so callers need to catch `CrsrError` only.

    CrsrError
    ├── InputError             the source cannot be read as video
    │   └── NoVideoError       it can be read, but holds no picture
    ├── OutputError            the result cannot be written
    │   └── EncoderError       no such encoder, or it refuses its settings
    ├── ConfigError            an option is out of range or contradicts another
    ├── DeviceError            the device or precision asked for is not there
    ├── FaceModelError         MediaPipe's model files are missing or damaged
    ├── WeightsError           a checkpoint is missing, damaged or of another network
    ├── TracksError            a tracks file is damaged, or of another video
    ├── DegenerateFaceError    landmarks from which no alignment follows
    └── TrainingError          data or checkpoints that training cannot go on with
"""


class CrsrError(Exception):
    """The root: anything this package raises on purpose."""


class InputError(CrsrError):
    """The source is missing, unreadable or no video."""


class NoVideoError(InputError):
    """The source opens, but has no decodable picture in it."""


class OutputError(CrsrError):
    """The destination cannot be written."""


class EncoderError(OutputError):
    """The encoder does not exist or refuses its settings."""


class ConfigError(CrsrError):
    """An option has an impossible value."""


class DeviceError(CrsrError):
    """The device or the precision is not available here."""


class FaceModelError(CrsrError):
    """A face model cannot be found, fetched or verified."""


class WeightsError(CrsrError):
    """A checkpoint cannot be found, is damaged or does not fit."""


class TracksError(CrsrError):
    """A tracks file cannot be read or written, or belongs to another video."""


class DegenerateFaceError(CrsrError):
    """Landmarks coincide or are not finite, so no transform follows from them."""


class TrainingError(CrsrError):
    """Training data or a checkpoint cannot be used."""
