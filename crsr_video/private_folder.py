"""A folder into which only the user of this process can have put files.

Its files are reached through an open descriptor of the folder, so that they stay the same even if
somebody puts a link under the folder's name. On Windows, which has no such descriptors, they are
reached by their paths.
"""

import os
import secrets
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

from crsr_video.closing import Closing
from crsr_video.errors import OutputError
from crsr_video.files import open_regular

_HAS_DESCRIPTORS = (
    hasattr(os, "O_DIRECTORY")
    and hasattr(os, "O_NOFOLLOW")
    and {os.open, os.stat, os.unlink} <= os.supports_dir_fd
    and os.listdir in os.supports_fd
)
_OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH


class PrivateFolder(Closing):
    """An open folder. It is created with mode 0700 if it does not exist.

    Args:
        path: The folder.

    Raises:
        OutputError: Another user owns the folder or can write to it, or its name belongs to a link
            or a file.
        OSError: The folder cannot be created or opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise OutputError(f"{path}: is a link or a file, not a folder; remove it")
        if _HAS_DESCRIPTORS:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                self._check_owner()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the folder. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def names(self) -> list[str]:
        """Return the names of everything in the folder."""
        folder = self.path if self._descriptor is None else self._descriptor
        return os.listdir(folder)  # noqa: PTH208 - a path cannot be a descriptor

    def holds(self, name: str) -> bool:
        """Return whether there is anything under a name, even a broken link."""
        try:
            os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def open(self, name: str, flags: int = os.O_RDONLY) -> FileIO:
        """Open a regular file of the folder, unbuffered. Links, pipes and devices are refused."""
        return open_regular(self._at(name), flags, 0o600, folder=self._descriptor)

    def unlink(self, name: str) -> None:
        """Remove a file, or a link but not its target."""
        with suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def sync(self) -> None:
        """Flush the names of the folder's files to disk, if the system supports it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.fsync(self._descriptor)

    def check_name(self) -> None:
        """Check that the path still leads to this folder, before others use the path.

        Raises:
            OutputError: The path leads to something else.
        """
        if self._descriptor is None:
            return
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptor), self.path.lstat()):
                return
        raise OutputError(f"{self.path}: was replaced while it was in use")

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self.path / name)

    def _check_owner(self) -> None:
        """Raise OutputError if another user owns the folder or can write to it."""
        assert self._descriptor is not None
        found = os.fstat(self._descriptor)
        user, writers = os.geteuid(), 0
        if found.st_uid != user or found.st_mode & _OTHERS_CAN_WRITE:
            user, writers = self._owner_of_new_files()
        if found.st_uid != user:
            raise OutputError(f"{self.path}: belongs to another user; remove it")
        if found.st_mode & _OTHERS_CAN_WRITE & ~writers:
            raise OutputError(f"{self.path}: other users can write to it; remove it")

    def _owner_of_new_files(self) -> tuple[int, int]:
        """Return the owner and the other writers of new files on this file system.

        Some file systems, such as FAT and those of Windows, give all files the same owner and mode.
        """
        name = f".{secrets.token_hex(8)}.owner"
        flags = os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            handle = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        except OSError:
            return os.geteuid(), 0
        try:
            made = os.fstat(handle)
            return made.st_uid, made.st_mode & _OTHERS_CAN_WRITE
        finally:
            os.close(handle)
            with suppress(OSError):
                os.unlink(name, dir_fd=self._descriptor)
