import json

import pytest
import torch
from safetensors import safe_open

from crsr_video import weights
from crsr_video.errors import TrainingError
from crsr_video.training import export as exporting
from crsr_video.training.card import write_card
from crsr_video.training.export import export
from crsr_video.training.prepare import prepare
from crsr_video.training.state import State, fresh
from training.made_faces import make_folder

TINY = {
    "consistifier": {"channels": (4, 4, 4)},
    "superresolver": {"channels": (4, 4, 4), "down": (1, 1), "middle": 1, "up": (1, 1)},
}


def noisy() -> State:
    state = fresh(TINY, 0)
    for parameter in state.average.parameters():
        parameter.add_(torch.randn(parameter.shape) * 0.1)
    return state


def test_round_trip(tmp_path) -> None:
    state = noisy()
    pair = weights.load(str(export(state, tmp_path / "w" / "fast.safetensors")))
    picture = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        for name in ("consistifier", "superresolver"):
            there = getattr(pair, name)(picture)
            here = getattr(state.average, name)(picture)
            assert torch.allclose(there, here, atol=5e-3)
            assert not torch.equal(here, getattr(state.pair, name)(picture))


def test_equal_weights_make_equal_files(tmp_path) -> None:
    state = noisy()
    contents = {export(state, tmp_path / f"{n}.safetensors").read_bytes() for n in range(8)}
    assert len(contents) == 1


def test_others_may_read_it_as_far_as_the_umask_lets_them(tmp_path) -> None:
    (tmp_path / "plain").touch()
    path = export(noisy(), tmp_path / "w.safetensors")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_header_builds_the_networks(tmp_path) -> None:
    with safe_open(export(noisy(), tmp_path / "w.safetensors"), framework="pt") as file:
        header = file.metadata()
        assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())  # noqa: SIM118
    assert header["format"] == "crsr-video/1"
    assert json.loads(header["consistifier"]) == {"channels": [4, 4, 4], "middle": 3}
    assert header["step"] == "0" and header["licence"] == "MIT"


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path) -> None:
    state = noisy()
    next(state.average.parameters()).fill_(1e6)
    with pytest.raises(TrainingError, match=r"consistifier\.stem\.weight"):
        export(state, tmp_path / "w.safetensors")


def test_weights_too_large_to_ship_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "LARGEST", 1000)
    with pytest.raises(TrainingError, match="larger"):
        export(noisy(), tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_card_names_data_recipe_and_figures(tmp_path) -> None:
    prepare(make_folder(tmp_path / "faces", {"train": [128, 256], "val": [128]}), tmp_path / "out")
    path = export(noisy(), tmp_path / "fast.safetensors")
    row = {"tier": 32, "input": "clean", "faces": 1, "bicubic_psnr": 20.0, "psi_psnr": 21.0}
    row |= {"crsr_psnr": 21.5, "gain": 1.5}
    text, data = write_card(path, noisy(), tmp_path / "out", figures={"rows": [row]}, command="run")
    card, facts = text.read_text(), json.loads(data.read_text())
    assert "| drawn | synthetic | 2 | made for the test |" in card
    assert "| 32 | clean | 1 | 20.00 | 21.00 | 21.50 | +1.50 |" in card
    assert "our reconstruction" in card
    assert facts["sha256"] in card and facts["validation_faces"] == 1
    assert facts["recipe"]["peak"] == 4e-4 and facts["licence"] == "MIT"
