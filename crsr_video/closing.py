"""Objects that hold resources until they are closed."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A context manager that closes itself when its block ends, even by an exception."""

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close this object."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Free the resources. May be called twice."""
