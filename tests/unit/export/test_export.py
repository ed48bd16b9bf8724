import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from crsr_video import export as exporting
from crsr_video import weights
from crsr_video.cli import main
from crsr_video.errors import ExportError, OutputError, WeightsError
from crsr_video.export import export, formats, modules
from crsr_video.export.modules import PARTS, portable, reference
from crsr_video.networks import Consistifier, SuperResolver

C = {"channels": [4, 6, 8], "middle": 1}
SR = {"channels": [4, 6, 8], "down": [1, 1], "middle": 1, "up": [1, 1]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the path of a checkpoint of tiny random networks."""
    torch.manual_seed(1)
    tensors = {}
    for prefix, network in (
        ("consistifier", Consistifier(**C)),
        ("superresolver", SuperResolver(**SR)),
    ):
        torch.nn.init.normal_(network.head.weight, std=0.05)
        tensors |= {f"{prefix}.{k}": v.contiguous() for k, v in network.state_dict().items()}
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    told = {
        "format": weights.FORMAT,
        "consistifier": json.dumps(C),
        "superresolver": json.dumps(SR),
    }
    save_file(tensors, path, told)
    return str(path)


@pytest.mark.parametrize("part", PARTS)
@torch.inference_mode()
def test_exported_networks_compute_the_same(model, part):
    pair = weights.load(model)
    module = portable(weights.load(model), part, torch.float32)
    for picture in modules.pictures():
        assert (module(picture) - reference(pair, part, picture)).abs().max() < 1e-5


# TorchScript is deprecated, but programs still load it.
@pytest.mark.filterwarnings("ignore:.torch.jit.load. is:DeprecationWarning")
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_torchscript_is_checked_and_describes_itself(model, tmp_path, part, precision):
    path = tmp_path / "net.pt"
    done = export(model, path, format="torchscript", part=part, precision=precision)
    assert done.path == path
    assert done.difference <= exporting.BOUNDS[precision]
    assert done.pictures == 6
    extra = {formats.METADATA: ""}
    torch.jit.load(str(path), _extra_files=extra)
    told = json.loads(extra[formats.METADATA])
    assert told["name"] == f"crsr-video tiny {part}"
    assert told["precision"] == precision
    assert told["weights_sha256"] == weights.load(model).sha256
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_runs_elsewhere_with_any_batch_and_size(model, tmp_path, precision):
    pytest.importorskip("onnxscript", reason="needs the extra 'export'")
    onnx = pytest.importorskip("onnx", reason="needs the extra 'export'")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
    path = tmp_path / "net.onnx"
    done = export(model, path, precision=precision)
    assert done.difference is not None
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given, made = session.get_inputs()[0], session.get_outputs()[0]
    assert (given.name, made.name) == (formats.INPUT, formats.OUTPUT)
    assert given.type == made.type == "tensor(float)"
    for shape in [(1, 3, 8, 8), (5, 3, 64, 32)]:
        picture = np.random.default_rng(0).random(shape, np.float32)
        (result,) = session.run(None, {given.name: picture})
        assert result.shape == (shape[0], 3, 4 * shape[2], 4 * shape[3])
    saved = onnx.load(path)
    told = {entry.key: entry.value for entry in saved.metadata_props}
    assert told["opset"] == str(formats.OPSET) == str(saved.opset_import[0].version)
    assert told["licence"]
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


@torch.inference_mode()
def test_a_file_that_computes_something_else_is_refused(model):
    pair = weights.load(model)

    def off(picture):
        return reference(pair, "pair", picture) + 1e-3

    with pytest.raises(ExportError, match=r"differs by 0\.001"):
        modules.largest_difference(pair, "pair", off, 1e-4)
    with pytest.raises(ExportError, match="differs by nan"):
        modules.largest_difference(pair, "pair", lambda picture: off(picture) * float("nan"), 1e-4)
    with pytest.raises(ExportError, match="returns"):
        modules.largest_difference(pair, "pair", lambda picture: picture, 1e-4)


def test_a_refused_file_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setitem(exporting.BOUNDS, "fp32", -1.0)
    with pytest.raises(ExportError):
        export(model, tmp_path / "net.pt", format="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_told(model, tmp_path):
    path = tmp_path / "net.pt"
    path.write_text("mine")
    with pytest.raises(OutputError, match="`overwrite`"):
        export(model, path, format="torchscript")
    assert path.read_text() == "mine"
    export(model, path, format="torchscript", overwrite=True)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["missing/net.pt", ".", "file/net.pt"])
def test_a_place_that_cannot_be_written(model, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        export(model, tmp_path / name, format="torchscript")
    assert "\n" not in str(caught.value)


def test_models_that_cannot_be_exported(tmp_path):
    with pytest.raises(WeightsError, match="unknown model"):
        export("nosuch", tmp_path / "net.pt", format="torchscript")
    with pytest.raises(ExportError, match="no networks"):
        export("identity", tmp_path / "net.pt", format="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(model, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"crsr-video\[export\]"):
        export(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_how_close_it_is(model, tmp_path):
    path = tmp_path / "net.pt"
    options = ["--format", "torchscript", "--part", "consistifier", "-o", str(path)]
    done = CliRunner().invoke(main, ["export", model, *options])
    assert done.exit_code == 0, done.output
    assert "differs from crsr-video's result by" in done.output
    again = CliRunner().invoke(main, ["export", model, *options])
    assert again.exit_code == 1
    assert "exists" in again.output
