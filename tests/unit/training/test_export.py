import json

import pytest
import torch
from safetensors import safe_open

from crsr_video import weights
from crsr_video.errors import TrainingError, WeightsError
from crsr_video.training import export as exporting
from crsr_video.training.export import export, write_card
from crsr_video.training.options import METHODS, method
from crsr_video.training.prepare import prepare
from crsr_video.training.run import Run
from tests.unit.training.made_faces import make_folder


def made(name: str = "joint", size: str = "tiny") -> Run:
    """Return a run with random averaged weights, the same for every method."""
    chosen = method(name, size, [], [])
    run = Run(chosen.name, chosen.settings(), chosen.specs())
    torch.manual_seed(0)
    for part in ("consistifier", "superresolver"):
        if part in run.averages:
            for parameter in run.average(part).parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    return run


def test_an_exported_run_computes_the_same(tmp_path) -> None:
    run = made()
    pair = weights.load(str(export(run, tmp_path / "w" / "fast.safetensors")))
    picture = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        for name in ("consistifier", "superresolver"):
            there, here = getattr(pair, name)(picture), run.average(name)(picture)
            assert torch.allclose(there, here, atol=5e-3)
            assert not torch.equal(here, run[name](picture))
    assert pair.has_texture


def test_a_super_resolver_alone_can_be_exported(tmp_path) -> None:
    pair = weights.load(str(export(made("sr"), tmp_path / "w.safetensors")))
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(pair.consistifier(picture), picture)


def test_the_background_network_is_a_file_of_its_own(tmp_path) -> None:
    run = made("background")
    for parameter in run.average("background").parameters():
        parameter.add_(0.01)
    found = weights.load_background(export(run, tmp_path / "background.safetensors"))
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(found(picture, 2), run.average("background")(picture, 2), rtol=0.01)
    with pytest.raises(WeightsError, match="do not fit the superresolver"):
        weights.load(str(tmp_path / "background.safetensors"))


def test_equal_weights_make_equal_files(tmp_path) -> None:
    run = made()
    contents = {export(run, tmp_path / f"{n}.safetensors").read_bytes() for n in range(8)}
    assert len(contents) == 1


def test_others_may_read_it_as_far_as_the_umask_lets_them(tmp_path) -> None:
    (tmp_path / "plain").touch()
    path = export(made(), tmp_path / "w.safetensors")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_header_builds_the_networks(tmp_path) -> None:
    path = export(made(), tmp_path / "w.safetensors")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        names = file.keys()
        assert all(file.get_tensor(name).dtype == torch.float16 for name in names)
    assert header["format"] == "crsr-video/1"
    assert json.loads(header["consistifier"]) == {"channels": [4, 4, 4], "middle": 1}
    assert json.loads(header["superresolver"])["tail"] == 4
    assert [run["method"] for run in json.loads(header["history"])] == ["joint"]
    assert header["licence"] == "MIT"


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path) -> None:
    run = made()
    next(run.average("consistifier").parameters()).fill_(1e6)
    with pytest.raises(TrainingError, match=r"consistifier\.stem\.weight"):
        export(run, tmp_path / "w.safetensors")


def test_weights_too_large_to_ship_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "LARGEST_BYTES", 1000)
    with pytest.raises(TrainingError, match="larger"):
        export(made(), tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_card_names_data_recipe_and_figures(tmp_path) -> None:
    prepare(
        make_folder(tmp_path / "faces", {"train": [128, 256], "val": [128]}),
        tmp_path / "faces.pack",
    )
    run = made()
    path = export(run, tmp_path / "fast.safetensors")
    figures = tmp_path / "figures.md"
    figures.write_text("| tier | PSNR |\n")
    card = write_card(
        path,
        run,
        tmp_path / "faces.pack",
        figures=figures,
        hardware="a machine",
        commands=("first", "second"),
    ).read_text()
    assert "| drawn | synthetic | 2 | made for the test |" in card
    assert "| tier | PSNR |" in card and "first\nsecond" in card and "a machine" in card
    assert "our reconstruction" in card and "on 1 faces of other persons" in card
    assert "consistifier" in card and '"peak": 0.0004' in card
    with pytest.raises(TrainingError, match="cannot read"):
        write_card(path, run, tmp_path / "faces.pack", figures=tmp_path / "none.md")


def test_all_methods_are_known_by_name() -> None:
    assert {m.name for m in METHODS.values()} == {
        "sr",
        "cr",
        "joint",
        "uda",
        "lrgan",
        "perceptual",
        "background",
    }


def test_a_run_can_be_exported_as_the_networks_for_full_texture(tmp_path) -> None:
    run = made()
    before = export(run, tmp_path / "before.safetensors")
    for parameter in run.averages.parameters():
        parameter.add_(0.5)
    after = weights.load(str(export(run, tmp_path / "after.safetensors")))
    both = weights.load(str(export(run, tmp_path / "both.safetensors", before)))
    plain = weights.load(str(before)).superresolver.state_dict()
    assert all(torch.equal(v, plain[k]) for k, v in both.superresolver.state_dict().items())
    full, half = (both.with_texture(share).superresolver for share in (1.0, 0.5))
    for name, value in after.superresolver.state_dict().items():
        assert torch.equal(full.state_dict()[name], value), name
        middle = value if name.startswith("tail.") else (plain[name] + value) / 2
        assert torch.allclose(half.state_dict()[name], middle, atol=1e-6), name
    assert (full.texture, half.texture) == (1.0, 0.5)


def test_the_networks_of_a_run_can_be_used_at_less_than_full_texture(tmp_path) -> None:
    run = made()
    before = export(run, tmp_path / "before.safetensors")
    for parameter in run.averages.parameters():
        parameter.add_(0.5)
    wanted = weights.load(str(export(run, tmp_path / "after.safetensors"))).with_texture(1.0)
    both = weights.load(str(export(run, tmp_path / "both.safetensors", before, at=0.5)))
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found, expected = (
        pair.superresolver(pair.consistifier(picture)) for pair in (both.with_texture(0.5), wanted)
    )
    assert (found - expected).abs().max() < 1e-2 * expected.abs().max()
    assert (both.superresolver(picture) - expected).abs().max() > 0.1 * expected.abs().max()


def test_networks_for_full_texture_must_have_the_sizes_of_the_others(tmp_path) -> None:
    larger = export(made(size="small"), tmp_path / "w.safetensors")
    path = export(made(), tmp_path / "both.safetensors", larger)
    with pytest.raises(WeightsError, match="different sizes"):
        weights.load(str(path))
