"""Programs that run a pair of networks: crsr-video, and others that read exported networks."""

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
from crsr_video.bench.case import precision_of
from crsr_video.errors import BenchError
from crsr_video.export import export
from crsr_video.export.formats import INPUT, OUTPUT
from crsr_video.imaging.transfers import Transfers, transfers_for
from crsr_video.runtime.loading import Networks

Images = NDArray[np.float32]
Run = Callable[[Images], Images]
"""A function that enhances (N, 3, S, S) to (N, 3, 4S, 4S), RGB in [0, 1]."""

OWN = "crsr-video"


@dataclass(frozen=True, slots=True)
class Stream:
    """The networks on a GPU, and the transfers to and from it."""

    forward: transfers.Forward
    transfers: Transfers


@dataclass(frozen=True, slots=True)
class BenchBackend:
    """A program that runs both networks, one after the other."""

    name: str
    run: Run
    method: str
    """How the networks are run."""
    precision: str
    """fp32, bf16, fp16 or int8."""
    stream: Stream | None = None
    """Networks and transfers for batches that overlap. None means one batch after the other."""

    def run_many(self, images: Images, count: int) -> None:
        """Run the same batch several times."""
        if self.stream is not None:
            transfers.stream_batches(self.stream.forward, self.stream.transfers, images, count)
        else:
            for _ in range(count):
                self.run(images)


def own_backend(networks: Networks) -> BenchBackend:
    """Return a backend that runs the networks as the pipeline does.

    On a GPU, the values that pass from one network to the other stay on the GPU.
    """
    device, predictors = networks.placement.device, networks.predictors()
    method, forward = predictors.super_resolve.method, transfers.chain(predictors)

    precision = precision_of(method, networks.placement)

    def run(images: Images) -> Images:
        result: Images = forward(torch.from_numpy(images)).cpu().numpy()
        return result

    if device.type != "cuda":
        return BenchBackend(OWN, run, method, precision)
    return streamed(method, precision, Stream(forward, transfers_for(device)))


def streamed(method: str, precision: str, stream: Stream) -> BenchBackend:
    """Return a backend that computes one batch while it copies others."""

    def run(images: Images) -> Images:
        return transfers.stream_batches(stream.forward, stream.transfers, images, 1)

    return BenchBackend(OWN, run, method, precision, stream)


@contextmanager
def other_backends(
    names: tuple[str, ...], model: str, networks: Networks, texture: float
) -> Iterator[list[BenchBackend]]:
    """Yield backends for other programs: same weights, texture, device and number of threads."""
    if not names:
        yield []
        return
    modules = {name: _import(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="crsr-bench-") as folder:
        path = Path(folder, "pair.onnx")
        export(model, path, texture=texture)
        yield [OTHERS[name](modules[name], path, networks) for name in names]


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        package = "" if name == "onnxruntime" else f" {name}"
        text = f"{name} is not installed: pip install 'crsr-video[export]'{package}"
        raise BenchError(text) from error


def threads_of(networks: Networks) -> int:
    """Return the number of CPU threads of the networks, which other programs also get."""
    return networks.placement.threads or torch.get_num_threads()


def _onnxruntime(module: Any, path: Path, networks: Networks) -> BenchBackend:
    device = networks.placement.device
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type)
    if provider not in module.get_available_providers():
        raise BenchError(f"this onnxruntime does not run on {device.type}")
    options = module.SessionOptions()
    options.intra_op_num_threads = threads_of(networks)
    options.inter_op_num_threads = 1
    # Threads that spin while they wait would slow down the next backend.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    at = {"device_id": device.index or 0} if device.type == "cuda" else {}
    session = module.InferenceSession(str(path), options, providers=[(provider, at)])
    method = f"fp32, {module.__version__}, {provider}"

    def run(images: Images) -> Images:
        (result,) = session.run([OUTPUT], {INPUT: images})
        return np.asarray(result, np.float32)

    return BenchBackend("onnxruntime", run, method, "fp32")


def _openvino(module: Any, path: Path, networks: Networks) -> BenchBackend:
    """Return OpenVINO at bf16 if the networks run at bf16 or int8, and at fp32 otherwise."""
    placement = networks.placement
    if placement.device.type != "cpu":
        raise BenchError("OpenVINO is compared on the CPU only")
    precision = placement.for_weights(int8=False).precision
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
    return BenchBackend("openvino", run, f"{precision}, {version}", precision)


OTHERS: dict[str, Callable[[Any, Path, Networks], BenchBackend]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
"""For each program, the function that makes its backend."""
