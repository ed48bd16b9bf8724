"""Damaged videos: a handful in every run, two thousand with `-m fuzz`."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.integration.fuzz.mutations import MUTATIONS, damage
from tests.integration.fuzz.pool import FINDINGS, Worker, run, run_one
from tests.integration.fuzz.seeds import FRAMES, make_seeds


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.mark.processes
def test_whole_and_damaged_files(seeds: dict[str, bytes], tmp_path: Path) -> None:
    """Whole files are read without a complaint, and a few damaged ones without a finding."""
    worker = Worker(tmp_path / "log")
    try:
        for name, data in seeds.items():
            folder = tmp_path / name
            folder.mkdir()
            (folder / name).write_bytes(data)
            verdict = worker.judge(folder / name, 60)
            assert (verdict["outcome"], verdict["frames"]) == ("whole", FRAMES), (name, verdict)
            assert not verdict["quiet"]
        cases = [run_one(worker, seeds, number, 0, tmp_path, 60) for number in range(8)]
    finally:
        worker.close()
    assert not [case for case in cases if case.verdict["outcome"] in FINDINGS]


@pytest.mark.fuzz
def test_thousands_of_damaged_files(seeds: dict[str, bytes], tmp_path: Path) -> None:
    results = run(seeds, range(2000), tmp_path, jobs=max(1, (os.cpu_count() or 2) // 2))
    assert len(results.cases) == 2000
    told = [(c.number, c.seed, c.done, c.verdict) for c in results.findings]
    assert not told, f"files in {tmp_path}"
    outcomes = results.outcomes()["all"]
    assert outcomes["whole"] and outcomes["partial"] and outcomes["refused"]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_mutations_change_something(mutation: object) -> None:
    rng = np.random.default_rng(3)
    data, other = b"moov YUV4MPEG2 W48 H32 F25:1\n" + rng.bytes(3000), rng.bytes(2000)
    changed = [mutation(data, rng, other) for _ in range(20)]
    assert all(isinstance(c, bytes) for c in changed)
    assert sum(c != data for c in changed) >= 15


def test_a_case_is_made_again_from_its_number(seeds: dict[str, bytes]) -> None:
    assert damage(seeds, 7, 0) == damage(seeds, 7, 0)
    assert damage(seeds, 7, 0) != damage(seeds, 7, 1)


STAND_IN = """
import os, sys, time, json
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    if "crash" in line:
        os.kill(os.getpid(), 11)
    if "hang" in line:
        time.sleep(60)
    print(json.dumps({"outcome": "whole"}), flush=True)
"""


def test_workers_that_die_or_hang_are_found_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr("tests.integration.fuzz.pool.COMMAND", ("-u", str(script)))
    worker = Worker(tmp_path / "log")
    try:
        outcomes = [
            worker.judge(Path(name), 1.0)["outcome"] for name in ("a", "crash", "b", "hang", "c")
        ]
    finally:
        worker.close()
    assert outcomes == ["whole", "crash", "whole", "hang", "whole"]
    assert {"crash", "hang"} <= set(FINDINGS)
