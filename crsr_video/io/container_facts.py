"""Reads container metadata that PyAV does not expose: crops, 360-degree mappings, Dolby Vision.

MP4 stores this metadata in boxes of the track and its sample entry, and Matroska in elements of the
track and the chapters. A transport stream names its service in a table. Sources: ISO/IEC 14496-12
(`clap`), Google's Spherical Video V2 (`st3d`, `sv3d`), Dolby's streams within ISO media (`dvcC`),
RFC 9559 (Matroska), EN 300 468 (SDT).
"""

import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO, RawIOBase
from math import ceil, floor

from crsr_video.io import matroska, mp4_boxes

_MOST_BYTES = 64 << 20
"""Maximum number of bytes to read of a Matroska file's tracks."""
_SERVICE_BYTES = 1 << 20
"""Number of bytes of a transport stream that are searched for the name of its service."""
_DOLBY_VISION = (b"dvcC", b"dvvC", b"dvwC")
_LARGEST_MAPPING = 1 << 16
"""Maximum size in bytes of a box that is copied to a result."""
SPHERE, STEREO = "360-degree mapping", "stereo mode"
_MAPPINGS = {b"sv3d": SPHERE, b"st3d": STEREO, b"vexu": STEREO}
"""Boxes that describe a 360-degree or stereoscopic picture, with their names in messages."""


@dataclass(frozen=True, slots=True)
class CropMargins:
    """Number of pixels along each side that a player does not show."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """Metadata that a container states about its main video and its chapters."""

    crop: CropMargins | None = None
    losses: tuple[str, ...] = ()
    """Names of properties that no output keeps, such as "stereo mode", for messages."""
    service: tuple[str, str] | None = None
    """Provider and name of the service of a transport stream."""
    entry_boxes: bytes = b""
    """Boxes of the sample entry for 360-degree or stereoscopic video, for results in MP4."""
    track_boxes: bytes = b""
    """Boxes of the track for the same purpose."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Metadata that a container states about all of its tracks."""

    common: ContainerFacts = ContainerFacts()
    """Metadata of the whole container."""
    tracks: tuple[ContainerFacts, ...] = ()
    """Metadata of each track, in the order of the file."""

    def of_track(self, index: int) -> ContainerFacts:
        """Return the metadata of one track together with that of the whole container."""
        own = self.tracks[index] if index < len(self.tracks) else ContainerFacts()
        losses = (*own.losses, *self.common.losses)
        return replace(own, losses=losses, service=self.common.service)


def read_facts(file: RawIOBase | BytesIO) -> FileFacts:
    """Return the metadata of a file, or empty metadata if it is damaged or of another kind."""
    try:
        head = file.read(12)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _facts_of_matroska(file)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _facts_of_mp4(file)
        file.seek(0)
        return FileFacts(ContainerFacts(service=_service(file.read(_SERVICE_BYTES))))
    except (OSError, ValueError, struct.error, IndexError, ZeroDivisionError):
        return FileFacts()


# MP4 ---------------------------------------------------------------------------------------------


_SPHERICAL_V1 = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_READ_USER_DATA = frozenset(
    (
        *(b"albm", b"auth", b"cprt", b"dscp", b"gnre", b"keyw", b"loci", b"manu", b"modl", b"perf"),
        *(b"titl", b"yrrc", b"name", b"meta", b"kind", b"chpl"),
    )
)
"""User data that FFmpeg reads as metadata, beside names that begin with a copyright sign."""
_PLAYBACK_USER_DATA = frozenset((b"WLOC", b"LOOP", b"SelO", b"AllF", b"ptv ", b"tsel", b"hnti"))
"""User data about windows and the way of playing or streaming, which is not worth a notice."""
_MOST_NAMES = 5


def _facts_of_mp4(file: RawIOBase | BytesIO) -> FileFacts:
    movie, unique = b"", list[bytes]()
    for box in mp4_boxes.outer_boxes(file):
        if box.name == b"uuid":
            unique.append(mp4_boxes.content_of(file, box))
        elif box.name == b"moov":
            movie = mp4_boxes.content_of(file, box)
            if not file.seekable():  # The rest of a pipe has not come yet.
                break
    losses = _losses_of_mp4(movie, unique)
    tracks = mp4_boxes.boxes_at(movie, b"trak")
    return FileFacts(ContainerFacts(losses=losses), tuple(map(_facts_of_mp4_track, tracks)))


