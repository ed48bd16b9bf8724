"""The benchmark of the effect in FFmpeg: a short run, and reports of missing parts."""

import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from crsr_video.bench import plugin
from crsr_video.cli import main
from crsr_video.errors import BenchError, PluginError, WeightsError
from crsr_video.plugins import frei0r, status


def able():
    """Return whether the measurement can run on this machine."""
    try:
        frei0r.find_compiler()
    except PluginError:
        return False
    return status.ffmpeg().able


needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or not able(),
    reason="needs ffmpeg with frei0r, a C compiler and frei0r.h",
)


@pytest.mark.plugins
@needs_ffmpeg
def test_the_effect_is_measured_beside_the_conversion(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # No effect is installed there.
    monkeypatch.setattr(plugin, "FILMS", {"repeated frames": 1, "moving, a face": 1})
    options = ["--size", "360p", "--frames", "8", "--runs", "1", "--json"]
    done = CliRunner().invoke(main, ["-q", "bench", "plugin", *options])
    assert done.exit_code == 0, done.output
    message = json.loads(done.stdout)
    assert [film["film"] for film in message["films"]] == ["repeated frames", "moving, a face"]
    assert message["settings"]["model"] == "identity"
    for film in message["films"]:
        assert 0 < film["conversion"]["ms"] < film["effect"]["ms"]
        assert film["overhead_ms"] == pytest.approx(film["effect"]["ms"] - film["conversion"]["ms"])
    assert message["films"][1]["effect"]["server_cpu_ms"] > 0


def test_a_pass_with_messages_of_the_effect_fails():
    words = [
        sys.executable,
        "-c",
        "import sys; print('crsr: frames pass unchanged', file=sys.stderr)",
    ]
    with pytest.raises(BenchError, match="ffmpeg: crsr: frames pass unchanged"):
        plugin.time_pass(words, 8, {}, 0)
    with pytest.raises(BenchError, match="failed without a message"):
        plugin.time_pass([sys.executable, "-c", "raise SystemExit(3)"], 8, {}, 0)
    found = plugin.time_pass([sys.executable, "-c", "sum(range(10**6))"], 10, {}, 0)
    assert found.ms > 0 and found.ffmpeg_cpu_ms > 0 and found.server_cpu_ms == 0


def test_a_server_that_ends_is_reported_and_reaped(tmp_path, monkeypatch):
    started = []
    start = subprocess.Popen

    def broken(_, **options):
        code = "import sys; print('crsr-video: error: no room', file=sys.stderr); sys.exit(1)"
        started.append(start([sys.executable, "-c", code], **options))
        return started[-1]

    monkeypatch.setattr(plugin.subprocess, "Popen", broken)
    message = "the server does not answer: crsr-video: error: no room"
    with (
        pytest.raises(BenchError, match=message),
        plugin.running_server(tmp_path / "s", "identity"),
    ):
        pass
    assert started[0].returncode == 1


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (status.Host("ffmpeg", None), "there is no ffmpeg on the search path"),
        (status.Host("ffmpeg", plugin.Path("/x/ffmpeg")), "/x/ffmpeg was built without frei0r"),
    ],
)
def test_missing_programs_are_reported(host, message, monkeypatch):
    monkeypatch.setattr(status, "ffmpeg", lambda: host)
    with pytest.raises(BenchError, match=message):
        plugin.measure(plugin.PluginBenchSettings(size="360p", frames=8, runs=1))


def test_an_unknown_model_is_refused_at_once():
    with pytest.raises(WeightsError, match="no-such-model"):
        plugin.measure(plugin.PluginBenchSettings(model="no-such-model"))


@pytest.mark.parametrize("options", [["--size", "8k"], ["--frames", "1"], ["--runs", "0"]])
def test_wrong_options_are_refused(options):
    assert CliRunner().invoke(main, ["bench", "plugin", *options]).exit_code == 2
