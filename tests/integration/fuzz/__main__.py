"""Command that prints a table of outcomes, and ends with exit code 1 if there was a finding."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.fuzz import pool
from tests.integration.fuzz.seeds import make_seeds


def main() -> int:
    """Run cases, and print their outcomes."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="number of cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0, help="of all chance")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a case may take")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the cases to run")
    parser.add_argument("--folder", type=Path, help="for the files of findings")
    parser.add_argument("--log", type=Path, help="for all verdicts, one JSON object a line")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seeds").mkdir(exist_ok=True)
    begin = time.monotonic()
    log = chosen.log.open("w") if chosen.log else None

    def tell(case: pool.Case) -> None:
        if log is not None:
            log.write(json.dumps(vars(case)) + "\n")
            log.flush()
        if case.verdict["outcome"] in pool.FINDINGS:
            words = case.verdict["words"].replace("\n", " | ")
            print(case.number, case.seed, case.done, case.verdict["outcome"], words, flush=True)

    results = pool.run(
        make_seeds(folder / "seeds"),
        chosen.only or range(chosen.first, chosen.first + chosen.count),
        folder,
        seed=chosen.seed,
        jobs=chosen.jobs,
        limit=chosen.limit,
        tell=tell,
    )
    _print_table(results, time.monotonic() - begin)
    if results.findings:
        print(f"files of the findings: {folder}")
    return bool(results.findings)


def _print_table(results: pool.Results, seconds: float) -> None:
    table = results.outcomes()
    columns = sorted({name for row in table.values() for name in row})
    print(f"{'':<16}" + "".join(f"{name:>11}" for name in columns))
    for seed in sorted(table, key=lambda name: (name == "all", name)):
        print(f"{seed:<16}" + "".join(f"{table[seed][name]:>11}" for name in columns))
    slowest = sorted(results.cases, key=lambda c: -c.verdict["seconds"])[:5]
    print(f"{len(results.cases)} cases in {seconds:.0f} s; slowest:")
    for case in slowest:
        told = f"{case.verdict['outcome']} {case.verdict['words'][:80]}"
        print(f"  {case.verdict['seconds']:.1f} s: {case.number} {case.seed} {case.done}: {told}")
    quiet = [case for case in results.cases if case.verdict.get("quiet")]
    print(f"shorter than the whole file, without a word: {len(quiet)}")


if __name__ == "__main__":
    sys.exit(main())
