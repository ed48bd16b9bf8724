import pytest
import torch

from crsr_video.errors import TrainingError
from crsr_video.networks.blocks import enlarge
from crsr_video.training.method import SIZES, Schedule
from crsr_video.training.run import NetworkSpec, Run, check_same, load, save

TINY = SIZES["tiny"]
SPECS = {
    "consistifier": NetworkSpec("consistifier", TINY.consistifier),
    "superresolver": NetworkSpec("superresolver", TINY.superresolver, rate=0.5),
    "discriminator_picture": NetworkSpec(
        "discriminator", {"channels": 4, "halvings": 1}, is_discriminator=True
    ),
}


def make(seed: int = 0, specs: dict[str, NetworkSpec] = SPECS) -> Run:
    return Run("joint", {"clip": 0.5}, specs, seed=seed)


def step(run: Run, rate: float = 1e-3) -> None:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(run.step))
    made = run["superresolver"](run["consistifier"](x))
    run.update(run.generator_optimizer, {"pixel": (made - 0.3).abs().mean()}, rate=rate, clip=1.0)
    verdict = run["discriminator_picture"](made.detach())[-1]
    run.update(run.discriminator_optimizer, {"discriminator": verdict.mean()}, rate=rate, clip=1.0)
    run.finish_step(0.9)


def assert_same(first: Run, second: Run) -> None:
    for group in ("networks", "averages"):
        one, other = getattr(first, group).state_dict(), getattr(second, group).state_dict()
        for name, value in one.items():
            assert torch.equal(value, other[name]), (group, name)
    assert (first.step, first.planned, first.progress) == (
        second.step,
        second.planned,
        second.progress,
    )


def test_networks_begin_as_identity_and_bicubic_and_by_their_seed() -> None:
    run, picture = make(), torch.rand(1, 3, 16, 16)
    assert torch.equal(run["consistifier"](picture), picture)
    assert torch.allclose(run["superresolver"](picture), enlarge(picture, 4))
    assert_same(run, make())
    other = make(seed=1)["superresolver"].stem.weight
    assert not torch.equal(run["superresolver"].stem.weight, other)


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    make()
    assert torch.equal(torch.rand(1), before)


def test_a_saved_run_goes_on_as_if_it_had_not_stopped(tmp_path) -> None:
    whole, halves = make(), make()
    whole.planned = halves.planned = 4
    for _ in range(4):
        step(whole)
    for _ in range(2):
        step(halves)
    save(halves, tmp_path / "run.pt")
    again = load(tmp_path / "run.pt")
    for _ in range(2):
        step(again)
    assert_same(whole, again)
    assert again.progress == pytest.approx(1.0)


def test_a_network_without_rate_stays_as_it_is() -> None:
    specs = {**SPECS, "superresolver": NetworkSpec("superresolver", TINY.superresolver, rate=0.0)}
    run = make(specs=specs)
    before = {name: value.clone() for name, value in run["superresolver"].state_dict().items()}
    run["superresolver"].head.weight.add_(0.01)  # else nothing reaches the consistifier
    before["head.weight"] += 0.01
    for _ in range(2):
        step(run)
    assert all(
        torch.equal(value, before[name])
        for name, value in run["superresolver"].state_dict().items()
    )
    assert run["consistifier"].head.weight.abs().max() > 0


def test_parameters_may_have_a_rate_of_their_own() -> None:
    spec = NetworkSpec("superresolver", TINY.superresolver, rates_by_prefix={"tail.": 4.0})
    run = make(specs={**SPECS, "superresolver": spec})
    step(run, rate=1e-3)
    assert [group["lr"] for group in run.generator_optimizer.param_groups] == [1e-3, 1e-3, 4e-3]


def test_learning_rates_are_multiplied_per_network() -> None:
    run = make()
    step(run, rate=1e-3)
    assert [group["lr"] for group in run.generator_optimizer.param_groups] == [1e-3, 5e-4]


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    run, same = make(), make()
    made = run["superresolver"](torch.full((1, 3, 16, 16), float("nan")))
    with pytest.raises(TrainingError, match="became nan at step 0"):
        run.update(run.generator_optimizer, {"pixel": made.mean()}, rate=1e-3, clip=1.0)
    assert_same(run, same)


def test_the_average_of_a_young_run_follows_fast() -> None:
    run = make()
    run["consistifier"].head.bias.data.fill_(1.0)
    run.finish_step(0.999)
    assert torch.allclose(run.average("consistifier").head.bias, torch.tensor(0.9))


def test_progress_spreads_a_revised_plan() -> None:
    run = make()
    run.planned = 10
    for _ in range(5):
        run.finish_step(0.9)
    assert run.progress == pytest.approx(0.5)
    run.planned = 8
    for _ in range(3):
        run.finish_step(0.9)
    assert run.progress == pytest.approx(1.0)


def test_deeper_networks_begin_from_shallower_ones() -> None:
    run = make()
    step(run)
    deeper = {**TINY.superresolver, "middle": 3}
    grown = make(specs={"superresolver": NetworkSpec("superresolver", deeper)})
    new = grown.load_weights("superresolver", dict(run.average("superresolver").state_dict()))
    assert new and all(".quarter." in name for name in new)
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(grown["superresolver"](picture), run.average("superresolver")(picture))


def test_weights_of_other_networks_are_refused() -> None:
    run = make()
    wide = {**TINY.superresolver, "channels": (8, 8, 8)}
    other = make(specs={"superresolver": NetworkSpec("superresolver", wide)})
    with pytest.raises(TrainingError, match="do not fit the superresolver"):
        run.load_weights("superresolver", dict(other["superresolver"].state_dict()))
    with pytest.raises(TrainingError, match="has no wheels"):
        run.load_weights("superresolver", {"wheels": torch.zeros(4)})


def test_checkpoints_are_whole_or_refused(tmp_path) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(TrainingError, match="cannot resume"):
        load(path)
    save(make(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot resume"):
        load(path)
    torch.save({"format": "other"}, path)
    with pytest.raises(TrainingError, match="another version"):
        load(path)


def test_a_failed_write_is_reported_and_the_old_file_stays(tmp_path, monkeypatch) -> None:
    path = tmp_path / "run.pt"
    save(make(), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="No space left"):
        save(make(seed=1), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_run_goes_on_only_as_it_began() -> None:
    run = make()
    check_same(run, "joint", {"clip": 0.5}, SPECS)
    with pytest.raises(TrainingError, match="started by 'train joint', not 'train sr'"):
        check_same(run, "sr", {"clip": 0.5}, SPECS)
    with pytest.raises(TrainingError, match=r"with clip 0\.5, not 0\.1"):
        check_same(run, "joint", {"clip": 0.1}, SPECS)
    with pytest.raises(TrainingError, match="other networks"):
        check_same(run, "joint", {"clip": 0.5}, {})


def test_the_rate_rises_then_falls() -> None:
    schedule = Schedule(peak=4e-4, floor=1e-5, warmup=10)
    assert schedule.rate(0, 0.0) == pytest.approx(4e-5)
    assert schedule.rate(10, 0.0) == pytest.approx(4e-4)
    assert schedule.rate(50, 0.5) == pytest.approx(2.05e-4)
    assert schedule.rate(100, 1.0) == pytest.approx(1e-5)
