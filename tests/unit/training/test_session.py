"""The loop, its journal, the session in a folder, and the commands."""

import json
import logging
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crsr_video import weights
from crsr_video.cli import main
from crsr_video.errors import TrainingError
from crsr_video.training.data import Faces, Tier
from crsr_video.training.draws import Draw, DrawSettings, DrawSource, prefetch
from crsr_video.training.genuine import Genuine
from crsr_video.training.journal import LOSSES, TrainingJournal
from crsr_video.training.method import Schedule, costs
from crsr_video.training.options import METHODS
from crsr_video.training.prepare import prepare
from crsr_video.training.run import Run, load
from crsr_video.training.session import CHECKPOINT, Limits, TrainingSession, train
from tests.unit.training.made_faces import make_folder

TIERS = (Tier(32, 16, 2, 1.0),)
METHOD = replace(METHODS["joint"], size="tiny", tiers=TIERS, schedule=Schedule(peak=1e-3, warmup=2))


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    make_folder(folder / "faces", {"train": [128, 128], "val": [128]})
    prepare(folder / "faces", folder / "faces.pack")
    return folder / "faces.pack"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("genuine") / "small.npz"
    faces = np.random.default_rng(0).integers(0, 255, (20, 16, 16, 3), np.uint8)
    np.savez(path, faces=faces)
    return path


def source(pack: Path, method=METHOD) -> DrawSource:
    return DrawSource(Faces(pack, "train"), None, method.draw_settings, seed=5)


def begun(method=METHOD) -> Run:
    return Run(method.name, method.settings(), method.specs(), seed=5)


def run_loop(run: Run, made: DrawSource, folder: Path, limits: Limits, *, workers: int = 0) -> Run:
    with closing(TrainingJournal(folder, every=limits.log_every)) as journal:
        return train(METHOD, run, made, folder, limits, journal, workers=workers)


def assert_same(first: Run, second: Run) -> None:
    for group in ("networks", "averages"):
        other = getattr(second, group).state_dict()
        for name, value in getattr(first, group).state_dict().items():
            assert torch.equal(value, other[name]), (group, name)