def _losses_of_mp4(movie: bytes, unique: list[bytes]) -> tuple[str, ...]:
    """Return the metadata that FFmpeg does not read.

    Args:
        movie: Content of the movie box.
        unique: Contents of the outermost boxes that are named by a UUID.
    """
    user_data = [*mp4_boxes.boxes_at(movie, b"udta"), *mp4_boxes.boxes_at(movie, b"trak", b"udta")]
    names = dict.fromkeys(name for content in user_data for name, _ in mp4_boxes.boxes(content))
    has_xmp = b"XMP_" in names or any(box.startswith(_XMP) for box in unique)
    unread = [
        name.decode()
        for name in sorted(names.keys() - _READ_USER_DATA - _PLAYBACK_USER_DATA - {b"XMP_"})
        if name.isalnum()
    ]
    losses = ["XMP metadata"] if has_xmp else []
    if unread:
        listed = ", ".join(unread[:_MOST_NAMES]) + (", ..." if unread[_MOST_NAMES:] else "")
        losses.append(f"user data of the camera ({listed})")
    return tuple(losses)


def _facts_of_mp4_track(track: bytes) -> ContainerFacts:
    losses, crop = dict[str, None](), None
    in_entry, in_track = b"", b""
    for data in mp4_boxes.boxes_at(track, b"uuid"):
        if data.startswith(_SPHERICAL_V1) and len(data) <= _LARGEST_MAPPING:
            in_track += mp4_boxes.made(b"uuid", data)
            losses[SPHERE] = None
    entry = mp4_boxes.sample_entry(track)
    for name, content in mp4_boxes.boxes(entry, mp4_boxes.ENTRY_BYTES):
        if name == b"clap":
            crop = _clean_aperture(content, *struct.unpack(">HH", entry[24:28]))
        elif name in _MAPPINGS:
            losses[_MAPPINGS[name]] = None
            if name != b"vexu" and len(content) <= _LARGEST_MAPPING:  # It describes a second layer.
                in_entry += mp4_boxes.made(name, content)
        elif name in _DOLBY_VISION:
            losses["Dolby Vision"] = None
    return ContainerFacts(crop, tuple(losses), None, in_entry, in_track)


def _clean_aperture(content: bytes, width: int, height: int) -> CropMargins | None:
    """Return the crop that a clean aperture describes, or None if it is invalid or crops nothing.

    The box states the width and height of the shown area, and the offset of its centre from the
    centre of the picture.
    """
    values = struct.unpack(">IIIIiIiI", content[:32])
    wide, high, right, down = (Fraction(values[i], values[i + 1]) for i in range(0, 8, 2))
    if not (0 < wide <= width and 0 < high <= height):
        return None
    columns, rows = ceil(wide), ceil(high)
    left = min(max(0, floor((width - wide) / 2 + right)), width - columns)
    top = min(max(0, floor((height - high) / 2 + down)), height - rows)
    crop = CropMargins(left, top, width - left - columns, height - top - rows)
    return None if crop == CropMargins() else crop


# Matroska ----------------------------------------------------------------------------------------

_TRACK, _VIDEO, _IS_ENABLED = 0xAE, 0xE0, 0xB9
_LANGUAGE_TAG = 0x22B59D
"""A language as in RFC 5646, such as "pt-BR". FFmpeg reads the older code without a region."""
_CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}
_PROJECTION, _PROJECTION_TYPE, _ALPHA_MODE = 0x7670, 0x7671, 0x53C0
_BLOCK_ADDITIONS, _ADDITION_TYPE = 0x41E4, 0x41E7
_EDITION, _IS_ORDERED, _CHAPTER, _IS_HIDDEN, _DISPLAY = 0x45B9, 0x45DD, 0xB6, 0x98, 0x80
_LANGUAGES = (0x437C, 0x437D)


def _facts_of_matroska(file: RawIOBase | BytesIO) -> FileFacts:
    facts, losses = list[ContainerFacts](), tuple[str, ...]()
    for element in matroska.elements(file):
        if element.kind not in (matroska.TRACKS, matroska.CHAPTERS):
            continue
        file.seek(element.begin)
        content = file.read(min(element.length, _MOST_BYTES))
        if element.kind == matroska.TRACKS:
            tracks = [track for kind, track in matroska.parts(content) if kind == _TRACK]
            facts += map(_facts_of_track, tracks)
            losses += _losses_of_tracks(tracks)
        else:
            losses += _losses_of_chapters(content)
    return FileFacts(ContainerFacts(losses=losses), tuple(facts))


