import json

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from skimage.metrics import structural_similarity

from crsr_video.cli import main
from crsr_video.errors import ConfigError, TrainingError
from crsr_video.evaluation import models, report, stills
from crsr_video.evaluation.methods import EvaluatedMethod, methods, runner
from crsr_video.evaluation.metrics import CANONICAL, face_region, ssim
from crsr_video.evaluation.models import MetricModels
from crsr_video.evaluation.samples import FIXED, batches, reference, samples
from crsr_video.evaluation.sheets import CELL_PX, TITLE_PX, write_blind_sheet, write_sheet
from crsr_video.imaging.psnr import MAX_PSNR, psnr
from crsr_video.networks import Bicubic
from crsr_video.training.data import evenly_spaced
from crsr_video.training.genuine import NPZ_FRAME
from crsr_video.training.prepare import prepare
from tests.unit.training.made_faces import make_folder


class FakeEmbedder:
    """Stand-in whose embeddings are the mean colours of nine fields."""

    def __call__(self, pictures, framing=CANONICAL):  # noqa: ARG002 - as the real one
        fields = torch.nn.functional.adaptive_avg_pool2d(pictures, 3)
        return fields.flatten(1).double().numpy()


class FakeSTLPIPS:
    """Stand-in whose distance is that of mean colours."""

    @classmethod
    def load(cls):
        return cls()

    def features(self, pictures):
        return [pictures.mean((2, 3))]

    def __call__(self, prediction, truth):
        return (self.features(prediction)[0] - truth[0]).abs().mean(1)


class FakeReader:
    def landmarks(self, picture, region=None):  # noqa: ARG002 - as the real one
        return picture.mean().item()

    def distance(self, picture, truth):
        return abs(picture.mean().item() - truth)

    def confidence(self, picture):
        return picture.max().item()

    def close(self):
        pass


class Drawn:
    """Stand-in for genuine faces, all of one size."""

    def __init__(self, size, number):
        self._size, self._number = size, number

    def count(self, size):
        return self._number if size == self._size else 0

    def all(self, size, limit=None):
        rng = np.random.default_rng(0)
        for _ in range(min(limit or self._number, self._number)):
            yield rng.integers(0, 255, (size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluation")
    source = make_folder(path / "faces", {"val": [128, 256, 512], "train": [128, 256, 256, 256]})
    listed = source / "faces.csv"
    listed.write_text(listed.read_text().replace("train,synthetic", "train,real"))
    (path / "out").mkdir()
    prepare(source, path / "out")
    return path / "out"


@pytest.fixture
def fakes(monkeypatch):
    """Return models that need no file."""
    monkeypatch.setattr(models, "Embedder", FakeEmbedder)
    monkeypatch.setattr(models, "FaceAnalyser", FakeReader)
    monkeypatch.setattr(models, "STLPIPS", FakeSTLPIPS)
    with MetricModels() as tools:
        yield tools


def test_psnr_of_known_errors() -> None:
    truth = torch.full((2, 3, 8, 8), 0.5)
    made = truth.clone()
    made[0] += 0.1
    made[1] += 0.01
    assert psnr(made, truth).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)


def test_psnr_forgives_overshoot() -> None:
    truth = torch.ones(1, 3, 8, 8)
    assert psnr(truth + 0.3, truth).item() == pytest.approx(MAX_PSNR)


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
    assert [len(batch.truth) for batch in batches(iter(first), 2)] == [2, 1]


def test_a_limited_sample_is_part_of_the_whole(folder) -> None:
    whole = {s.file: s.inputs["degraded"] for s in samples(folder, 32)}
    for sample in samples(folder, 32, limit=2):
        assert torch.equal(sample.inputs["degraded"], whole[sample.file])


def test_samples_need_large_enough_faces(tmp_path) -> None:
    prepare(make_folder(tmp_path / "faces", {"val": [128]}), tmp_path / "out.pack")
    with pytest.raises(TrainingError, match="256 pixels"):
        list(samples(tmp_path / "out.pack", 64))


def test_evenly_spaced_takes_the_ends() -> None:
    assert evenly_spaced(range(10), 4) == [0, 3, 6, 9]
    assert evenly_spaced("ab", 5) == evenly_spaced("ab", None) == ["a", "b"]


def test_the_reference_is_photographs_framed_alike(folder) -> None:
    assert [p.shape for p in reference(folder, 128, 9)] == [(1, 3, 128, 128)] * 4
    assert [p.shape for p in reference(folder, 64, 9, NPZ_FRAME)] == [(1, 3, 64, 64)] * 4
    with pytest.raises(TrainingError, match="512 pixels"):
        list(reference(folder, 512, 9))


def test_methods_are_found_by_name() -> None:
    found = methods(["identity", "identity:psi"])
    assert [m.name for m in found] == ["bicubic", "identity", "identity:psi"]
    low = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(m.run(low), found[0].run(low)) for m in found)
    with pytest.raises(ConfigError, match="twice"):
        methods(["identity", "identity"])


