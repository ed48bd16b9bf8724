"""A JSON document with long lists, read without ever holding all of it as Python objects."""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from crsr_video.errors import TracksError
from crsr_video.track.tracks_file.node import Node, shown_key

_SPACE = re.compile(r"[ \t\r\n]*")


class Document:
    """A JSON object, of which long lists are taken item by item: a track at a time in memory."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at = text, file, 0
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def members(self, compact: dict[str, Callable[[Node], Any]]) -> dict[str, Any]:
        """Its members.

        Args: compact: by key, what to make of each item of that list as soon as it is read; where
              that fails, the `TracksError` takes the item's place.
        """
        if not self._take("{"):
            self._broken("JSON object")
        found: list[tuple[str, Any]] = []
        if not self._take("}"):
            while True:
                key = self._value()
                if not isinstance(key, str) or not self._take(":"):
                    self._broken()
                if key in compact and self._take("["):
                    found.append((key, self._items(key, compact[key])))
                else:
                    found.append((key, self._value()))
                if self._take("}"):
                    break
                self._want(",")
        self._skip()
        if self._at != len(self._text):
            self._broken()
        return self._object(found)

    def _items(self, key: str, make: Callable[[Node], Any]) -> list[Any]:
        items: list[Any] = []
        if self._take("]"):
            return items
        while True:
            node = Node(self._file, f"{key}[{len(items)}]", self._value())
            try:
                items.append(make(node))
            except TracksError as error:
                items.append(error)
            if self._take("]"):
                return items
            self._want(",")

    def _value(self) -> Any:
        self._skip()
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            self._broken()
        except RecursionError as error:
            raise TracksError(f"{self._file}: lists are nested too deeply") from error
        except ValueError as error:
            raise TracksError(f"{self._file}: holds a number of too many digits") from error
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise TracksError(f"{self._file}: {shown_key(twice)}: the key is there twice")
        return found

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at

    def _take(self, mark: str) -> bool:
        self._skip()
        if not self._text.startswith(mark, self._at):
            return False
        self._at += 1
        return True

    def _want(self, mark: str) -> None:
        if not self._take(mark):
            self._broken()

    def _broken(self, what: str = "JSON") -> NoReturn:
        if self._at >= len(self._text.rstrip()):
            raise TracksError(f"{self._file}: the file is cut off")
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        raise TracksError(f"{self._file}: is no {what} from line {line}, column {column} on")
