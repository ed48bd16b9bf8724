"""Frozen dataclasses as JSON and back: the contents of journals and of messages."""

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

_SCALARS = (bool, int, float, str)


def to_json(value: Any) -> Any:
    """Convert a value to JSON types. Bytes become base64, and keys become strings."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: Any) -> T:
    """Convert JSON types back to a dataclass, according to its field types.

    Fields without a value keep their default; unknown fields are ignored.

    Args:
        kind: A dataclass whose fields hold dataclasses, scalars, bytes, paths, tuples, mappings or
            `None`.
        value: What `to_json` returned.

    Raises:
        ValueError: The value does not fit the dataclass.
    """
    return cast("T", _decode(kind, value))


def _decode(kind: Any, value: Any) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _decode_union(args, value)
    if is_dataclass(kind):
        return _decode_dataclass(kind, value)
    if origin is tuple and isinstance(value, list):
        return _decode_tuple(args, value)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        key_kind, item_kind = args
        return {key_kind(key): _decode(item_kind, v) for key, v in value.items()}
    if kind is bytes and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind in _SCALARS and _is_scalar(kind, value):
        return kind(value)
    raise ValueError(f"{value!r:.60} is not a {kind}")


def _decode_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _decode(kind, value)


def _decode_dataclass(kind: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r:.60} is not a {kind.__name__}")
    hints = get_type_hints(kind)
    given = {f.name: _decode(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value}
    try:
        return kind(**given)
    except TypeError as error:
        raise ValueError(f"a {kind.__name__} is incomplete: {error}") from error


def _decode_tuple(kinds: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    if kinds[-1] is ...:
        return tuple(_decode(kinds[0], value) for value in values)
    if len(kinds) != len(values):
        raise ValueError(f"expected {len(kinds)} values, found {len(values)}")
    return tuple(_decode(kind, value) for kind, value in zip(kinds, values, strict=True))


def _is_scalar(kind: type, value: Any) -> bool:
    """Return whether a JSON value has the type; whole numbers are valid floats."""
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)