def test_methods_stay_in_range() -> None:
    sharp = torch.zeros(1, 3, 8, 8)
    sharp[..., 4:] = 1
    made = runner(Bicubic())(sharp)
    assert made.min() == 0 and made.max() == 1


def test_bicubic_gains_nothing_over_itself(folder, fakes) -> None:
    rows = stills.measure_paired(methods(["identity"]), folder, fakes)
    wanted = [(t, k, 3 - n) for n, t in enumerate((32, 64, 128)) for k in ("clean", "degraded")]
    assert [(r.tier, r.input, r.faces) for r in rows[1::2]] == wanted
    assert all(r.figures["gain"] == 0 and r.figures["better"] == 0 for r in rows[1::2])
    assert all(15 < r.figures["psnr"] < 60 and 0 < r.figures["ssim"] < 1 for r in rows)


def test_the_truth_is_perfect_and_clean_beats_degraded(folder, fakes) -> None:
    truths = {s.inputs["clean"]: s.truth for s in samples(folder, 32)}

    def cheat(low):
        found = [t for known, t in truths.items() for part in low if torch.equal(known[0], part)]
        return torch.cat(found) if found else Bicubic()(low)

    bicubic = methods([])[0]
    rows = stills.measure_paired(
        [bicubic, EvaluatedMethod("cheat", cheat)], folder, fakes, tiers=(32,)
    )
    plain, perfect, degraded, _ = (row.figures for row in rows)
    assert perfect["psnr"] == pytest.approx(MAX_PSNR) and perfect["better"] == perfect["same"] == 1
    assert perfect["ssim"] == pytest.approx(1) and perfect["identity"] == 0
    assert perfect["landmarks"] == perfect["st_lpips"] == 0
    assert perfect["skin"] == perfect["iris"] == 0 < degraded["iris"]
    assert plain["psnr"] > degraded["psnr"] and plain["ssim"] > degraded["ssim"]


def test_the_worst_twentieth_is_the_mean_of_the_worst_values() -> None:
    values = np.arange(40.0)
    assert stills.worst(values, True) == 0.5 and stills.worst(values, False) == 38.5
    assert stills.worst(values[:3], True) == 0


def test_genuine_faces_are_measured_as_sets(folder, fakes) -> None:
    faces = [stills.GenuineFaces("drawn", Drawn(32, 9))]
    dark = EvaluatedMethod("dark", lambda low: Bicubic()(low) * 0.1)
    compared = [*methods(["identity"]), dark]
    rows = stills.measure_genuine(compared, faces, folder, fakes, tiers=(16, 32), count=5)
    assert [(r.tier, r.input, r.method, r.faces) for r in rows] == [
        (32, "drawn", name, 5) for name in ("bicubic", "identity", "dark")
    ]
    plain, same, other = (row.figures for row in rows)
    assert plain == same and plain["identity"] == pytest.approx(1) and plain["same"] == 1
    assert other["frechet"] > plain["frechet"] and other["same"] == 0
    assert other["confidence"] < plain["confidence"]
    assert any("drawn" in note for note in fakes.notes)
    with pytest.raises(TrainingError, match="no genuine faces"):
        stills.measure_genuine(compared, faces, folder, fakes, tiers=(64,))


