import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from skimage.metrics import structural_similarity
from training.made_faces import make_folder

from crsr_video.errors import TrainingError
from crsr_video.evaluation.__main__ import main
from crsr_video.evaluation.metrics import face_region, psnr, ssim
from crsr_video.evaluation.samples import samples
from crsr_video.evaluation.sheet import CELL, write_sheet
from crsr_video.evaluation.table import as_text, measure, methods
from crsr_video.networks import Bicubic, Identity
from crsr_video.training.prepare import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluation")
    prepare(make_folder(path / "faces", {"val": [128, 256, 512]}), path / "out")
    return path / "out"


def test_psnr_of_known_errors() -> None:
    truth = torch.full((2, 3, 8, 8), 0.5)
    made = truth.clone()
    made[0] += 0.1
    made[1] += 0.01
    assert psnr(made, truth).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)


def test_psnr_forgives_overshoot() -> None:
    truth = torch.ones(1, 3, 8, 8)
    assert psnr(truth + 0.3, truth).item() == float("inf")


def test_ssim_agrees_with_scikit_image() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 40, 48, generator=generator)
    made = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    full = structural_similarity(
        made[0].double().numpy(),
        truth[0].double().numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    assert ssim(made, truth).item() == pytest.approx(full[:, 5:-5, 5:-5].mean(), abs=1e-4)
    assert ssim(truth, truth).item() == pytest.approx(1.0)


def test_face_region_is_central() -> None:
    assert face_region(torch.zeros(1, 3, 100, 100)).shape == (1, 3, 65, 60)


def test_samples_repeat_and_fit_their_tier(folder) -> None:
    first, again = list(samples(folder, 32)), list(samples(folder, 32))
    assert len(first) == 3 and len(list(samples(folder, 128))) == 1
    assert all(s.truth.shape == (1, 3, 128, 128) for s in first)
    assert all(s.inputs["degraded"].shape == (1, 3, 32, 32) for s in first)
    assert torch.equal(first[1].inputs["degraded"], again[1].inputs["degraded"])


def test_a_limited_sample_is_part_of_the_whole(folder) -> None:
    whole = {s.entry.file: s.inputs["degraded"] for s in samples(folder, 32)}
    for sample in samples(folder, 32, limit=2):
        assert torch.equal(sample.inputs["degraded"], whole[sample.entry.file])


def test_bicubic_gains_nothing_over_itself(folder) -> None:
    rows = measure(methods(Identity(), Bicubic()), folder)
    assert [(r.tier, r.input, r.faces) for r in rows] == [
        (32, "clean", 3),
        (32, "degraded", 3),
        (64, "clean", 2),
        (64, "degraded", 2),
        (128, "clean", 1),
        (128, "degraded", 1),
    ]
    assert all(r.gain == 0 and r.better == 0 for r in rows)
    assert all(15 < r.bicubic_psnr < 60 and 0 < r.bicubic_ssim < 1 for r in rows)
    assert as_text(rows).count("\n") == 7


def test_the_command_writes_table_json_and_sheet(folder, tmp_path) -> None:
    files = {"--json": tmp_path / "t.json", "--sheet": tmp_path / "s.png"}
    options = [str(part) for pair in files.items() for part in pair]
    result = CliRunner().invoke(main, ["identity", "--data", str(folder), *options])
    assert result.exit_code == 0, result.output
    assert "| 128 | degraded | 1 |" in result.output
    assert len(json.loads(files["--json"].read_text())["rows"]) == 6
    sheet = cv2.imread(str(files["--sheet"]))
    assert sheet is not None and sheet.shape == (6 * (CELL + 22), 8 * CELL, 3)
    # Bicubic is what "ours" is here.
    np.testing.assert_array_equal(sheet[22:278, CELL : 2 * CELL], sheet[22:278, 512:768])


def test_a_sheet_needs_faces(folder, tmp_path) -> None:
    with pytest.raises(TrainingError, match="no face"):
        write_sheet(tmp_path / "s.png", methods(Identity(), Bicubic()), folder, real=True)


def test_samples_need_large_enough_faces(tmp_path) -> None:
    prepare(make_folder(tmp_path / "faces", {"val": [128]}), tmp_path / "out")
    with pytest.raises(TrainingError, match="256 pixels"):
        list(samples(tmp_path / "out", 64))
