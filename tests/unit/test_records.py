"""Dataclasses as JSON and back."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crsr_video.records import from_json, to_json


@dataclass(frozen=True)
class Inner:
    value: float
    picture: bytes = b""


@dataclass(frozen=True)
class Outer:
    name: str
    path: Path
    inner: Inner | None
    parts: tuple[Inner, ...]
    pair: tuple[int, bool]
    boxes: dict[int, tuple[float, float]]
    extra: dict[str, Any] = field(default_factory=dict)


OUTER = Outer(
    "a",
    Path("/b"),
    Inner(1.5),
    (Inner(2.0, b"\x00\xff"),),
    (3, True),
    {7: (0.5, 1.0)},
    {"free": [1]},
)


def test_a_dataclass_survives_json() -> None:
    assert from_json(Outer, json.loads(json.dumps(to_json(OUTER)))) == OUTER


def test_missing_fields_take_their_defaults_and_unknown_ones_are_ignored() -> None:
    record = to_json(OUTER)
    del record["extra"]
    assert from_json(Outer, record | {"new": 1}).extra == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 1),
        ("inner", [1]),
        ("inner", {"value": "much"}),
        ("inner", {}),
        ("parts", None),
        ("pair", [1]),
        ("pair", [True, True]),
        ("boxes", {"x": [0, 1]}),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(Outer, to_json(OUTER) | {name: value})
