"""Write a module as ONNX or TorchScript, and open such a file."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crsr_video.errors import ExportError

OPSET = 18
"""Oldest ONNX opset that defines every layer as it is defined today."""

INPUT, OUTPUT = "image", "picture"
"""Names of the input and the output."""

METADATA = "crsr-video.json"
"""File inside a TorchScript archive with its metadata."""

_ADVICE = "needs an extra: pip install 'crsr-video[export]'"

Forward = Callable[[Tensor], Tensor]


def write_onnx(module: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write one ONNX file that contains the weights.

    The exported network accepts any batch size, and heights and widths divisible by 4.

    Raises:
        ExportError: A package is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise ExportError(f"export to ONNX {_ADVICE}") from error
    height, width = torch.export.Dim("height", max=4096), torch.export.Dim("width", max=4096)
    shapes = {0: torch.export.Dim("batch", max=1024), 2: 4 * height, 3: 4 * width}
    with _silenced():
        torch.onnx.export(
            module,
            (torch.rand(2, 3, 64, 48),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            dynamic_shapes=(shapes,),
        )
        model = onnx.load(path)
        onnx.helper.set_model_props(model, dict(metadata))
        model.producer_name, model.producer_version = "crsr-video", metadata["version"]
        onnx.checker.check_model(model)
        onnx.save(model, path)


def open_onnx(path: Path) -> Forward | None:
    """Open a file in ONNX Runtime on the CPU. Return None if ONNX Runtime is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Tensor:
        (result,) = session.run([OUTPUT], {INPUT: picture.numpy()})
        return torch.from_numpy(result)

    return run


def write_torchscript(module: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write an archive for `torch.jit.load`, with the metadata as JSON inside."""
    with _silenced(), torch.inference_mode():
        example = torch.rand(2, 3, 64, 48)
        traced = torch.jit.freeze(torch.jit.trace(module, example))
        torch.jit.save(traced, str(path), _extra_files={METADATA: json.dumps(dict(metadata))})


def open_torchscript(path: Path) -> Forward:
    """Open a file in LibTorch."""
    with _silenced():
        loaded: Any = torch.jit.load(str(path))

    def run(picture: Tensor) -> Tensor:
        with torch.inference_mode():
            result: Tensor = loaded(picture)
        return result

    return run


@contextmanager
def _silenced() -> Iterator[None]:
    """Hide the exporters' messages about their internals; the file is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
