import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crsr_video.cli import main
from crsr_video.evaluation import protocol
from crsr_video.evaluation.protocol import PLAN, ProtocolSettings, bootstrap, report
from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.costs import count_macs
from crsr_video.training.method import SIZES
from crsr_video.training.options import method
from crsr_video.training.prepare import prepare
from tests.unit.training.made_faces import make_folder


def test_the_interval_covers_the_mean_and_narrows_with_more_seeds() -> None:
    rng = np.random.default_rng(1)
    # Seeds differ by much more than faces.
    few, many = (
        0.5 + rng.normal(0, 1, (seeds, 1)) + rng.normal(0, 0.1, (seeds, 40)) for seeds in (4, 64)
    )
    (low, high), (closer, near) = bootstrap(few), bootstrap(many)
    assert low < few.mean() < high and closer < 0.5 < near
    assert near - closer < 0.5 * (high - low)
    assert bootstrap(np.full((3, 5), 0.25)) == (0.25, 0.25)


def test_one_network_costs_as_much_as_two() -> None:
    picture = torch.zeros(1, 3, 16, 16)
    small, single = SIZES["small"], SIZES["single"]
    both = [Consistifier(**small.consistifier), SuperResolver(**small.superresolver)]
    one = count_macs(SuperResolver(**single.superresolver), picture)
    assert one == pytest.approx(sum(count_macs(part, picture) for part in both), rel=0.03)


def test_every_run_of_the_plan_has_known_settings_and_starts_from_an_earlier_one() -> None:
    done = {""}
    for run in PLAN:
        method(run.method, "small", [], run.changes)
        assert run.start in done
        done.add(run.name)


def test_a_difference_stands_beside_every_method(tmp_path) -> None:
    settings = ProtocolSettings(faces=tmp_path, genuine=tmp_path, folder=tmp_path, seeds=(1, 2))
    paired = [
        {
            ("clean", name): {"psnr": np.full(6, value + seed / 10)}
            for name, value in (("bicubic", 20.0), ("sr", 22.0), ("cr", 25.0))
        }
        for seed in (1, 2)
    ]
    known = [{name: {"frechet": 0.1} for name in ("bicubic", "sr", "cr")}] * 2
    text = " ".join(report(settings, paired, known).split())
    assert "| sr | 22.15 ± 0.05 | +3.00 [+3.00, +3.00] |" in text
    assert "with the seeds 1, 2" in text and "Real low-resolution faces" in text


@pytest.mark.filterwarnings("ignore:Degrees of freedom")  # One seed has no spread.
def test_the_command_trains_and_compares_and_continues(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "PLAN", [PLAN[i] for i in (0, 2, 6, 7)])
    make_folder(tmp_path / "faces", {"train": [128, 128], "val": [128, 128, 128]})
    listed = tmp_path / "faces" / "faces.csv"
    listed.write_text(listed.read_text().replace("synthetic", "real"))
    prepare(tmp_path / "faces", tmp_path / "faces.pack")
    small = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "wild.npz", faces=small)
    words = ["evaluate-paper", str(tmp_path / "faces.pack"), "-o", str(tmp_path / "out")]
    words += ["--genuine", str(tmp_path / "wild.npz"), "--seeds", "1", "--steps", "2"]
    first = CliRunner().invoke(main, [*words, "--size", "tiny"])
    assert first.exit_code == 0, first.output
    assert "Paired faces, degraded" in first.stdout and "| cr " in first.stdout
    weights = tmp_path / "out" / "seed1" / "cr.safetensors"
    before = weights.read_bytes()
    again = CliRunner().invoke(main, [*words, "--size", "tiny"])
    assert again.exit_code == 0 and weights.read_bytes() == before
    assert again.stdout == first.stdout
