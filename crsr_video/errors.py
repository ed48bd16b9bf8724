"""Everything that can go wrong, in one tree.

Each message is one line, written for the person at the keyboard. Errors of other libraries are
translated where they enter (``raise ... from error``), so callers need to catch `CrsrError` only.

    CrsrError
    ├── InputError             the source cannot be read as video
    │   └── NoVideoError       it can be read, but holds no picture
    ├── OutputError            the result cannot be written
    │   ├── EncoderError       no such encoder, or it refuses its settings
    │   └── ReaderGoneError    whoever read the result from a pipe has gone
    ├── ConfigError            an option is out of range or contradicts another
    ├── DeviceError            the device or precision asked for is not there
    ├── FaceModelError         MediaPipe's model files are missing or damaged
    ├── WeightsError           a checkpoint is missing, damaged or of another network
    ├── TracksError            a tracks file is damaged, or of another video
    ├── PluginError            the effect cannot be built, installed or loaded
    ├── ExportError            an exported network computes something else, or cannot be made
    ├── DegenerateFaceError    landmarks from which no alignment follows
    ├── ServerError            the enhancement server cannot be run or reached
    │   ├── ProtocolError      what came over the socket is not its protocol
    │   └── VersionError       the other side is of another version
    ├── BenchError             measuring failed
    ├── ClusterError           the cluster cannot be reached, or its machines are not fit
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


class ReaderGoneError(OutputError):
    """Whoever read the result has gone away: a closed pipe, a player that was ended."""


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


class PluginError(CrsrError):
    """The effect for other programs cannot be compiled, installed, loaded or removed."""


class ExportError(CrsrError):
    """A network cannot be exported, or the file computes something else."""


class DegenerateFaceError(CrsrError):
    """Landmarks coincide or are not finite, so no transform follows from them."""


class ServerError(CrsrError):
    """The enhancement server cannot be run, cannot be reached, or refuses."""


class ProtocolError(ServerError):
    """What came over the socket is not the server's protocol."""


class VersionError(ServerError):
    """Server and client are of versions that do not understand each other."""


class ClusterError(CrsrError):
    """The cluster cannot be reached, or has no machine that could do the work."""


class BenchError(CrsrError):
    """Something could not be measured."""


class TrainingError(CrsrError):
    """Training data or a checkpoint cannot be used."""
