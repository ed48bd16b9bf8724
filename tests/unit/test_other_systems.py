"""The package on systems without POSIX modules, Unix sockets, sealed memory or device files.

A process imports every module a second time after it has hidden these. The libraries that the
package uses stay as they were loaded, because they have their own code for each system.
"""

import json
import subprocess
import sys

import pytest

from tests.support.paths import PORTRAIT, ROOT

PROGRAM = """
import importlib, json, os, pkgutil, select, signal, socket, sys
import crsr_video

OPTIONAL = ("ray", "vapoursynth", "onnxscript", "onnx", "onnxruntime", "playwright", "pyvirtualcam")

def import_all():
    for module in pkgutil.walk_packages(crsr_video.__path__, "crsr_video."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                if error.name not in OPTIONAL:
                    raise

import_all()
for name in [name for name in sys.modules if name.split(".")[0] == "crsr_video"]:
    del sys.modules[name]
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
sys.modules["msvcrt"] = type(sys)("msvcrt")
sys.modules["msvcrt"].LK_NBLCK = 2
sys.modules["msvcrt"].locking = lambda *_: None
HIDDEN = {
    os: "fork geteuid getuid getpgid killpg memfd_create MFD_ALLOW_SEALING MFD_CLOEXEC mkfifo "
        "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK sched_getaffinity setsid statvfs sysconf",
    select: "epoll kqueue poll",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGUSR1 pthread_sigmask setitimer",
    socket: "AF_UNIX CMSG_SPACE MSG_CMSG_CLOEXEC MSG_DONTWAIT MSG_NOSIGNAL SCM_RIGHTS SO_PEERCRED "
        "recv_fds send_fds",
}
for module, names in HIDDEN.items():
    for name in names.split():
        vars(module).pop(name, None)
import crsr_video
import_all()
from click.testing import CliRunner
from crsr_video.cli import main

def run(*words):
    done = CliRunner().invoke(main, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {done.exception}"
    return f"{done.exit_code} {done.output}"

print(json.dumps([run(*words) for words in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("output") / "out.mp4"


@pytest.fixture(scope="module")
def answers(output):
    """Return the exit code and the output of each command."""
    clip = str(PORTRAIT)
    commands = {
        "enhance": [clip, "-o", str(output), "--model", "identity", "--duration", "0.2"],
        "serve": [],
        "plugin install": ["--command", sys.executable],
        "plugin status": ["--json"],
    }
    words = [[*name.split(), *options] for name, options in commands.items()]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, json.loads(done.stdout.splitlines()[-1]), strict=True))


def test_a_video_is_enhanced(answers, output):
    assert answers["enhance"].startswith("0 "), answers["enhance"]
    assert output.stat().st_size > 0


def test_the_server_for_effects_says_which_systems_it_needs(answers):
    assert "the server for plug-ins needs Linux or macOS" in answers["serve"]


def test_the_installation_of_the_effect_says_which_systems_it_needs(answers):
    assert "the effect needs Linux or macOS" in answers["plugin install"]


def test_the_status_of_the_effect_says_that_no_server_runs(answers):
    assert '"server_running": false' in answers["plugin status"]
