"""Things that must be closed, for use in a ``with`` block."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A context manager that closes itself when it is left, however it is left."""

    def __enter__(self) -> Self:
        """Hand itself to the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Free what is held; may be called twice."""
