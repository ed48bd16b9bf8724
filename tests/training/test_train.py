import logging

import pytest
import torch
from click.testing import CliRunner

from crsr_video.errors import TrainingError
from crsr_video.networks.blocks import enlarge
from crsr_video.training import train as loop
from crsr_video.training.__main__ import main
from crsr_video.training.data import Faces, Tier
from crsr_video.training.degrade import clean
from crsr_video.training.losses import charbonnier
from crsr_video.training.prepare import prepare
from crsr_video.training.state import State, follow, fresh, load, rate, save
from crsr_video.training.train import Limits, Recipe, objective, replan, train, train_step
from training.made_faces import make_folder

TINY = {
    "consistifier": {"channels": (4, 4, 4), "middle": 1},
    "superresolver": {"channels": (4, 4, 4), "down": (1, 1), "middle": 1, "up": (1, 1)},
}
RECIPE = Recipe(tiers=(Tier(32, 32, 2, 0.5), Tier(32, 16, 2, 0.5)), warmup=2)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Faces:
    folder = tmp_path_factory.mktemp("train")
    prepare(make_folder(folder / "faces", {"train": [128, 128]}), folder / "out")
    return Faces(folder / "out", "train")


def assert_same(first: State, second: State) -> None:
    for name, value in first.pair.state_dict().items():
        assert torch.equal(value, second.pair.state_dict()[name]), name
    for name, value in first.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name
    assert (first.step, first.planned) == (second.step, second.planned)
    assert first.progress == second.progress


def test_an_interrupted_run_ends_as_an_unbroken_one(faces: Faces, tmp_path) -> None:
    whole = train(faces, fresh(TINY, 5), tmp_path / "whole.pt", Limits(steps=4), RECIPE)
    path = tmp_path / "halves.pt"
    train(faces, fresh(TINY, 5), path, Limits(steps=4, until=2), RECIPE)
    assert load(path).step == 2
    halves = train(faces, load(path), path, Limits(steps=4), RECIPE)
    assert_same(whole, halves)
    assert_same(load(path), whole)


def test_training_lowers_the_loss(faces: Faces) -> None:
    state = fresh(TINY, 0)
    state.planned = 1000
    recipe = Recipe(tiers=RECIPE.tiers, warmup=1, peak=5e-3)
    losses = []
    for _ in range(40):
        state.step = 0  # the same pictures each time
        losses.append(train_step(faces, state, recipe)["degraded"])
    assert losses[-1] < 0.95 * losses[0]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    faces: Faces, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "run.pt"
    train(faces, fresh(TINY, 1), path, Limits(steps=4, until=2), RECIPE)
    good = load(path)
    degrade = loop.degrade
    monkeypatch.setattr(loop, "degrade", lambda hr, rng: degrade(hr, rng) * float("nan"))
    state = load(path)
    with pytest.raises(TrainingError, match="became nan at step 2"):
        train(faces, state, path, Limits(steps=4), RECIPE)
    assert_same(state, good)
    assert_same(load(path), good)


def test_minutes_make_a_plan(faces: Faces, tmp_path, caplog) -> None:
    limits = Limits(minutes=0.02, save_every=0.3, log_every=5)
    with caplog.at_level(logging.INFO, logger="crsr_video"):
        state = train(faces, fresh(TINY, 2), tmp_path / "run.pt", limits, RECIPE)
    assert state.step == state.planned >= 20
    assert state.progress == pytest.approx(1.0)
    assert "steps/s" in caplog.text


def test_a_revised_plan_still_ends_at_one() -> None:
    state = fresh(TINY, 0)
    state.planned = 10
    for _ in range(5):
        state.advance()
    assert state.progress == pytest.approx(0.5)
    state.seconds = 30.0
    replan(state, minutes=1.0, speed=0.1)
    assert state.planned == 8
    for _ in range(3):
        state.advance()
    assert state.progress == pytest.approx(1.0)


def test_a_length_is_needed(faces: Faces, tmp_path) -> None:
    with pytest.raises(TrainingError, match="steps or of minutes"):
        train(faces, fresh(TINY, 0), tmp_path / "run.pt", Limits(), RECIPE)


def test_networks_begin_as_identity_and_bicubic() -> None:
    pair = fresh(TINY, 0).pair
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(pair.consistifier(picture), picture)
    bicubic = torch.nn.functional.interpolate(picture, scale_factor=4, mode="bicubic")
    assert torch.allclose(pair.superresolver(picture), bicubic)


def test_the_objective_of_untrained_networks_is_that_of_bicubic() -> None:
    pair = fresh(TINY, 0).pair
    target, degraded = torch.rand(4, 3, 64, 64), torch.rand(4, 3, 16, 16)
    terms = objective(pair, target, degraded, Recipe())
    artificial = clean(target)
    expected = {
        "degraded": charbonnier(enlarge(degraded, 4), target),
        "clean": 0.5 * charbonnier(enlarge(artificial[:2], 4), target[:2]),
        "characteristic": 0.5 * charbonnier(degraded, artificial),
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(
        {k: v.item() for k, v in expected.items()}, rel=1e-4
    )


def test_rate_rises_then_falls() -> None:
    def at(step: int, progress: float) -> float:
        return rate(step, progress, peak=4e-4, floor=1e-5, warmup=10)

    assert at(0, 0.0) == pytest.approx(4e-5)
    assert at(10, 0.0) == pytest.approx(4e-4)
    assert at(50, 0.5) == pytest.approx(2.05e-4)
    assert at(100, 1.0) == pytest.approx(1e-5)


def test_the_average_follows() -> None:
    average, model = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = 0.9 * average.weight.detach() + 0.1 * model.weight.detach()
    follow(average.requires_grad_(False), model, 0.9)
    assert torch.allclose(average.weight, expected)


def test_checkpoints_are_whole_or_refused(tmp_path) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(TrainingError, match="cannot resume"):
        load(path)
    save(fresh(TINY, 0), path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot resume"):
        load(path)
    torch.save({"format": "other"}, path)
    with pytest.raises(TrainingError, match="another version"):
        load(path)


def test_the_commands_run_in_order(tmp_path) -> None:
    make_folder(tmp_path / "faces", {"train": [128]})
    prepared, log = tmp_path / "out", tmp_path / "log"
    result = CliRunner().invoke(main, ["prepare", str(tmp_path / "faces"), str(prepared)])
    assert result.exit_code == 0 and "train_128 1" in result.output
    save(fresh(TINY, 3), tmp_path / "run.pt")
    arguments = [str(prepared), str(tmp_path / "run.pt"), "--steps", "1", "--log", str(log)]
    result = CliRunner().invoke(main, ["train", *arguments, "--log-every", "1"])
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run.pt").step == 1
    arguments = [str(tmp_path / "run.pt"), str(tmp_path / "w"), "--prepared", str(prepared)]
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 0 and "step 1" in result.output
    assert sorted(p.suffix for p in (tmp_path / "w").iterdir()) == [".json", ".md", ".safetensors"]
