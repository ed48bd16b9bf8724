"""Whom to enhance, as one line of text."""

from dataclasses import dataclass, field

from crsr_video import choices
from crsr_video.config import FaceSettings
from crsr_video.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Persons:
    """As `Config` has it."""

    faces: dict[int, FaceSettings] = field(default_factory=dict)
    only: frozenset[int] | None = None


def parse(text: str) -> Persons:
    """Persons from words with blanks or semicolons between them.

    A word is what ``--only`` takes (``1,4-6``), or what ``--face`` takes (``2=off`` or ``2:off``,
    ``3,5=strength:0.5``).
    Raises: ConfigError: a word is neither.
    """
    faces: dict[int, FaceSettings] = {}
    only: set[int] = set()
    try:
        for word in text.replace(";", " ").split():
            found = choices.settings(word)
            if found is None:
                only.update(choices.numbers(word))
            else:
                choices.merge(faces, *found)
    except ConfigError as error:
        raise ConfigError(f"persons: {error}") from error
    return Persons(faces, frozenset(only) or None)
