"""A value of a JSON document that knows where it is, so that a complaint can name the place."""

from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError

_LARGEST = 1 << 62
_SHOWN = 40
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value, to be checked before use; each check raises a `TracksError` of one line."""

    file: str
    path: str
    """Such as "tracks[2].landmarks"."""
    value: Any

    def fail(self, expected: str) -> NoReturn:
        """Say what was expected, and what is there."""
        raise TracksError(f"{self.file}: {self.path}: expected {expected}, found {self._shown()}")

    def members(self, *keys: str) -> "tuple[Node, ...]":
        """The values of an object that has these keys and no other, in this order."""
        if not isinstance(self.value, dict):
            self.fail("an object")
        for key in keys:
            if key not in self.value:
                raise TracksError(f"{self.file}: {self._joined(key)}: is missing")
        for key in self.value:
            if key not in keys:
                raise TracksError(f"{self.file}: {self._joined(key)}: unknown key")
        return tuple(Node(self.file, self._joined(key), self.value[key]) for key in keys)

    def items(self) -> "list[Node]":
        """The items of a list."""
        if not isinstance(self.value, list):
            self.fail("a list")
        return [self._item(index, value) for index, value in enumerate(self.value)]

    def integer(self, low: int, high: int) -> int:
        """A whole number between two others."""
        if type(self.value) is not int or not low <= self.value <= high:
            self.fail(f"a whole number from {low} to {high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        """A number between two others."""
        if type(self.value) not in (int, float) or not low <= self.value <= high:  # false for NaN
            self.fail(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def text(self, longest: int) -> str:
        """Text of limited length."""
        if not isinstance(self.value, str):
            self.fail("text")
        if len(self.value) > longest:
            self.fail(f"at most {longest} characters")
        return self.value

    def integers(self, low: int, high: int, count: int | None = None) -> NDArray[np.int64]:
        """A list of whole numbers, (N,)."""
        values = self._column(count)
        if set(map(type, values)) <= {int} and (
            not values or (low <= min(values) and max(values) <= high)
        ):
            return np.array(values, np.int64)
        for index, value in enumerate(values):
            self._item(index, value).integer(low, high)
        raise AssertionError("one of them is wrong")

    def ascending(self) -> NDArray[np.int64]:
        """A list of whole numbers, each larger than the one before, (N,)."""
        values = self.integers(-_LARGEST, _LARGEST)
        wrong = np.flatnonzero(values[1:] <= values[:-1])
        if wrong.size:
            index = int(wrong[0]) + 1
            self._item(index, self.value[index]).fail(f"more than {values[index - 1]}")
        return values

    def numbers(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        """A list of numbers, (N,)."""
        values = self._column(count)
        found = _within(values, low, high)
        if found is None:
            for index, value in enumerate(values):
                self._item(index, value).number(low, high)
        assert found is not None, "one of them is wrong"
        return found

    def rows(self, width: int, what: str, limit: float, count: int) -> NDArray[np.float64]:
        """A list of lists of `width` numbers, (N, width).

        Args: what: those numbers in words. limit: largest magnitude.
        """
        rows = self._column(count)
        for index, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                self._item(index, row).fail(f"{width} numbers ({what})")
        found = _within(list(chain.from_iterable(rows)), -limit, limit)
        if found is None:
            for index, row in enumerate(rows):
                self._item(index, row).numbers(-limit, limit, width)
        assert found is not None, "one of them is wrong"
        return found.reshape(-1, width)

    def _column(self, count: int | None) -> list[Any]:
        if not isinstance(self.value, list):
            self.fail("a list")
        if count is not None and len(self.value) != count:
            self.fail(f"{count} items, as many as frames")
        return self.value

    def _item(self, index: int, value: Any) -> "Node":
        return Node(self.file, f"{self.path}[{index}]", value)

    def _joined(self, key: str) -> str:
        return f"{self.path}.{shown_key(key)}".removeprefix(".")

    def _shown(self) -> str:
        value = self.value
        if isinstance(value, list):
            return f"{len(value)} of them" if value else "an empty list"
        if isinstance(value, dict):
            return "an object"
        if value is None or isinstance(value, bool):
            return "null" if value is None else str(value).lower()
        try:
            text = repr(value)
        except ValueError:  # A whole number of thousands of digits.
            return "an immense number"
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def shown_key(key: str) -> str:
    """A key as a message shows it: short, and on one line whatever it holds."""
    short = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}..."
    return short if short.isprintable() else repr(short)


def _within(values: list[Any], low: float, high: float) -> NDArray[np.float64] | None:
    """The values, if all are numbers between two others."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        found = np.array(values, np.float64)
    except OverflowError:  # A whole number beyond all floating-point ones.
        return None
    return found if ((low <= found) & (found <= high)).all() else None  # false for NaN
