"""Launches of networks on a CUDA device, tested without one; see tests/gpu for the others."""

import logging
import time
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crsr_video.networks import Consistifier, SuperResolver
from crsr_video.runtime.cuda_graphs import (
    RECORDED,
    STEP_BY_STEP,
    RecordedForward,
    fastest_launch,
    powers,
    seconds_per_pass,
)

BATCH = torch.arange(6.0).reshape(6, 1, 1, 1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CRSR_VIDEO_CACHE", str(tmp_path))


class Adding:
    """Network that adds a number, and keeps the sizes of its batches."""

    def __init__(self, number, error=None):
        self.number, self.error, self.sizes = number, error, []

    def __call__(self, x):
        self.sizes.append(len(x))
        if self.error is not None:
            raise self.error
        return x + self.number


PLAIN, GRAPH = Adding(1), Adding(2)


def chosen(figures, asked=None, subject="gpu"):
    """Return the launcher that is chosen where (few, many) crops take so long."""

    def seconds(way, batch):
        if asked is not None:
            asked.append(way)
        return figures[way][len(batch) > 1]

    return fastest_launch(PLAIN, GRAPH, torch.zeros(1, 3, 8, 8), subject, seconds)


def test_the_faster_way_is_measured_once():
    asked = []
    for _ in range(2):
        name, way = chosen({PLAIN: (2, 2), GRAPH: (1, 1)}, asked)
        assert name == RECORDED
        assert torch.equal(way(BATCH), BATCH + 2)
    assert len(asked) == 4
    assert chosen({PLAIN: (1, 1), GRAPH: (2, 2)}, asked)[0] == RECORDED  # It was measured.
    assert chosen({PLAIN: (1, 1), GRAPH: (2, 2)}, asked, "another")[0] == STEP_BY_STEP


def test_few_and_many_crops_are_measured_by_themselves():
    name, way = chosen({PLAIN: (9, 3), GRAPH: (4, 4)})
    assert name == "recorded for few, step by step for many"
    assert torch.equal(way(BATCH[:4]), BATCH[:4] + 2)
    assert torch.equal(way(BATCH), BATCH + 1)


def test_a_way_that_fails_is_not_chosen():
    failing = Adding(0, RuntimeError("operation not permitted when stream is capturing"))

    def seconds(way, batch):
        way(batch)
        return 1.0 - way.number / 10

    name, way = fastest_launch(PLAIN, failing, torch.zeros(1, 3, 8, 8), "gpu", seconds)
    assert name == STEP_BY_STEP
    assert way is PLAIN


class InSteps(RecordedForward):
    """Launcher that runs the parts of a batch without recording."""

    def __init__(self, forward, error=None, **options):
        super().__init__(forward, **options)
        self.parts, self.error = Adding(1, error), error

    def run(self, x):
        return self.parts(x)


@pytest.mark.parametrize(
    ("count", "parts"),
    [(1, [1]), (2, [2]), (13, [8, 4, 1]), (16, [16]), (40, [16, 16, 8]), (15, [8, 4, 2, 1])],
)
def test_any_batch_is_run_as_one_of_few_shapes(count, parts):
    assert powers(count, 16) == parts
    recorded = InSteps(PLAIN, largest=16)
    batch = torch.arange(float(count)).reshape(-1, 1, 1, 1)
    assert torch.equal(recorded(batch), batch + 1)
    assert recorded.parts.sizes == parts


def test_a_recording_that_fails_later_is_given_up(caplog):
    recorded = InSteps(Adding(5), RuntimeError("not permitted while capturing\nat line 7"))
    with caplog.at_level(logging.INFO, logger="crsr_video"):
        for _ in range(3):
            assert torch.equal(recorded(BATCH), BATCH + 5)
    assert len(recorded.parts.sizes) == 1
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["CUDA graphs fail from now on: not permitted while capturing"]


class Arrivals(TorchDispatchMode):
    """Counter of operations on tensors of the CPU and of another device."""

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
    """A copy would prevent the recording of a CUDA graph."""
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


def test_time_is_taken_after_a_warm_up(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    way = Adding(1)
    slow = seconds_per_pass(lambda x: (way(x), time.sleep(0.001)), BATCH)
    assert len(way.sizes) > 10
    assert slow >= 0.001
