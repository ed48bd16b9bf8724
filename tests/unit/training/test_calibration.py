"""Calibration for int8: ranges are measured on faces, and kept only if the result is good."""

import json

import pytest
import torch
from click.testing import CliRunner

from crsr_video import weights
from crsr_video.cli import main
from crsr_video.errors import TrainingError
from crsr_video.networks import onednn
from crsr_video.stages.align import CROP_SIZES
from crsr_video.training import calibration
from crsr_video.training.calibration import CalibrationSample, calibrate, compare, crops, write
from crsr_video.training.data import Faces
from crsr_video.training.export import export
from crsr_video.training.prepare import prepare
from tests.support.processor import needs_vnni
from tests.unit.training.made_faces import make_folder
from tests.unit.training.test_export import made


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    prepare(make_folder(folder / "faces", {"train": [128] * 3, "val": [128]}), folder / "a.pack")
    return folder / "a.pack"


@pytest.fixture
def file(tmp_path):
    """Return the path of tiny networks that correct a little, like trained ones."""
    run = made()
    for name in ("consistifier", "superresolver"):
        run.average(name).head.weight.mul_(0.05)
        run.average(name).head.bias.mul_(0.05)
    return export(run, tmp_path / "tiny.safetensors")


def command(*words):
    return CliRunner().invoke(main, ["train", "calibrate", *(str(word) for word in words)])


@needs_vnni
def test_measured_weights_run_in_eight_bits_from_then_on(pack, file):
    assert not weights.load(str(file)).eight_bits
    done = command(pack, "--model", file, "--rounds", 1)
    assert done.exit_code == 0, done.output
    assert "dB at worst" in done.output
    pair = weights.load(str(file))
    assert pair.eight_bits
    again = compare(
        pair,
        {"consistifier": pair.consistifier.ranges, "superresolver": pair.superresolver.ranges},
        crops(Faces(pack, "val"), calibration.np.random.default_rng(3), 1),
    )
    assert again.mean_cost <= again.worst_cost < calibration.WORST_COST
    assert again.worst > 40


@needs_vnni
@pytest.mark.parametrize("bound", ["MEAN_COST", "WORST_COST"])
def test_ranges_that_lose_too_much_are_not_kept(pack, file, monkeypatch, bound):
    monkeypatch.setattr(calibration, bound, -9.0)
    done = command(pack, "--model", file, "--rounds", 1)
    assert done.exit_code == 1
    assert "too much" in done.output
    assert not weights.ranges_file(file).exists()


@needs_vnni
def test_a_pair_for_full_texture_has_ranges_for_every_share(pack, file, tmp_path):
    both = export(made(), tmp_path / "both.safetensors", file)
    found = calibrate(weights.load(str(both)), pack, 1)
    plain, full = (found.ranges[f"{prefix}superresolver"] for prefix in ("", "textured."))
    assert set(full) - set(plain) == {"tail.first", "tail.second"}
    for name, (low, high) in plain.items():
        assert full[name][0] <= low <= high <= full[name][1]


@needs_vnni
def test_ranges_hold_what_was_seen(pack, file):
    found = calibrate(weights.load(str(file)), pack, 1)
    assert found.usual.pictures == 4
    for steps in found.ranges.values():
        assert all(low <= high for low, high in steps.values())
        assert all(low == 0 for name, (low, _) in steps.items() if name.endswith("first"))


def test_networks_that_cannot_be_measured_are_refused(pack, tmp_path):
    alone = weights.load(str(export(made("sr"), tmp_path / "w.safetensors")))
    with pytest.raises(TrainingError, match="no networks"):
        calibrate(alone, pack)
    with pytest.raises(TrainingError, match="no networks"):
        calibrate(weights.load("identity"), pack)


def test_a_processor_that_cannot_do_it_is_told(pack, file, monkeypatch):
    monkeypatch.setattr(onednn, "has_vnni", lambda: False)
    with pytest.raises(TrainingError, match="VNNI"):
        calibrate(weights.load(str(file)), pack)


def test_ranges_of_others_are_kept(tmp_path):
    path = tmp_path / "ranges.json"
    write(path, "a", {"superresolver": {"stem": [0.0, 1.0]}})
    write(path, "b", {"superresolver": {"stem": [0.0, 2.0]}})
    assert set(json.loads(path.read_text())) == {"a", "b"}
    path.write_text("[]")
    with pytest.raises(TrainingError, match="cannot add"):
        write(path, "c", {})
    assert path.read_text() == "[]"
    assert [p.name for p in tmp_path.iterdir()] == ["ranges.json"]


def test_ranges_are_measured_for_crops_that_occur():
    assert set(calibration.SIDES) < set(CROP_SIZES)


@needs_vnni
def test_the_cost_is_measured_against_the_truth(file):
    """If bf16 is the ground truth, the cost of int8 is its distance from bf16."""
    pair = weights.load(str(file))
    seen = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        best = pair.superresolver(pair.consistifier(seen).clamp(0, 1)).clamp(0, 1)
    ranges = calibration.measure([pair], [CalibrationSample(seen, best)])
    near = compare(pair, ranges, [CalibrationSample(seen, best)])
    far = compare(pair, ranges, [CalibrationSample(seen, (best + 0.1).clamp(0, 1))])
    assert near.mean_cost == near.worst_cost > 1
    assert abs(far.mean_cost) < 0.2


def test_crops_are_legal_pictures(pack):
    found = crops(Faces(pack, "train"), calibration.np.random.default_rng(0), 2)
    assert [tuple(x.seen.shape) for x in found] == [(4, 3, 32, 32)] * 2  # no larger face is there
    assert [tuple(x.truth.shape) for x in found] == [(4, 3, 128, 128)] * 2
    for x in (x for one in found for x in (one.seen, one.truth)):
        assert torch.isfinite(x).all()
        assert x.min() >= 0
        assert x.max() <= 1