def assert_equal_draws(first: Draw, second: Draw) -> None:
    for name in ("target", "artificial", "degraded", "noise"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_an_interrupted_run_ends_as_an_unbroken_one(pack: Path, tmp_path) -> None:
    whole = run_loop(begun(), source(pack), tmp_path / "whole", Limits(steps=4))
    folder = tmp_path / "halves"
    run_loop(begun(), source(pack), folder, Limits(steps=4, until=2))
    again = load(folder / CHECKPOINT)
    assert again.step == 2
    halves = run_loop(again, source(pack), folder, Limits(steps=4), workers=2)
    assert_same(whole, halves)
    assert_same(load(folder / CHECKPOINT), whole)


def test_draws_depend_on_their_step_alone(pack: Path) -> None:
    made = source(pack)
    assert_equal_draws(made.at(3), source(pack).at(3))
    assert not torch.equal(made.at(3).target, made.at(4).target)
    with closing(prefetch(made.at, 3, workers=2)) as draws:
        for step, draw in zip((3, 4), islice(draws, 2), strict=True):
            assert_equal_draws(draw, made.at(step))


def test_draws_hold_what_was_wanted(pack: Path, genuine: Path) -> None:
    wanted = DrawSettings(tiers=TIERS, genuine=True)
    draw = DrawSource(Faces(pack, "train"), Genuine(genuine), wanted, seed=0).at(0)
    assert draw.genuine is not None and draw.genuine.shape == (2, 3, 16, 16)
    assert draw.degraded is None and draw.artificial.shape == (2, 3, 16, 16)
    assert draw.photographs == 0 and draw.face == 32
    with pytest.raises(TrainingError, match="needs genuine"):
        DrawSource(Faces(pack, "train"), None, wanted, seed=0)


def test_half_of_a_draw_are_photographs_where_they_are_wanted(pack: Path) -> None:
    wanted = DrawSettings(tiers=TIERS, degraded=True, photographs=True, varied=True, extra=1.0)
    faces = Faces(pack, "train")
    one, again = (
        DrawSource(faces, None, wanted, seed=0, photographs=faces).at(3) for _ in range(2)
    )
    assert one.photographs == 1
    assert torch.equal(one.target, again.target)
    assert one.degraded is not None and again.degraded is not None
    assert torch.equal(one.degraded, again.degraded)
    assert DrawSource(faces, None, wanted, seed=0).at(3).photographs == 0


def test_a_failing_thread_is_heard() -> None:
    def broken(step: int) -> Draw:
        raise TrainingError(f"no face for step {step}")

    with (
        closing(prefetch(broken, 7, workers=1)) as draws,
        pytest.raises(TrainingError, match="step 7"),
    ):
        next(draws)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(
    pack: Path, tmp_path
) -> None:
    run_loop(begun(), source(pack), tmp_path, Limits(steps=4, until=2))
    good, bad = load(tmp_path / CHECKPOINT), source(pack)

    class Broken:
        def at(self, step: int) -> Draw:
            draw = bad.at(step)
            return replace(draw, degraded=draw.degraded * float("nan"))

    with pytest.raises(TrainingError, match="became nan at step 2"):
        run_loop(load(tmp_path / CHECKPOINT), Broken(), tmp_path, Limits(steps=4))
    assert_same(load(tmp_path / CHECKPOINT), good)


def test_minutes_make_a_plan(pack: Path, tmp_path, caplog, monkeypatch) -> None:
    # A clock that goes on by 10 ms whenever it is read.
    clock = SimpleNamespace(perf_counter=map((0.01).__mul__, count()).__next__)
    monkeypatch.setattr("crsr_video.training.session.time", clock)
    limits = Limits(minutes=0.03, save_every=0.5, log_every=5)
    with caplog.at_level(logging.INFO, logger="crsr_video"):
        run = run_loop(begun(), source(pack), tmp_path, limits)
    assert run.step == run.planned >= 20
    assert run.progress == pytest.approx(1.0)
    assert "steps/s" in caplog.text
    lines = [json.loads(line) for line in (tmp_path / LOSSES).read_text().splitlines()]
    assert lines[0]["step"] == 5 and lines[0]["degraded"] > 0


def test_a_length_is_needed_and_is_kept(pack: Path, tmp_path) -> None:
    with pytest.raises(TrainingError, match="needs a length: use --steps or --minutes"):
        run_loop(begun(), source(pack), tmp_path, Limits())
    run = run_loop(begun(), source(pack), tmp_path, Limits(steps=3, until=1))
    with pytest.raises(TrainingError, match="planned for 3 steps, not 5"):
        run_loop(run, source(pack), tmp_path, Limits(steps=5))


def test_a_session_resumes_only_what_it_began(pack: Path, tmp_path) -> None:
    session = TrainingSession(METHOD, pack, tmp_path, seed=1)
    session.train(Limits(steps=2, until=1))
    assert TrainingSession(METHOD, pack, tmp_path, seed=1).run.step == 1
    with pytest.raises(TrainingError, match="seed 1, not 2"):
        TrainingSession(METHOD, pack, tmp_path, seed=2)
    with pytest.raises(TrainingError, match="with clip"):
        TrainingSession(replace(METHOD, clip=9.0), pack, tmp_path, seed=1)
    with pytest.raises(TrainingError, match="with framing canonical, not wider"):
        TrainingSession(METHOD, pack, tmp_path, seed=1, framing="wider")


def invoke(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_commands_run_in_order(pack: Path, genuine: Path, tmp_path) -> None:
    tiny = ("--size", "tiny", "--tier", "32:16:2:1", "--steps", 1, "--log-every", 1)
    first = tmp_path / "joint"
    result = invoke("train", "joint", pack, "-o", first, *tiny)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-3:] == [
        f"wrote the run {first}, which the same command continues with more --minutes",
        f"next: crsr-video evaluate {first} --data {pack}",
        f"      crsr-video train export {first} -o NAME.safetensors --faces {pack}",
    ]
    assert (first / "log.txt").read_text() and len(list(first.glob("samples_*.png"))) == 1
    sheet = cv2.imread(str(next(first.glob("samples_*.png"))))
    assert sheet.shape == (6 * 64, 6 * 64, 3)
    with_genuine = ("--genuine", genuine, *tiny)
    result = invoke("train", "cr", pack, "-o", tmp_path / "cr", "--from", first, *with_genuine)
    assert result.exit_code == 0, result.output
    result = invoke("train", "baseline", "uda", pack, "-o", tmp_path / "uda", *with_genuine)
    assert result.exit_code == 0, result.output
    file = tmp_path / "w" / "mine.safetensors"
    result = invoke("train", "export", first, "-o", file, "--faces", pack, "--command", "do it")
    assert result.exit_code == 0, result.output
    card = file.with_suffix(".md").read_text()
    assert "| drawn | synthetic | 2 | made for the test |" in card and "do it" in card
    compared = invoke("evaluate", first, file, "--data", pack, "--tiers", 32)
    assert compared.exit_code == 0, compared.output
    lines = [line.split("|") for line in compared.output.splitlines() if "| clean" in line]
    rows = {line[3].strip(): line[4:] for line in lines}
    assert rows["joint"] == rows["mine"]
    pair = weights.load(str(file))
    assert pair.has_texture
    # Not on every processor can eight bits be measured; what is said is what was done.
    assert ("\n- int8: measured" in card) == ("int8: measured" in result.output)
    assert "int8: " in result.output
    assert pair.eight_bits == ("int8: measured" in result.output)
    assert pair.eight_bits == weights.ranges_file(file).is_file()


def test_the_fast_networks_cost_what_they_may() -> None:
    macs = {(c.size, c.network): c.macs[64] for c in costs()}
    fast = macs["fast", "consistifier"] + macs["fast", "super-resolver"]
    assert fast < 2.4e9
    # By hand: the convolutions of the texture head at 64 and 128 pixels.
    texture = 9 * 64**2 * 48 * 112 + 9 * 128**2 * (28 * 28 + 28 * 12)
    assert macs["fast", "texture head"] == texture
    assert fast + texture < 2.8e9
    words = invoke("train", "networks").output.replace("|", " ").split()
    assert words[words.index("consistifier") + 1] == "661,347"
