import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from crsr_video.imaging.masks import face_mask, window
from crsr_video.networks import Bicubic, Consistifier, IdentityConsistifier, SuperResolver, onednn
from crsr_video.networks.plan import run_steps
from crsr_video.networks.quantised import QuantisedNetwork, RangeObserver
from crsr_video.runtime import measurements, predictor
from crsr_video.runtime.predictor import Predictor, Windowed
from tests.support.operations import CPU
from tests.support.processor import needs_onednn, needs_vnni


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))


def network():
    torch.manual_seed(3)
    made = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1))
    torch.nn.init.normal_(made.head.weight, std=0.02)
    return made.eval()


def pictures(count=3, side=16):
    return torch.from_numpy(np.random.default_rng(1).random((count, 3, side, side), np.float32))


@torch.inference_mode()
def away(one, other):
    return float((one - other).abs().max())


@pytest.mark.parametrize(
    "made", [network(), Bicubic(), IdentityConsistifier(), Consistifier((4, 6, 8), 1)]
)
@torch.inference_mode()
def test_a_predictor_gives_the_network_s_own_result(made):
    plain = copy.deepcopy(made)
    assert away(Predictor(made, CPU)(pictures()), plain(pictures())) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_predictor_takes_and_gives_float32_and_leaves_its_input_alone(dtype):
    given = pictures()
    output = Predictor(Consistifier((4, 6, 8), 1), replace(CPU, dtype=dtype))(given)
    assert output.dtype == torch.float32
    assert torch.equal(output, pictures())  # a fresh consistifier is the identity
    assert torch.equal(given, pictures())


def test_a_predictor_switches_to_evaluation():
    made = Consistifier((4, 6, 8), 1).train()
    Predictor(made, CPU)
    assert not made.training


def test_a_predictor_uses_its_own_threads_and_leaves_those_of_the_process():
    seen = []

    class Counting(torch.nn.Module):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return x

    before = torch.get_num_threads()
    Predictor(Counting(), replace(CPU, threads=before + 1))(pictures())
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("fault", ["missing", "wrong"])
@torch.inference_mode()
def test_a_fast_way_that_does_not_work_here_is_not_taken(monkeypatch, fault):
    def broken(_network, _dtype):
        if fault == "missing":
            raise NotImplementedError("no such operation")
        return lambda picture: torch.zeros(1, 3, 64, 64) * picture.sum()

    monkeypatch.setattr(predictor, "FusedNetwork", broken)
    made = network()
    plain = copy.deepcopy(made)
    assert away(Predictor(made, CPU)(pictures()), plain(pictures())) < 1e-6


@needs_onednn
@pytest.mark.parametrize("name", ["pack_weight", "convolve", "convolve_onto"])
@torch.inference_mode()
def test_without_an_unstable_operation_of_torch_the_plain_network_runs(monkeypatch, name):
    def missing(*_, **__):
        raise AttributeError("no such operation")

    monkeypatch.setattr(onednn, name, missing)
    made = Predictor(network(), CPU)
    assert made.method == "fp32, step by step"
    assert away(made(pictures()), network()(pictures())) < 1e-6


