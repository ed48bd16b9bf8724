"""All errors of this package, in one tree.

A message is one line for the person at the keyboard. Errors of other libraries are translated where
they enter (``raise ... from error``), so that callers need to catch `CrsrError` only.

    CrsrError
    ├── InputError             the source cannot be read as video
    │   └── NoVideoError       the source can be read, but has no frames
    ├── OutputError            the output cannot be written
    │   ├── EncoderError       the encoder does not exist, or refuses its settings
    │   └── ReaderGoneError    the reader of the output has left
    ├── ConfigError            a setting is out of range or contradicts another one
    ├── DeviceError            the device or the precision is not available
    ├── FaceModelError         MediaPipe's model files are missing or damaged
    ├── WeightsError           a checkpoint is missing, damaged, or of another network
    ├── TracksError            a tracks file is damaged, or of another video
    ├── PluginError            the effect cannot be built, installed or loaded
    ├── ExportError            a network cannot be exported, or its export computes other values
    ├── DegenerateFaceError    landmarks do not define an alignment
    ├── ServerError            the enhancement server cannot be run or reached
    │   ├── ProtocolError      received bytes do not follow the server's protocol
    │   └── VersionError       the other side has another version
    ├── BenchError             a measurement failed
    ├── ClusterError           the cluster cannot be reached, or its machines are unsuitable
    └── TrainingError          training data or checkpoints cannot be used
"""


class CrsrError(Exception):
    """Base class of everything that this package raises on purpose."""


class InputError(CrsrError):
    """The source is missing, unreadable, or not a video."""


class NoVideoError(InputError):
    """The source can be opened, but no frame of it can be decoded."""


class OutputError(CrsrError):
    """The output cannot be written."""


class EncoderError(OutputError):
    """The encoder does not exist, or refuses its settings."""


class ReaderGoneError(OutputError):
    """The reader of the output has left: a pipe was closed, or a player was ended."""


class ConfigError(CrsrError):
    """A setting is out of range, or contradicts another one."""


class DeviceError(CrsrError):
    """The device or the precision is not available on this machine."""


class FaceModelError(CrsrError):
    """A face model cannot be found, downloaded or verified."""


class WeightsError(CrsrError):
    """A checkpoint cannot be found, is damaged, or does not fit the network."""


class TracksError(CrsrError):
    """A tracks file cannot be read or written, or belongs to another video."""


class PluginError(CrsrError):
    """The effect for other programs cannot be compiled, installed, loaded or removed."""


class ExportError(CrsrError):
    """A network cannot be exported, or the exported file computes other values."""


class DegenerateFaceError(CrsrError):
    """Landmarks coincide or are not finite, so that they do not define an alignment."""


class ServerError(CrsrError):
    """The enhancement server cannot be run, cannot be reached, or refuses a request."""


class ProtocolError(ServerError):
    """Received bytes do not follow the server's protocol."""


class VersionError(ServerError):
    """Server and client have incompatible versions."""


class ClusterError(CrsrError):
    """The cluster cannot be reached, or has no suitable machine."""


class BenchError(CrsrError):
    """A measurement failed."""


class TrainingError(CrsrError):
    """Training data or a checkpoint cannot be used."""


def first_lines(error: BaseException, count: int = 2) -> str:
    """Return the first lines of an exception's text on one line, or its type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:count])[:200] or type(error).__name__
