"""A Ray cluster to work on: one that is there, or a small one on this machine."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from crsr_video.errors import ClusterError

LOCAL = "local"
REACH_SECONDS = 10.0
"""In which a cluster's port must answer."""
GREET_SECONDS = 60.0
"""In which the cluster itself must, once its port has."""
_STORE = 80 << 20
"""Bytes of Ray's shared memory on this machine: only descriptions travel, the least is enough."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's name for not being seen from other machines."""
_logger = logging.getLogger(__name__)
_PROBE = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
except Exception as error:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    told = " ".join(str(error).split()).rpartition("ray.exceptions.")[2]
    sys.exit(told or type(error).__name__)
"""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray's module, connected.

    Args:   address: HOST:PORT of a cluster that this machine belongs to, or "local": a cluster of
            this machine alone, which nobody else can reach, and which ends with the context.
    Raises: ClusterError: Ray is not installed, or the cluster does not answer.
    """
    if find_spec("ray") is None:
        raise ClusterError("--ray needs Ray: pip install 'crsr-video[ray]'")
    host = address if address == LOCAL else _host(address)
    near = host in (LOCAL, "localhost", "127.0.0.1", "::1")
    with _environment(_QUIET | (_LOOPBACK if near else {})):
        if address != LOCAL:
            _check_reachable(address)
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # Importing it has set it, too.
        with _hushed():
            with _signals_kept():
                _start(ray, address)
            try:
                yield ray
            finally:
                with _signals_kept():
                    ray.shutdown()


def _host(address: str) -> str:
    """Raises: ClusterError: this is no address."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in address or not port.isdigit() or int(port) > 65535:
        raise ClusterError(f"'{address}' is no cluster: write HOST:PORT, or 'local'")
    return host.strip("[]")


def _check_reachable(address: str) -> None:
    """See that a cluster answers; left alone, Ray would try for many minutes.

    Raises: ClusterError.
    """
    told = f"no Ray cluster answers at {address}"
    try:
        port = int(address.rpartition(":")[2])
        socket.create_connection((_host(address), port), REACH_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise ClusterError(f"{told} within {REACH_SECONDS:g} s: {why}") from error
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=GREET_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{told} within {GREET_SECONDS:g} s") from error
    if probe.returncode != 0:
        why = (probe.stderr.strip().splitlines() or ["unknown reason"])[-1]
        raise ClusterError(f"{told}: {why[:300]}")


def _start(ray: Any, address: str) -> None:
    """Raises: ClusterError."""
    choices: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == LOCAL:
        choices |= {"include_dashboard": False, "object_store_memory": _STORE}
        choices |= {"num_cpus": os.cpu_count() or 1}
    try:
        ray.init(address=address, **choices)
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        line = " ".join(str(error).split())[:300] or type(error).__name__
        raise ClusterError(f"the Ray cluster '{address}' cannot be used: {line}") from error


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables, where the user has not, for as long as the context lasts."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _hushed() -> Iterator[None]:
    """Log what befalls Ray's processes, which it prints on standard output whatever it is told."""
    from ray._private import worker

    def note(data: dict[str, Any], *_: Any, **__: Any) -> None:
        for line in data.get("lines", ()):
            _logger.info("Ray: %s", line)

    printing = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = note
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself: give it back to whoever had it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
