import pytest
import torch

from crsr_video.errors import DeviceError
from crsr_video.networks import onednn
from crsr_video.runtime import placement
from crsr_video.runtime.placement import place


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))


@pytest.fixture
def without_vnni(monkeypatch):
    monkeypatch.setattr(onednn, "has_vnni", lambda: False)


@pytest.fixture
def without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def one_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


@pytest.mark.parametrize(
    "name",
    ["", "nonsense", "cuda:", "cuda:-1", "cuda:x", "cuda:0:0", "meta", "xpu", "gpu", "CPU", " cpu"],
)
def test_unknown_devices_are_refused_in_one_line(name):
    with pytest.raises(DeviceError) as caught:
        place(name, "fp32")
    assert "\n" not in str(caught.value)
    assert "cpu" in str(caught.value)  # it says what there is


@pytest.mark.usefixtures("without_cuda")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:99", "cuda:127"])
def test_missing_cuda_devices_are_refused(name):
    with pytest.raises(DeviceError, match="0 CUDA devices"):
        place(name)


@pytest.mark.usefixtures("one_cuda")
@pytest.mark.parametrize(
    "name", ["cuda:1", "cuda:99", "cuda:128", "cuda:256", "cuda:300", "cuda:99999999999"]
)
def test_cuda_devices_beyond_the_last_are_refused(name):
    with pytest.raises(DeviceError):
        place(name)


def test_mps_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="Apple"):
        place("mps")


@pytest.mark.parametrize("precision", ["fp64", "half", "", "FP32", "float32"])
def test_unknown_precisions_are_refused(precision):
    with pytest.raises(DeviceError, match="precision"):
        place("cpu", precision)


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(DeviceError, match="fp16"):
        place("cpu", "fp16")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_a_precision_is_taken_as_asked(precision, dtype):
    found = place("cpu", precision)
    assert found.device.type == "cpu"
    assert found.dtype == dtype
    assert found.precision == precision


@pytest.mark.usefixtures("without_cuda")
def test_auto_takes_the_cpu_where_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert place("auto", "fp32").device.type == "cpu"


@pytest.mark.usefixtures("one_cuda")
def test_auto_takes_cuda_and_fp16_where_they_are():
    found = place()
    assert found.device.type == "cuda"
    assert found.dtype == torch.float16


@pytest.mark.usefixtures("without_vnni")
@pytest.mark.parametrize(
    ("slow", "fast", "expected"), [(1.0, 0.5, "bf16"), (1.0, 0.95, "fp32"), (1.0, 3.0, "fp32")]
)
def test_half_precision_is_chosen_on_a_cpu_only_if_it_is_worth_it(
    monkeypatch, slow, fast, expected
):
    seconds = {torch.float32: slow, torch.bfloat16: fast}
    monkeypatch.setattr(onednn, "has_bf16", lambda: False)
    monkeypatch.setattr(placement, "seconds_of_convolutions", seconds.__getitem__)
    found = place("cpu")
    assert found.precision == expected
    assert expected in found.reason


@pytest.mark.usefixtures("without_vnni")
def test_a_processor_with_instructions_for_bf16_is_not_timed(monkeypatch):
    monkeypatch.setattr(onednn, "has_bf16", lambda: True)
    monkeypatch.setattr(placement, "seconds_of_convolutions", lambda _: 1 / 0)
    assert place("cpu").precision == "bf16"


def test_abilities_of_the_processor_are_detected():
    assert onednn.has_bf16() in (True, False)
    assert onednn.has_vnni() in (True, False)


@pytest.mark.usefixtures("without_vnni")
def test_the_stopwatch_is_asked_once_for_all_runs(monkeypatch):
    """On a busy machine a second measurement could choose another precision."""
    monkeypatch.setattr(onednn, "has_bf16", lambda: False)
    monkeypatch.setattr(
        placement, "seconds_of_convolutions", {torch.float32: 1.0, torch.bfloat16: 0.5}.__getitem__
    )
    first = place("cpu")
    monkeypatch.setattr(placement, "seconds_of_convolutions", lambda _: 1.0)
    assert place("cpu") == first
    monkeypatch.setattr(placement, "processor", lambda: "another processor")
    assert place("cpu").precision == "fp32"


@pytest.mark.parametrize("asked", ["auto", "int8"])
def test_eight_bits_are_for_weights_that_were_measured(monkeypatch, asked):
    monkeypatch.setattr(onednn, "has_vnni", lambda: True)
    monkeypatch.setattr(onednn, "has_bf16", lambda: True)
    found = place("cpu", asked)
    assert (found.precision, found.dtype) == ("int8", torch.bfloat16)
    fits = found.for_weights(int8=True)
    assert (fits.precision, fits.dtype) == ("int8", torch.bfloat16)
    assert "bf16" not in fits.reason
    other = found.for_weights(int8=False)
    assert other.precision == "bf16"
    assert other.reason.startswith("bf16")
    assert "not measured" in other.reason
    assert other.for_weights(int8=True) == other


@pytest.mark.usefixtures("without_vnni")
def test_eight_bits_are_refused_where_they_overflow():
    assert not place("cpu").int8
    with pytest.raises(DeviceError, match="VNNI"):
        place("cpu", "int8")


@pytest.mark.usefixtures("one_cuda")
def test_eight_bits_are_refused_on_a_gpu():
    with pytest.raises(DeviceError, match="VNNI"):
        place("cuda", "int8")


@pytest.mark.usefixtures("without_vnni")
def test_the_probe_really_runs(monkeypatch):
    monkeypatch.setattr(onednn, "has_bf16", lambda: False)
    found = place("cpu", "auto")
    assert found.dtype in (torch.float32, torch.bfloat16)
    assert "measured" in found.reason


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (16, 4), (None, 1)])
def test_networks_take_a_small_part_of_the_machine(monkeypatch, cores, threads):
    monkeypatch.setattr(placement.os, "cpu_count", lambda: cores)
    assert placement.network_threads() == threads