def test_missing_queries_of_the_processor_count_as_no(monkeypatch):
    for name in ("_is_vnni_supported", "_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not onednn.has_vnni()
    assert not onednn.has_bf16()


@needs_onednn
def test_the_fused_way_is_taken_where_it_works():
    assert Predictor(network(), CPU).method == "fp32, fused"


@pytest.fixture
def compared(monkeypatch):
    """Return a list of the comparisons with the network itself."""
    own, calls = predictor.largest_difference, []

    def difference(forward, made):
        calls.append(type(forward).__name__)
        return own(forward, made)

    monkeypatch.setattr(predictor, "largest_difference", difference)
    return calls


@needs_onednn
@torch.inference_mode()
def test_a_fast_way_is_compared_with_the_network_once_on_a_machine(compared, monkeypatch):
    first = Predictor(network(), CPU)(pictures())
    assert len(compared) == 1
    assert torch.equal(Predictor(network(), CPU)(pictures()), first)
    assert len(compared) == 1
    other = network()
    other.stem.bias.data[0] += 1e-3
    Predictor(other, CPU)
    assert len(compared) == 2
    Predictor(network(), replace(CPU, dtype=torch.bfloat16))
    assert len(compared) == 3
    monkeypatch.setattr(predictor, "processor", lambda: "another processor")
    Predictor(network(), CPU)
    assert len(compared) == 4


@needs_onednn
@torch.inference_mode()
@pytest.mark.parametrize("damage", ["torn", "gone", "not writable"])
def test_without_a_cached_comparison_the_result_is_the_same(compared, damage, monkeypatch):
    first = Predictor(network(), CPU)(pictures())
    (path,) = measurements.folder().iterdir()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "gone":
        path.unlink()
    else:
        monkeypatch.setenv("CRSR_VIDEO_CACHE", str(path))
    assert torch.equal(Predictor(network(), CPU)(pictures()), first)
    assert len(compared) == 2


@needs_onednn
@torch.inference_mode()
def test_a_way_that_computes_something_else_stays_out(monkeypatch):
    for difference in (float("nan"), 0.2, 0.0):  # After 0.2, which is kept, nothing is compared.
        monkeypatch.setattr(predictor, "largest_difference", lambda *_, d=difference: d)
        assert Predictor(network(), CPU).method == "fp32, step by step"


@needs_vnni
@torch.inference_mode()
def test_a_slow_width_is_computed_with_a_few_more_columns():
    made = measured(network())
    run = QuantisedNetwork(made, made.ranges)
    picture = pictures(1, 128)
    wider = functional.pad(picture, (0, 4, 0, 0), mode="replicate")
    assert torch.equal(run(picture), run(wider)[..., :512])
    # The right edge sees the columns that were added instead of a border of zeros.
    assert away(run(picture)[..., :448], made(picture)[..., :448]) < 0.02


@torch.inference_mode()
def test_results_of_half_the_size_are_those_of_the_network_shrunk():
    made, picture = doubtful(SuperResolver((4, 6, 8), (1, 1), 1, (1, 1), 4)), pictures()
    half = made.at_half_size()
    changes = [
        run(picture) - functional.interpolate(picture, scale_factor=n, mode="bicubic")
        for run, n in ((made, 4), (half, 2))
    ]
    torch.testing.assert_close(functional.avg_pool2d(changes[0], 2), changes[1])
    assert away(Predictor(half, CPU)(picture), made.at_half_size()(picture)) < 1e-5


def measured(made):
    observer = RangeObserver(made)
    run_steps(made, observer, pictures(4, 32))
    made.ranges = observer.ranges
    return made


# The part of a crop that is computed


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_the_window_holds_the_mask_and_not_much_more(size):
    rows, columns = window(size)
    outside = np.ones((size, size), bool)
    outside[rows, columns] = False
    assert not face_mask(size)[outside].any()
    assert outside.mean() > 0.3
    assert all(n % 4 == 0 for part in (rows, columns) for n in (part.start, part.stop))


def doubtful(made):
    """Return a network without any zero weight."""
    torch.manual_seed(1)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return made.eval()


@pytest.mark.parametrize("make, factor", [(Consistifier, 1), (SuperResolver, 4)])
def test_inside_is_the_network_s_own_result_and_outside_nothing_is_added(make, factor):
    made, picture = doubtful(make()), pictures(2, 64)
    with torch.inference_mode():
        result = Windowed(made, factor, (64,))(picture)
        rows, columns = window(64)
        inside = made(picture[..., rows, columns])
        nothing = functional.interpolate(
            picture, scale_factor=factor, mode="bicubic", align_corners=False
        )
    rows, columns = window(64 * factor)
    torch.testing.assert_close(result[..., rows, columns], inside)
    outside = torch.ones(64 * factor, 64 * factor, dtype=torch.bool)
    outside[rows, columns] = False
    assert (result - (nothing if factor > 1 else picture))[..., outside].abs().max() < 1e-5
    assert (result - nothing).abs().max() > 0.001


def test_crops_of_other_sizes_are_computed_whole():
    made = doubtful(SuperResolver())
    with torch.inference_mode():
        result = Windowed(made, 4, (64,))(pictures(1, 32))
        torch.testing.assert_close(result, made(pictures(1, 32)))


def test_a_predictor_may_be_windowed():
    made = doubtful(SuperResolver())
    part, whole = (Predictor(made, CPU, windowed=sides)(pictures(1, 64)) for sides in ((64,), ()))
    rows, columns = window(256)
    middle = slice(rows.start + 64, rows.stop - 64), slice(columns.start + 64, columns.stop - 64)
    assert (part - whole)[..., 0, 0].abs().max() > 0
    assert (part - whole)[..., *middle].abs().max() < 0.02
