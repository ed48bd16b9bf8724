import logging
import time
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.networks.blocks import Hourglass
from crsr_video.runtime.backends import launches
from crsr_video.runtime.backends.launches import (
    COMPILED,
    PLAIN,
    RECORDED,
    ByCount,
    Compiled,
    Guarded,
    InParts,
    launched,
    powers,
    quickest,
)

BATCH = torch.arange(6.0).reshape(6, 1, 1, 1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))


class Way:
    """Adds a number, and says how often it was asked to."""

    def __init__(self, number, error=None):
        self.number, self.error, self.sizes = number, error, []

    def __call__(self, x):
        self.sizes.append(len(x))
        if self.error is not None:
            raise self.error
        return x + self.number


def failing():
    return Way(0, RuntimeError("operation not permitted when stream is capturing\nat line 7"))


def test_the_quickest_way_is_measured_once():
    ways = {PLAIN: Way(1), RECORDED: Way(2)}
    asked = []

    def seconds(way, _sample):
        asked.append(way)
        return 3.0 - way.number

    for _ in range(2):
        chosen = quickest(ways, BATCH, "gpu", seconds)
        assert chosen.name == RECORDED
        assert torch.equal(chosen(BATCH), BATCH + 2)
    assert len(asked) == 2


def test_a_way_that_fails_is_left_out_now_and_later(caplog):
    def seconds(way, sample):
        way(sample)
        return 1.0 - way.number / 10

    ways = {PLAIN: Way(1), RECORDED: failing()}
    assert quickest(ways, BATCH, "gpu", seconds).name == PLAIN
    # Measured as the fastest by an earlier run, it fails in this one.
    way = quickest(ways, BATCH, "other", lambda way, _: float(way.error is None))
    with caplog.at_level(logging.INFO, logger="crsr_video"):
        for _ in range(3):
            assert torch.equal(way(BATCH), BATCH + 1)
    assert len(ways[RECORDED].sizes) == 2
    told = [r.getMessage() for r in caplog.records]
    assert told == ["the recorded way fails now: operation not permitted when stream is capturing"]


def test_a_compiled_network_must_be_much_faster():
    ways = {PLAIN: Way(10), COMPILED: Way(9)}
    figures = quickest(ways, BATCH, "gpu", lambda way, _: float(way.number))
    assert figures.name == PLAIN
    ways[COMPILED].number = 5
    assert quickest(ways, BATCH, "other", lambda way, _: float(way.number)).name == COMPILED


@pytest.mark.parametrize(
    ("count", "parts"),
    [(1, [1]), (2, [2]), (13, [8, 4, 1]), (16, [16]), (40, [16, 16, 8]), (15, [8, 4, 2, 1])],
)
def test_any_batch_is_one_of_few_shapes(count, parts):
    assert powers(count, 16) == parts
    way = Way(1)
    batch = torch.arange(float(count)).reshape(-1, 1, 1, 1)
    assert torch.equal(InParts(way, 16)(batch), batch + 1)
    assert way.sizes == parts


def test_few_and_many_go_their_own_ways():
    way = ByCount(Way(1), Way(2))
    assert torch.equal(way(BATCH[:4]), BATCH[:4] + 1)
    assert torch.equal(way(BATCH), BATCH + 2)


def start(figures, asked=None, **options):
    """What is launched where the ways take so long for few and for many."""

    def seconds(way, batch):
        name = NAMES[type(way)]
        if asked is not None:
            asked.append((name, len(batch)))
        return figures[name][len(batch) > 1]

    plain = Plain()
    sample = torch.zeros(1, 3, 8, 8)
    return launched(torch.nn.Identity(), plain, sample, "gpu", seconds=seconds, **options)


class Plain(Way):
    def __init__(self):
        super().__init__(0)


class Recorded(Way):
    def __init__(self, plain):
        super().__init__(10 if isinstance(plain, Plain) else 20)


class InAnyParts(Way):
    """Stands for the recorded way."""

    def __new__(cls, recorded):
        return object.__new__(cls if recorded.number == 10 else AndCompiled)

    def __init__(self, recorded):
        super().__init__(recorded.number)


