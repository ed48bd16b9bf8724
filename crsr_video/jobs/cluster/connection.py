"""Connect to a Ray cluster, or start a small one on this machine."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from crsr_video.errors import ClusterError
from crsr_video.jobs.cluster.ray_isolation import (
    environment_defaults,
    sigterm_restored,
    worker_output_logged,
)

LOCAL = "local"
PORT_SECONDS = 10.0
"""Timeout for connecting to the port of a cluster."""
ANSWER_SECONDS = 60.0
"""Timeout for the answer of the cluster after that."""
_OBJECT_STORE_BYTES = 80 << 20
"""Ray's minimum, which suffices because only descriptions of segments use its shared memory."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Makes Ray listen on the loopback interface only."""
MAX_REASON_CHARACTERS = 300
"""Maximum length of an error message that is quoted from Ray."""
PROBE_PROGRAM = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
except Exception as error:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    reason = " ".join(str(error).split()).rpartition("ray.exceptions.")[2]
    sys.exit(reason or type(error).__name__)
"""
"""Program of a separate process, which connects and prints the innermost cause of a failure."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, and yield the `ray` module.

    Args:
        address: HOST:PORT of a cluster that this machine belongs to, or "local" for a cluster of
            this machine alone, which other machines cannot reach and which ends with the block.

    Raises:
        ClusterError: Ray is not installed, or the cluster does not answer.
    """
    if find_spec("ray") is None:
        raise ClusterError("--ray needs Ray: pip install 'crsr-video[ray]'")
    host = address if address == LOCAL else _host(address)
    is_near = host in (LOCAL, "localhost", "127.0.0.1", "::1")
    with environment_defaults(_QUIET | (_LOOPBACK if is_near else {})):
        if address != LOCAL:
            _check_reachable(address)
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # Importing Ray also sets the level.
        with worker_output_logged():
            with sigterm_restored():
                _start(ray, address)
            try:
                yield ray
            finally:
                with sigterm_restored():
                    ray.shutdown()


def _host(address: str) -> str:
    """Return the host of an address."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in address or not port.isdigit() or int(port) > 65535:
        raise ClusterError(f"invalid cluster address '{address}': use HOST:PORT or 'local'")
    return host.strip("[]")


def _check_reachable(address: str) -> None:
    """Check that a cluster answers. Ray itself would try for many minutes."""
    problem = f"no Ray cluster answers at {address}"
    try:
        port = int(address.rpartition(":")[2])
        socket.create_connection((_host(address), port), PORT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ClusterError(f"{problem} within {PORT_SECONDS:g} s: {reason}") from error
    try:
        probe = subprocess.run(
            [sys.executable, "-c", PROBE_PROGRAM, address],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{problem} within {ANSWER_SECONDS:g} s") from error
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or ["unknown reason"])[-1]
        raise ClusterError(f"{problem}: {reason[:MAX_REASON_CHARACTERS]}")


def _start(ray: Any, address: str) -> None:
    """Initialise Ray."""
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        options |= {"num_cpus": os.cpu_count() or 1}
    try:
        ray.init(address=address, **options)
    except Exception as error:
        with suppress(Exception):
            ray.shutdown()
        reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
        raise ClusterError(f"the Ray cluster '{address}' cannot be used: {reason}") from error