def test_without_optional_judges_their_columns_are_left_out(folder, monkeypatch) -> None:
    def missing():
        raise TrainingError("not here")

    monkeypatch.setattr(models, "Embedder", missing)
    monkeypatch.setattr(models, "FaceAnalyser", missing)
    monkeypatch.setattr(models.STLPIPS, "load", missing)
    with MetricModels() as tools:
        rows = stills.measure_paired(methods([]), folder, tools, tiers=(32,))
    text = report.as_text(rows, report.PAIRED)
    assert (
        "SSIM" in text
        and "ID dist." not in text
        and "ST-LPIPS" not in text
        and "landm." not in text
    )
    assert sum("not here" in note for note in tools.notes) == 3


@pytest.mark.usefixtures("fakes")
def test_the_command_writes_tables_figures_and_sheet(folder, tmp_path) -> None:
    np.savez(tmp_path / "wild.npz", faces=np.full((40, 32, 32, 3), 90, np.uint8))
    options = ["--data", str(folder), "--genuine", str(tmp_path / "wild.npz")]
    options += ["--json", str(tmp_path / "t.json"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["evaluate", "identity", *options])
    assert result.exit_code == 0, result.output
    assert "|  128 | degraded | identity |" in result.output
    assert "|   32 | wild  | bicubic  |     4 |" in result.output
    content = json.loads((tmp_path / "t.json").read_text())
    assert content == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert len(content["rows"]) == 12 and len(content["genuine"]) == 2
    assert "Frechet" in (tmp_path / "out" / "evaluation.md").read_text()
    sheet = cv2.imread(str(tmp_path / "out" / "sheet.png"))
    # Three, two and one validation faces, and two strips of genuine ones.
    assert sheet is not None and sheet.shape[1] == 8 * CELL_PX
    np.testing.assert_array_equal(
        sheet[TITLE_PX : TITLE_PX + CELL_PX, CELL_PX : 2 * CELL_PX],
        sheet[TITLE_PX : TITLE_PX + CELL_PX, 2 * CELL_PX : 3 * CELL_PX],
    )


def test_every_fixed_degradation_is_a_row(folder, fakes) -> None:
    rows = stills.measure_paired(methods([]), folder, fakes, tiers=(32,), degradations=FIXED)
    assert [row.input for row in rows] == list(FIXED)
    quality = {row.input: row.figures["psnr"] for row in rows}
    assert quality["clean"] > quality["mild"] > quality["hard"]
    assert all(quality["clean"] > value for name, value in quality.items() if name != "clean")


def test_rows_by_skin_tone_add_up(folder, fakes) -> None:
    rows = stills.measure_paired(methods([]), folder, fakes, tiers=(32,), by_tone=True)
    whole = [row for row in rows if row.input == "clean"]
    parts = [row for row in rows if row.input.startswith("clean, ")]
    assert sum(row.faces for row in parts) == whole[0].faces


def test_a_blind_sheet_keeps_its_key_apart(folder, tmp_path) -> None:
    dark = EvaluatedMethod("dark", lambda low: Bicubic()(low) * 0.1)
    compared = [*methods(["identity"]), dark]
    key = write_blind_sheet(tmp_path / "blind.png", compared, folder, tier=32)
    answers = json.loads(key.read_text())
    assert [row["face"] for row in answers] == [1, 2, 3]
    sheet = cv2.imread(str(tmp_path / "blind.png"))
    for index, row in enumerate(answers):
        top, left = (index // 2) * 276 + 20, (index % 2) * 3 * 256
        first, second = (
            sheet[top : top + 256, left + n * 256 : left + (n + 1) * 256].mean() for n in (1, 2)
        )
        assert (first < second) == (row["A"] == "dark")
    with pytest.raises(ConfigError, match="two models"):
        write_blind_sheet(tmp_path / "b.png", methods([]), folder)


@pytest.mark.parametrize("tiers", ["24", "a", ""])
def test_tiers_that_are_none(tiers) -> None:
    result = CliRunner().invoke(main, ["evaluate", "identity", "--data", ".", "--tiers", tiers])
    assert result.exit_code == 2 and "tiers" in result.output


def test_a_sheet_needs_faces_and_a_place(folder, tmp_path) -> None:
    with pytest.raises(TrainingError, match="no face"):
        write_sheet(tmp_path / "s.png", methods([]), folder, real=True)
    with pytest.raises(TrainingError, match="cannot be written"):
        write_sheet(tmp_path / "none" / "s.png", methods([]), folder, tiers=(32,), faces=1)
