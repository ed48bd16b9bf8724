"""Who computes a pair of networks: ourselves, and other programs that take what we export."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crsr_video.bench import transfers
from crsr_video.bench.arithmetic import precision_at
from crsr_video.errors import BenchError
from crsr_video.export import export
from crsr_video.export.formats import INPUT, OUTPUT
from crsr_video.pipeline import Networks
from crsr_video.runtime.backends.cuda import Forward
from crsr_video.stages.on_device.copies import copies

Images = NDArray[np.float32]
Run = Callable[[Images], Images]
"""Float32 (N, 3, S, S) in [0, 1] to float32 (N, 3, 4S, 4S)."""

OURS = "crsr-video"
RIVALS = ("onnxruntime", "openvino")
_PACKAGES = {
    "onnxruntime": "'crsr-video[export]'",
    "openvino": "'crsr-video[export]' openvino",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One who computes both networks, one after the other."""

    name: str
    run: Run
    way: str
    """How, in words."""
    precision: Callable[[int], str]
    """Arithmetic, by side of the crops."""
    forward: Forward | None = None
    """On a GPU, between tensors there."""
    flow: Callable[[Images, int], object] | None = None
    """Several batches, one after another, if that is more than `run` several times."""


def ours(networks: Networks) -> Contender:
    """As the pipeline runs them: on a GPU, what is between them stays there."""
    device, pair = networks.placement.device, networks.pair
    first, second = (networks.predictor(n) for n in (pair.consistifier, pair.superresolver))

    def precision(side: int) -> str:
        return precision_at(second.way, side**2, networks.placement)

    if device.type == "cuda":
        forward = transfers.chained(first, second)
        flow = transfers.Flow(forward, copies(device))
        return Contender(OURS, flow, second.way, precision, forward, flow.many)
    return Contender(OURS, lambda x: second(first(x).clip(0, 1)), second.way, precision)


@contextmanager
def rivals(names: tuple[str, ...], model: str, networks: Networks) -> Iterator[list[Contender]]:
    """Others with the same weights, on the same device and with as many threads.

    Raises: BenchError: one of them is not installed, or not made for this device.
            ExportError, WeightsError: there is nothing to give them.
    """
    if not names:
        yield []
        return
    modules = {name: _import(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="crsr-bench-") as folder:
        path = Path(folder, "pair.onnx")
        export(model, path)
        yield [_MAKERS[name](modules[name], path, networks) for name in names]


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise BenchError(f"{name} is not installed: pip install {_PACKAGES[name]}") from error


def threads_of(networks: Networks) -> int:
    """CPU threads of the networks, which other programs get as well."""
    return networks.placement.threads or torch.get_num_threads()


def _onnxruntime(module: Any, path: Path, networks: Networks) -> Contender:
    device = networks.placement.device
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type)
    if provider not in module.get_available_providers():
        raise BenchError(f"this onnxruntime does not run on {device.type}")
    options = module.SessionOptions()
    options.intra_op_num_threads = threads_of(networks)
    options.inter_op_num_threads = 1
    # Threads that wait busily would be in the way of whoever has his turn next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    at = {"device_id": device.index or 0} if device.type == "cuda" else {}
    session = module.InferenceSession(str(path), options, providers=[(provider, at)])
    way = f"fp32, {module.__version__}, {provider}"

    def run(images: Images) -> Images:
        (result,) = session.run([OUTPUT], {INPUT: images})
        return np.asarray(result, np.float32)

    return Contender("onnxruntime", run, way, lambda _: "fp32")


def _openvino(module: Any, path: Path, networks: Networks) -> Contender:
    """In bf16, where we have taken that or less, else in fp32."""
    placement = networks.placement
    if placement.device.type != "cpu":
        raise BenchError("OpenVINO is compared on the CPU only")
    precision = placement.fitting(eight_bits=False).precision
    settings = {
        "INFERENCE_PRECISION_HINT": {"bf16": "bf16"}.get(precision, "f32"),
        "INFERENCE_NUM_THREADS": str(threads_of(networks)),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = module.Core()
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()

    def run(images: Images) -> Images:
        (result,) = request.infer({INPUT: images}).values()
        return np.array(result, np.float32)

    version = module.__version__.partition("-")[0]
    return Contender("openvino", run, f"{precision}, {version}", lambda _: precision)


_MAKERS = {"onnxruntime": _onnxruntime, "openvino": _openvino}
