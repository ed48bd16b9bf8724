import numpy as np
import pytest

from crsr_video.live.statistics import LatencyMeter


def test_quantiles_are_those_of_all_frames() -> None:
    meter, rng = LatencyMeter(), np.random.default_rng(3)
    values = rng.gamma(4, 0.008, 5000)
    for index, seconds in enumerate(values):
        meter.push(float(seconds), now=index / 30)
    told, true = meter.total(), np.percentile(values, (50, 95, 99)) * 1e3
    assert (told.p50, told.p95, told.p99) == pytest.approx(tuple(true), abs=0.6)
    assert told.most == pytest.approx(values.max() * 1e3)


def test_recent_figures_exclude_the_distant_past() -> None:
    meter = LatencyMeter(window_seconds=2.0)
    for index in range(300):
        meter.push(0.5 if index < 150 else 0.01, now=index / 30)
    assert meter.recent(now=10.0).most == pytest.approx(10)
    assert meter.recent_rate(now=10.0) == pytest.approx(30, abs=1)
    assert meter.recent(now=99.0).most == 0


def test_a_meter_without_frames_returns_zero() -> None:
    assert LatencyMeter().total().p95 == 0
    assert LatencyMeter().recent().p95 == 0


def test_a_latency_of_minutes_is_counted() -> None:
    meter = LatencyMeter()
    meter.push(300.0, now=0.0)
    assert meter.total().most == 300_000
