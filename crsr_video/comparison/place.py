"""Where one video lies in another, found by what the pictures show.

An enhanced copy may be a part of its source whose times begin anew, so times alone do not tell.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crsr_video.comparison.shape import scale_between, seconds
from crsr_video.errors import ConfigError
from crsr_video.imaging.resampling import preview
from crsr_video.io.reader import Reader
from crsr_video.types import Frame

Luma = NDArray[np.float32]

UNLIKE = 20.0
"""Mean difference, in levels of 255 and beyond that of brightness, from which on pictures do not
show the same: measured, copies differ by about 1, and 95 of 100 other scenes by more than 40."""
_PROBES = 24
_PROBED_SECONDS = 5
"""Frames of the second video by which its place in the first is found: so many, in that time."""
_THUMBNAIL = 32
_SAME_LENGTH = Fraction(8, 100)
"""Seconds by which the lengths of a video and its copy may differ, mostly by their sound."""
_NEAR = Fraction(1, 1000)
"""Seconds: what the clock of a container may round."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one video lies in another."""

    offset: Fraction
    """Seconds by which a moment comes later on the first video's clock."""
    start: float
    """Seconds of the first video that come before it."""
    duration: float | None
    """Seconds to read from there; None: it goes on to the end."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A frame for comparison: when (seconds), and (S, S) luma in levels of 255, zero on average."""

    time: Fraction
    luma: Luma


@dataclass(frozen=True, slots=True)
class _Guess:
    offset: Fraction
    difference: float
    """Mean over the probes, in levels."""
    natural: bool
    """Both begin at once, or show equal times."""


def find(before: Path, after: Path) -> Place:
    """Find the second video in the first.

    If both are about equally long, they begin at about the same moment, or show equal times, so
    only the first frames are looked at; else the first video is read once.
    Raises: InputError: one of them cannot be read.
            ConfigError: they do not show the same.
    """
    with Reader(after) as later:
        probes, begin, length = _probes(later), start_of(later), later.info.seconds
    with Reader(before) as earlier:
        scale_between(earlier.source.first, later.source.first)  # says so, if no multiple
        origin, known = start_of(earlier), earlier.info.seconds
        if known and length > known + max(1.0, 0.05 * known):
            told = f"{after.name} lasts {length:.1f} s, {before.name} only {known:.1f} s"
            raise ConfigError(f"{told}: they do not show the same")
        whole = abs(length - known) <= _SAME_LENGTH
        best = _search(earlier, probes, whole)
    if best is None or best.difference > UNLIKE:
        raise ConfigError(f"{before.name} and {after.name} do not show the same")
    # A little early, since the times of containers are rounded.
    start = max(0.0, float(best.offset + begin - origin - _NEAR))
    trimmed = length > 0 and (start > 0 or not whole)
    return Place(best.offset, start, length + 0.5 if trimmed else None)


def _search(decoder: Reader, probes: list[_Look], whole: bool) -> _Guess | None:
    """Where the probes fit best: near the beginning and at equal times only, or anywhere."""
    guesses = _guesses(_looks(decoder), probes)
    if whole:
        first = seconds(decoder.source.first) - probes[0].time
        latest = max(first, Fraction(0)) + 2 * _SAME_LENGTH
        guesses = takewhile(lambda guess: guess.offset <= latest, guesses)
    return _best(guesses)


def start_of(decoder: Reader) -> Fraction:
    """When a file begins on its own clock, in seconds."""
    return Fraction(decoder.source.container.start_time or 0, 1_000_000)


def _probes(decoder: Reader) -> list[_Look]:
    first, *more = islice(_looks(decoder), _PROBES)
    return [first, *(look for look in more if look.time <= first.time + _PROBED_SECONDS)]


def _looks(decoder: Reader) -> Iterator[_Look]:
    for item in decoder:
        if isinstance(item, Frame):
            luma = 255 * preview(item, 2 * _THUMBNAIL)
            small = cv2.resize(luma, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
            # Less its mean, so that a copy may have been made brighter.
            yield _Look(seconds(item), small - small.mean())


def _guesses(looks: Iterator[_Look], probes: list[_Look]) -> Iterator[_Guess]:
    """How well the probes fit at every frame; holds no more frames than the probes last."""
    held: deque[_Look] = deque()
    span = probes[-1].time - probes[0].time
    first = True
    for look in looks:
        held.append(look)
        while held and held[-1].time - held[0].time >= span - _NEAR:
            yield _guess(held, probes, first)
            held.popleft()
            first = False
    if first and held:  # The first video is the shorter one by some frames.
        yield _guess(held, probes, first)


def _guess(held: deque[_Look], probes: list[_Look], first: bool) -> _Guess:
    offset = held[0].time - probes[0].time
    times = np.array([float(look.time) for look in held])
    found = [int(np.abs(times - float(probe.time + offset)).argmin()) for probe in probes]
    gaps = [np.abs(held[i].luma - p.luma).mean() for i, p in zip(found, probes, strict=True)]
    return _Guess(offset, float(np.mean(gaps)), first or abs(offset) <= _NEAR)


def _best(guesses: Iterator[_Guess]) -> _Guess | None:
    """The guess that differs least; where nothing moves, one that is natural."""
    best: _Guess | None = None
    natural: list[_Guess] = []
    for guess in guesses:
        natural += [guess] if guess.natural else []
        if best is None or guess.difference < best.difference:
            best = guess
    if best is None:
        return None
    as_good = [g for g in natural if g.difference <= 1.05 * best.difference + 0.02]
    return min(as_good, key=lambda guess: guess.difference, default=best)
