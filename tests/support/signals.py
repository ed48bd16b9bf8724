"""Signals that tests send to their own process."""

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    """Interrupt the block after some seconds, as Ctrl-C does.

    It also works in programs that were started with Ctrl-C ignored, such as those that a shell runs
    in the background.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(seconds, _thread.interrupt_main)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
