"""Connecting to a Ray cluster fails with one line that says why. No test here needs Ray."""

import socket
import threading
from pathlib import Path

import pytest

from crsr_video.errors import ClusterError
from crsr_video.jobs.cluster import connection


def test_a_missing_ray_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with (
        pytest.raises(ClusterError, match=r"pip install 'crsr-video\[ray\]'"),
        connection.connected("local"),
    ):
        pass


@pytest.mark.parametrize("address", ["cluster", "ray://host:10001", "host:", ":80", "h:99999"])
def test_an_invalid_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with pytest.raises(ClusterError, match="use HOST:PORT"), connection.connected(address):
        pass


def test_an_unreachable_address_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # Bound, but not listening.
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"no Ray cluster answers at {address} within"),
            connection.connected(address),
        ):
            pass


def test_a_server_that_is_not_ray_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port accepts connections and stays silent. Ray itself would try for minutes."""
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(connection, "PROBE_PROGRAM", "import time; time.sleep(60)")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"within 0\.5 s$"), connection.connected(address):
            pass
        thread.join(5)


def test_the_reason_of_a_refusing_cluster_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setattr(
        connection, "PROBE_PROGRAM", "import sys; sys.exit('Version mismatch: 2.9')"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=r": Version mismatch: 2\.9$"),
            connection.connected(address),
        ):
            pass


def test_the_deepest_cause_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray reports a failed connection, and only its cause says why."""
    (tmp_path / "ray.py").write_text(
        "def init(**_):\n"
        "    try:\n"
        "        raise RuntimeError('Traceback\\n  ray.exceptions.AuthenticationError: no token')\n"
        "    except RuntimeError as error:\n"
        "        raise ConnectionError('Failed to connect') from error\n"
    )
    monkeypatch.setattr(connection, "find_spec", lambda _: True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=r": AuthenticationError: no token$"),
            connection.connected(address),
        ):
            pass
