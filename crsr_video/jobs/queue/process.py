"""One of several processes: takes a job, tells what becomes of it, takes the next."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import cv2

from crsr_video import pipeline
from crsr_video.config import Config
from crsr_video.errors import CrsrError
from crsr_video.jobs.queue import one
from crsr_video.jobs.queue.events import Advanced, Event, OnEvent
from crsr_video.runtime import devices
from crsr_video.track import litert

_PACE = 0.1
"""Seconds between two words on how far a job has come."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The process waits for a job."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """The process cannot do any job."""

    error: CrsrError


class Stopped(BaseException):
    """The watching process wants no more."""


def serve(
    pipe: "Connection[Any, Any]", config: Config, processes: int, command: tuple[str, ...]
) -> None:
    """Do jobs until there are no more, or nobody is there to give any.

    Args: pipe: jobs come from there, and events go there.
          processes: how many share the machine.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _serve(pipe, config, processes, command)
    except (Stopped, EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        pipe.close()


def _serve(
    pipe: "Connection[Any, Any]", config: Config, processes: int, command: tuple[str, ...]
) -> None:
    try:
        if config.faces.tracks is None:
            litert.prepare_process()
        config = config.with_options(threads=devices.network_threads(processes))
        networks = pipeline.load_networks(config).taking_turns()
    except CrsrError as error:
        pipe.send(Unfit(error))
        return
    if networks.placement.device.type == "cpu":
        cv2.setNumThreads(1)  # This process is the job's own, and shares the machine with others.
    tell = _paced(pipe.send)
    while True:
        pipe.send(Idle())
        job = pipe.recv()
        if job is None:
            return
        one.do(job, config, tell, command=command, networks=networks)


def _stop(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _paced(send: Callable[[Event], None]) -> OnEvent:
    """Pass events on, but not every frame of them."""
    last = 0.0

    def tell(event: Event) -> None:
        nonlocal last
        now = time.monotonic()
        if isinstance(event, Advanced):
            if now - last < _PACE:
                return
            last = now
        try:
            send(event)
        except OSError as error:
            raise Stopped from error  # Nobody listens: the job is given up.

    return tell