class AndCompiled(InAnyParts):
    """Stands for the compiled way."""


NAMES = {Plain: PLAIN, InAnyParts: RECORDED, AndCompiled: COMPILED}


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(launches, "Recorded", Recorded)
    monkeypatch.setattr(launches, "InParts", InAnyParts)
    monkeypatch.setattr(launches, "can_compile", lambda: True)


FIGURES = {PLAIN: (9, 3), RECORDED: (4, 4), COMPILED: (3.9, 1)}


@pytest.mark.usefixtures("gpu")
def test_few_and_many_crops_are_measured_by_themselves():
    name, way = start(FIGURES)
    assert name == "recorded for few, step by step for many"
    assert torch.equal(way(BATCH[:1]), BATCH[:1] + 10)
    assert torch.equal(way(BATCH), BATCH)
    assert start({PLAIN: (9, 9), RECORDED: (4, 4)})[0] == name  # It was measured.


@pytest.mark.usefixtures("gpu")
def test_compiling_is_tried_when_asked_and_taken_from_then_on_where_it_pays():
    asked = []
    start(FIGURES, asked)
    assert COMPILED not in dict(asked)
    asked.clear()
    name, way = start(FIGURES, asked, compiling=True)
    assert sorted(asked) == sorted((way, count) for way in FIGURES for count in (1, 16))
    assert name == "recorded for few, compiled and recorded for many"
    assert torch.equal(way(BATCH), BATCH + 20)
    asked.clear()
    assert start(FIGURES, asked)[0] == name
    assert asked == []


@pytest.mark.usefixtures("gpu")
def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(launches, "can_compile", lambda: False)
    asked = []
    assert start(FIGURES, asked, compiling=True)[0] == "recorded for few, step by step for many"
    assert COMPILED not in dict(asked)


def test_whatever_a_compiler_raises_is_one_kind_of_failure(monkeypatch):
    def broken(_network, **_options):
        raise AssertionError("no C compiler\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    compiled = Compiled(Consistifier((4, 6, 8), 1))
    with pytest.raises(RuntimeError, match=r"^torch.compile: no C compiler$"):
        compiled(BATCH)
    assert torch.equal(Guarded(COMPILED, compiled, Way(1))(BATCH), BATCH + 1)


def test_a_compiled_network_gives_what_it_gave(monkeypatch):
    calls = []

    def kept(part, *, dynamic):
        calls.append((type(part), dynamic))
        return torch.nn.Sequential(part)

    monkeypatch.setattr(torch, "compile", kept)
    network = SuperResolver((4, 6, 8), (1, 1), 1, (1, 1)).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    compiled = Compiled(network)
    assert calls == []
    batch = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(compiled(batch), network(batch), atol=1e-5)
        assert torch.allclose(compiled(batch), network(batch), atol=1e-5)
    assert calls == [(Hourglass, True)]
    assert isinstance(network.trunk, Hourglass)


class Arrivals(TorchDispatchMode):
    """Counts what is given both a processor's tensor and another device's."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        done = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, done)) if isinstance(x, torch.Tensor)]
        if len({x.device for x in tensors}) > 1:
            self.seen.append(str(func))
        return done


@pytest.mark.parametrize(
    "network", [Consistifier((4, 6, 8), 1), SuperResolver((4, 6, 8), (1, 1), 1, (1, 1))]
)
def test_nothing_is_copied_while_a_network_runs(network, monkeypatch):
    """A CUDA graph could not be recorded of that."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # "meta" has none
    elsewhere = network.to("meta").eval()
    batch = torch.zeros(2, 3, 16, 16, device="meta")
    with torch.inference_mode():
        elsewhere(batch)
        with Arrivals() as arrivals:
            elsewhere(batch)
            assert arrivals.seen == []
            torch.zeros(1).to("meta")
            assert len(arrivals.seen) == 1


def test_time_is_taken_after_a_few_rounds(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    way = Way(1)
    slow = launches._seconds(lambda x: (way(x), time.sleep(0.001)), BATCH)
    assert len(way.sizes) == launches._WARM_UP + launches._RUNS
    assert slow >= 0.001
