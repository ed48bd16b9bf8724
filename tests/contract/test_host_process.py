"""A library call changes nothing of the process in which it runs."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PROBE = """
import gc, json, os, random, signal, sys, threading, warnings
import cv2, numpy, torch
import crsr_video
from crsr_video import Config, Enhancer, EnhancerConfig, JobSettings, enhance

def descriptors():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass  # The descriptor of the listing itself.
    return found

def state():
    return {
        "torch threads": torch.get_num_threads(),
        "torch interop threads": torch.get_num_interop_threads(),
        "cv2 threads": cv2.getNumThreads(),
        "tf32": torch.backends.cudnn.allow_tf32,
        "matmul precision": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.get_debug()],
        "signals": {n.name: str(signal.getsignal(n)) for n in signal.valid_signals()
                    if isinstance(n, signal.Signals)},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": os.umask(os.umask(0o22)),
        "descriptors": descriptors(),
        "random": [hash(random.getstate()), numpy.random.get_state()[1].tolist()],
        "torch random": torch.get_rng_state().tolist(),
        "warnings": [str(entry) for entry in warnings.filters],
        "slow modules": sorted({"scipy", "sympy"} & set(sys.modules)),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "hooks": [str(sys.excepthook), str(sys.stdout), str(sys.stderr)],
    }

os.umask(0o22)
torch.set_num_threads(3)
cv2.setNumThreads(2)
torch.backends.cudnn.allow_tf32 = True
def enhancer():
    with Enhancer(EnhancerConfig.from_options(device="cpu"), live=True) as enhancer:
        assert torch.get_num_threads() == 3
        enhancer.push(numpy.zeros((64, 64, 3), numpy.uint8))

def enhance_file(name, **options):
    enhance(sys.argv[1], sys.argv[2] + name, config=Config.from_options(device="cpu", **options))

CALLS = {
    "Enhancer": enhancer,
    "enhance": lambda: enhance_file("a.mp4"),
    "enhance resumably": lambda: enhance_file("b.mp4", resume=True),
    "analyse": lambda: crsr_video.analyse(sys.argv[1], sys.argv[2] + "c.json"),
}
for call, function in CALLS.items():
    before = state()
    function()
    after = state()
    changed = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
    print(json.dumps({call: changed}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads descriptors from /proc")
def test_a_library_call_changes_nothing_of_its_process(moment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(moment), str(tmp_path / "out.")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    changed = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("Enhancer", "enhance", "enhance resumably", "analyse")
    assert changed == [{name: {}} for name in names]
