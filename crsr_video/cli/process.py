"""State of the process that only the command line's entry point sets.

Library code leaves all of this alone. A program that embeds the library decides for itself:
`NetworkSettings.threads` and ``cv2.setNumThreads(1)`` give it the speed of the commands.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

_ALLOCATIONS_WHILE_LOADING = 50_000
"""Threshold of the garbage collector while libraries are imported. Importing the networks'
libraries creates a million objects that are never freed. With Python's usual threshold, the
collector scans them repeatedly, which takes a quarter of a second."""
_GC_THRESHOLD = gc.get_threshold()

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`, from ``malloc.h``."""
_TRIM_BYTES, _MMAP_BYTES = 64 << 20, 16 << 20
"""Free memory that the process keeps, and size from which a block is returned when it is freed.
Otherwise every picture of a face gets new pages from the system, and loses them after use."""


class Interrupted(BaseException):
    """A signal asked the program to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def configured_process() -> Iterator[None]:
    """Prepare this process for a command, and restore the signal handlers afterwards.

    Freed memory up to a limit is kept for the next pictures. Closed standard streams are opened on
    the null device. SIGINT, SIGTERM and SIGHUP raise `Interrupted`. The garbage collector runs
    rarely until `finish_loading` is called. The log of SVT-AV1 is turned off by an environment
    variable, because this encoder prints its settings to standard error and has no option to
    prevent it.
    """
    os.environ.setdefault("SVT_LOG", "0")
    gc.set_threshold(_ALLOCATIONS_WHILE_LOADING, 20, 100)
    _keep_freed_memory()
    _open_standard_streams()
    _load_without_working_directory()
    try:
        with handled_signals(_interrupt):
            yield
    finally:
        gc.set_threshold(*_GC_THRESHOLD)


def _keep_freed_memory() -> None:
    if sys.platform == "linux":
        with suppress(AttributeError):  # Another C library has no such function.
            library = ctypes.CDLL(None)
            library.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
            library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def _load_without_working_directory() -> None:
    """Load torch from another directory if the working directory was deleted.

    MKL would end the process if torch were loaded in a deleted directory. Afterwards the process
    returns to the deleted directory, so that relative paths still fail.
    """
    try:
        Path.cwd()
    except OSError:
        with suppress(OSError, ImportError):
            deleted = os.open(".", os.O_RDONLY)
            try:
                os.chdir("/")
                importlib.import_module("torch")
            finally:
                os.fchdir(deleted)
                os.close(deleted)


def finish_loading() -> None:
    """Let the garbage collector run as usual, but ignore the objects that loading has created.

    Commands call this when the first frame is finished. Further calls do nothing.
    """
    if gc.get_threshold() != _GC_THRESHOLD:
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)


def release_memory() -> None:
    """Free what nothing refers to any more, and give free memory back to the system.

    Only glibc has a function for the latter. It otherwise keeps free memory between blocks in use.
    """
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError):  # Another C library has no such function.
            ctypes.CDLL(None).malloc_trim(0)


def discard_standard_output() -> None:
    """Send standard output to the null device, because the program that read it has ended.

    Otherwise Python reports a broken pipe when it flushes the stream at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def limit_library_threads(device: str) -> None:
    """Limit OpenCV to one thread unless the networks run on a GPU.

    Pictures of faces are small, so more OpenCV threads would raise the total CPU time by a third.

    Args:
        device: The setting for the device. "auto" counts as a CPU, because only torch can
            find a GPU, and loading torch takes a second.
    """
    import cv2

    if device in ("auto", "cpu"):
        cv2.setNumThreads(1)


def limit_research_threads(threads: int) -> None:
    """Give torch some CPU threads, and OpenCV one, for training and evaluation.

    Separate threads prepare the data, and more threads of OpenCV would compete with them.
    """
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)


def _open_standard_streams() -> None:
    """Open closed standard streams (``2>&-``), so that no other file gets their descriptors."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # This takes the lowest free number, which is `number`.
        if getattr(sys, name) is None:
            # The stream stays open as long as the process.
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


@contextmanager
def handled_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call a function on SIGINT, SIGTERM and SIGHUP, and restore the previous handlers afterwards.

    Args:
        handler: Function that takes the signal's number and the current stack frame.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):  # Sent when the terminal is closed. Windows has no SIGHUP.
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """Raise `Interrupted`, which unwinds the stack, so that half-written files are removed."""
    signal.signal(number, signal.SIG_IGN)  # A second Ctrl-C must not interrupt the clean-up.
    raise Interrupted(number)