def _losses_of_tracks(tracks: list[bytes]) -> tuple[str, ...]:
    """Return properties of tracks of any kind that FFmpeg does not read."""
    losses = dict[str, None]()
    for track in tracks:
        for kind, value in matroska.parts(track):
            if kind == _IS_ENABLED and not any(value):
                losses["disabled tracks"] = None
            elif kind == _LANGUAGE_TAG and b"-" in value:
                losses["regions or scripts of languages"] = None
    return tuple(losses)


def _facts_of_track(track: bytes) -> ContainerFacts:
    crop, losses = dict[str, int](), dict[str, None]()
    for kind, content in matroska.parts(track):
        if kind == _BLOCK_ADDITIONS:
            for part, value in matroska.parts(content):
                if part == _ADDITION_TYPE and value in _DOLBY_VISION:
                    losses["Dolby Vision"] = None
        if kind != _VIDEO:
            continue
        for part, value in matroska.parts(content):
            number = int.from_bytes(value)
            if part in _CROPS and number:
                crop[_CROPS[part]] = number
            elif part == _ALPHA_MODE and number:
                losses["transparency"] = None
            elif part == _PROJECTION:
                parts = matroska.parts(value)
                if {int.from_bytes(v) for k, v in parts if k == _PROJECTION_TYPE} - {0}:
                    losses[SPHERE] = None
    return ContainerFacts(CropMargins(**crop) if crop else None, tuple(losses))


def _losses_of_chapters(content: bytes) -> tuple[str, ...]:
    """Return the features of chapters that FFmpeg drops: it reads one list of times and titles."""
    editions = [edition for kind, edition in matroska.parts(content) if kind == _EDITION]
    losses = {"several editions of chapters": None} if len(editions) > 1 else dict[str, None]()
    for edition in editions:
        for kind, chapter in matroska.parts(edition):
            if kind == _IS_ORDERED and any(chapter):
                losses["ordered chapters"] = None
            for part, value in matroska.parts(chapter) if kind == _CHAPTER else ():
                if part == _CHAPTER:
                    losses["nested chapters"] = None
                elif part == _IS_HIDDEN and any(value):
                    losses["hidden chapters"] = None
                elif part == _DISPLAY and _languages(value) - {b"und"}:
                    losses["languages of chapters"] = None
    return tuple(losses)


def _languages(display: bytes) -> set[bytes]:
    return {code.rstrip(b"\0") for kind, code in matroska.parts(display) if kind in _LANGUAGES}


# Transport streams -------------------------------------------------------------------------------

_DEFAULT_SERVICE = ("FFmpeg", "Service01")
"""Provider and name that FFmpeg's muxer writes if the user has not named the service."""
_SYNCHRONIZED = 8
"""Number of packets at the beginning that must start with the sync byte."""
_PACKET_BYTES, _SERVICE_PID, _SERVICE_TABLE, _SERVICE_DESCRIPTOR = 188, 0x11, 0x42, 0x48


def _service(data: bytes) -> tuple[str, str] | None:
    """Return the provider and the name of the first service that a transport stream describes."""
    begin = max(0, data.find(b"\x47"))
    if data[begin::_PACKET_BYTES][:_SYNCHRONIZED].strip(b"\x47"):
        return None  # It is another kind of file.
    for at in range(begin, len(data) - _PACKET_BYTES, _PACKET_BYTES):
        packet = data[at : at + _PACKET_BYTES]
        if packet[0] != 0x47 or (packet[1] & 0x1F) << 8 | packet[2] != _SERVICE_PID:
            continue
        if not packet[1] & 0x40 or packet[3] & 0x30 != 0x10:
            continue  # No table begins in this packet.
        table = packet[5 + packet[4] :]
        if table[0] == _SERVICE_TABLE:
            return _described_service(table)
    return None


def _described_service(table: bytes) -> tuple[str, str] | None:
    at = 16  # The first service's descriptors follow the table's header.
    while at + 2 < len(table):
        kind, length = table[at], table[at + 1]
        if kind == _SERVICE_DESCRIPTOR:
            content = table[at + 2 : at + 2 + length]
            provider = content[2 : 2 + content[1]]
            rest = content[2 + content[1] :]
            found = _text(provider), _text(rest[1 : 1 + rest[0]])
            return None if found == _DEFAULT_SERVICE else found
        at += 2 + length
    return None


def _text(data: bytes) -> str:
    """Decode a name, without the leading bytes that select its character set."""
    return data.lstrip(bytes(range(0x20))).decode("utf-8", "replace")
