"""Ways to damage a file. Each takes its bytes and returns others; all chance comes from `rng`."""

import re
from collections.abc import Callable

import numpy as np

Generator = np.random.Generator
HEAD = 4096
"""Bytes in which headers are looked for."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
FIELDS = (
    *(b"moov", b"mvhd", b"tkhd", b"mdhd", b"elst", b"stsd", b"avcC", b"mp4v", b"esds", b"stts"),
    *(b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"trun", b"tfhd", b"tfdt", b"trex", b"chpl"),
    *(b"avih", b"strh", b"strf", b"idx1", b"movi", b"hdrl", b"onMetaData", b"duration", b"width"),
    *(b"\x1a\x45\xdf\xa3", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
    *(b"\x1f\x43\xb6\x75", b"\x10\x43\xa7\x70", b"\x19\x41\xa4\x69", b"\xe0", b"\xe1", b"\xb0"),
    *(b"\x2a\xd7\xb1", b"\x44\x89", b"\x23\xe3\x83", b"\x00\x00\x01\xb3", b"\x00\x00\x01\xba"),
    *(b"\x00\x00\x01\xbb", b"\x00\x00\x01\xe0", b"\x00\x00\x01\x67", b"\x00\x00\x01\x68"),
    *(b"\x00\x00\x01\xb5", b"\x00\x00\x01\x20", b"\x47\x40", b"NM\x7a\x56", b"NS\x11\x40", b"icpf"),
)
"""What stands before sizes, counts and times in the seeds' containers and codecs."""


def bit_flips(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Flip bits in one of a thousand bytes, or in a few bytes."""
    damaged = bytearray(data)
    for at in rng.integers(0, len(data), int(rng.integers(1, max(2, len(data) // 1000)))):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def head_flips(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Flip bits in the first kilobytes, which contain the headers."""
    return bit_flips(data[:HEAD], rng, other) + data[HEAD:]


def noise(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Overwrite a part with random bytes."""
    first, last = _run(data, rng)
    return data[:first] + rng.bytes(last - first) + data[last:]


def blank(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Overwrite a part with one value, like a sector that was never written."""
    first, last = _run(data, rng)
    return data[:first] + bytes([(0, 255)[rng.integers(2)]]) * (last - first) + data[last:]


def cut_off(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Keep only the beginning."""
    return data[: int(rng.integers(1, len(data)))]


def begin_late(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Keep only the end, like a recording that was joined late."""
    return data[int(rng.integers(1, len(data))) :]


def delete(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Remove a part."""
    first, last = _run(data, rng)
    return data[:first] + data[last:]


def repeat(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Repeat a part."""
    first, last = _run(data, rng)
    return data[:last] + data[first:last] * int(rng.integers(1, 5)) + data[last:]


def splice(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Join the beginning of one file and the end of another."""
    return data[: int(rng.integers(1, len(data)))] + other[int(rng.integers(0, len(other))) :]


def insert(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Insert a part of another file."""
    at = int(rng.integers(0, len(data)))
    first, last = _run(other, rng)
    return data[:at] + other[first:last] + data[at:]


def extremes(data: bytes, rng: Generator, _: bytes) -> bytes:
    """Set numbers in headers to the ends of their ranges."""
    places = [m.start() for f in FIELDS for m in re.finditer(re.escape(f), data)]
    damaged = bytearray(data)
    for _number in range(int(rng.integers(1, 4))):
        if places and rng.random() < 0.8:
            at = places[int(rng.integers(len(places)))] + int(rng.integers(0, 48))
        else:
            at = int(rng.integers(0, min(HEAD, len(data))))
        width = (1, 2, 4, 8)[int(rng.integers(4))]
        value = EXTREMES[int(rng.integers(len(EXTREMES)))] % (1 << (8 * width))
        order = ("big", "little")[int(rng.integers(2))]
        damaged[at : at + width] = value.to_bytes(width, order)
    return bytes(damaged[: len(data)])


def numbers(data: bytes, rng: Generator, other: bytes) -> bytes:
    """Change numbers in a header of text; other files get `extremes`."""
    head, line, rest = data.partition(b"\n")
    found = list(re.finditer(rb"\d+", head))
    if not line or len(head) > 200 or not found:
        return extremes(data, rng, other)
    match = found[int(rng.integers(len(found)))]
    value = (b"0", b"1", b"65535", b"16385", b"2147483647", b"99999999999999999999", b"-1")
    word = value[int(rng.integers(len(value)))]
    return head[: match.start()] + word + head[match.end() :] + line + rest


Mutation = Callable[[bytes, Generator, bytes], bytes]

MUTATIONS: tuple[Mutation, ...] = (
    *(bit_flips, head_flips, noise, blank, cut_off, begin_late, delete, repeat, splice, insert),
    *(extremes, extremes, numbers),
)


def _run(data: bytes, rng: Generator) -> tuple[int, int]:
    """Return the range of a part of a file, which is more often short than long."""
    length = int(len(data) ** rng.uniform(0.1, 0.95))
    first = int(rng.integers(0, len(data)))
    return first, min(first + length, len(data))


def damage(seeds: dict[str, bytes], number: int, seed: int) -> tuple[str, str, bytes]:
    """Return the seed's name, the kind of damage, and the bytes of case `number`."""
    rng = np.random.default_rng((seed, number))
    names = sorted(seeds)
    name, other = names[number % len(names)], names[int(rng.integers(len(names)))]
    data, done = seeds[name], []
    for _ in range(int(rng.choice((1, 1, 1, 2, 3)))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        data = mutation(data, rng, seeds[other]) or b"\0"
        done.append(mutation.__name__)
    return name, "+".join(done), data
