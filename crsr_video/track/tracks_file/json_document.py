"""A JSON document from an untrusted file, read in little memory and checked value by value."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from crsr_video.errors import TracksError

_MAX_INTEGER = 1 << 62
_SHOWN_CHARACTERS = 40
"""Maximum number of characters of a wrong value in a message."""
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place in the document.

    Every check raises a `TracksError` of one line that names the place.
    """

    file: str
    path: str
    """The place, such as "tracks[2].landmarks"."""
    value: Any

    def fail(self, expected: str) -> NoReturn:
        """Raise an error that says what was expected and what was found."""
        raise TracksError(f"{self.file}: {self.path}: expected {expected}, found {self._shown()}")

    def members(self, *keys: str) -> "tuple[Node, ...]":
        """Return the values of an object with exactly these keys, in this order."""
        if not isinstance(self.value, dict):
            self.fail("an object")
        for key in keys:
            if key not in self.value:
                raise TracksError(f"{self.file}: {self._joined(key)}: is missing")
        for key in self.value:
            if key not in keys:
                raise TracksError(f"{self.file}: {self._joined(key)}: unknown key")
        return tuple(Node(self.file, self._joined(key), self.value[key]) for key in keys)

    def optional(self, key: str) -> "Node | None":
        """Remove a value from an object and return it, or return None if there is no such key."""
        if not isinstance(self.value, dict) or key not in self.value:
            return None
        return Node(self.file, self._joined(key), self.value.pop(key))

    def items(self) -> "list[Node]":
        """Return the items of a list."""
        if not isinstance(self.value, list):
            self.fail("a list")
        return [self._item(index, value) for index, value in enumerate(self.value)]

    def integer(self, low: int, high: int) -> int:
        """Return a whole number within bounds."""
        if type(self.value) is not int or not low <= self.value <= high:
            self.fail(f"a whole number from {low} to {high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        """Return a number within bounds."""
        # The comparison is false for NaN.
        if type(self.value) not in (int, float) or not low <= self.value <= high:
            self.fail(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def text(self, longest: int) -> str:
        """Return a text of limited length."""
        if not isinstance(self.value, str):
            self.fail("text")
        if len(self.value) > longest:
            self.fail(f"at most {longest} characters")
        return self.value

    def integers(self, low: int, high: int, count: int | None = None) -> NDArray[np.int64]:
        """Return a list of whole numbers within bounds, (N,)."""
        values = self._column(count)
        if set(map(type, values)) <= {int} and (
            not values or (low <= min(values) and max(values) <= high)
        ):
            return np.array(values, np.int64)
        for index, value in enumerate(values):
            self._item(index, value).integer(low, high)
        raise AssertionError("one of the values is wrong")

    def ascending(self) -> NDArray[np.int64]:
        """Return a list of whole numbers, each larger than the one before, (N,)."""
        values = self.integers(-_MAX_INTEGER, _MAX_INTEGER)
        wrong = np.flatnonzero(values[1:] <= values[:-1])
        if wrong.size:
            index = int(wrong[0]) + 1
            self._item(index, self.value[index]).fail(f"more than {values[index - 1]}")
        return values

    def numbers(self, low: float, high: float, count: int) -> NDArray[np.float64]:
        """Return a list of numbers within bounds, (N,)."""
        values = self._column(count)
        found = _within(values, low, high)
        if found is None:
            for index, value in enumerate(values):
                self._item(index, value).number(low, high)
        assert found is not None, "one of the values is wrong"
        return found

    def rows(self, width: int, what: str, limit: float, count: int) -> NDArray[np.float64]:
        """Return a list of lists of numbers, (N, width).

        Args:
            width: Numbers per row.
            what: These numbers in words, for messages.
            limit: The greatest magnitude.
            count: The number of rows.
        """
        rows = self._column(count)
        for index, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                self._item(index, row).fail(f"{width} numbers ({what})")
        found = _within(list(chain.from_iterable(rows)), -limit, limit)
        if found is None:
            for index, row in enumerate(rows):
                self._item(index, row).numbers(-limit, limit, width)
        assert found is not None, "one of the values is wrong"
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
        return f"{self.path}.{_shown_key(key)}".removeprefix(".")

    def _shown(self) -> str:
        value = self.value
        if isinstance(value, list):
            return f"{len(value)} of them" if value else "an empty list"
        if isinstance(value, dict):
            return "an object"
        if value is None or isinstance(value, bool):
            return "null" if value is None else str(value).lower()
        try:
            return _shortened(repr(value))
        except ValueError:  # The number has thousands of digits.
            return "an immense number"


class JsonDocument:
    """A JSON object whose long lists are converted item by item.

    Thus only one item at a time is a Python object, which needs ten times the memory of an array.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at = text, file, 0
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def members(self, converters: dict[str, Callable[[Node], Any]]) -> dict[str, Any]:
        """Return the members of the object.

        Args:
            converters: For some keys, a function that converts each item of the list there. If it
                raises a `TracksError`, the error takes the place of the item.

        Raises:
            TracksError: The text is not a JSON object.
        """
        if not self._take("{"):
            self._fail("JSON object")
        found: list[tuple[str, Any]] = []
        if not self._take("}"):
            while True:
                key = self._value()
                if not isinstance(key, str) or not self._take(":"):
                    self._fail()
                if key in converters and self._take("["):
                    found.append((key, self._items(key, converters[key])))
                else:
                    found.append((key, self._value()))
                if self._take("}"):
                    break
                self._expect(",")
        self._skip_space()
        if self._at != len(self._text):
            self._fail()
        return self._object(found)

    def _items(self, key: str, convert: Callable[[Node], Any]) -> list[Any]:
        items: list[Any] = []
        if self._take("]"):
            return items
        while True:
            node = Node(self._file, f"{key}[{len(items)}]", self._value())
            try:
                items.append(convert(node))
            except TracksError as error:
                items.append(error)
            if self._take("]"):
                return items
            self._expect(",")

    def _value(self) -> Any:
        self._skip_space()
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            self._fail()
        except RecursionError as error:
            raise TracksError(f"{self._file}: lists are nested too deeply") from error
        except ValueError as error:
            raise TracksError(f"{self._file}: holds a number with too many digits") from error
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise TracksError(f"{self._file}: {_shown_key(repeated)}: the key appears twice")
        return found

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at

    def _take(self, mark: str) -> bool:
        self._skip_space()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            self._fail()

    def _fail(self, what: str = "JSON") -> NoReturn:
        if self._at >= len(self._text.rstrip()):
            raise TracksError(f"{self._file}: the file is cut off")
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        raise TracksError(f"{self._file}: not a valid {what} at line {line}, column {column}")


def _shown_key(key: str) -> str:
    """Return a key for a message: short, and on one line whatever it holds."""
    short = _shortened(key)
    return short if short.isprintable() else repr(short)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _within(values: list[Any], low: float, high: float) -> NDArray[np.float64] | None:
    """Return the values as an array, or None if one of them is not a number within bounds."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        found = np.array(values, np.float64)
    except OverflowError:  # A whole number is too large for float64.
        return None
    return found if ((low <= found) & (found <= high)).all() else None  # This is false for NaN.
