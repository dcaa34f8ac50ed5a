"""What answers cost by themselves, from values that are there: seconds and peak memory of a process each; a JSON line a case.

    python benchmarks/large_games.py [--only pairs40,sparse1000] [--rounds 7]

The game is a small network of tanh units over n players; that of the sparse cases is a linear function with sixty planted
pairs (`lists.py` says what is found of them).
Seconds are the least of the rounds (of one round where a round takes more than ten seconds), on one thread; drawing the coalitions
again from their seed is part of an answer, as it is in a job.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
from lists import planted

from xai_ray.estimators import Ask, Pool, adjusted, plan
from xai_ray.indices import Question


@dataclass(frozen=True)
class Case:
    """A question to the values of a game."""

    index: str
    estimator: str
    players: int
    evaluations: int
    order: int | None = None
    further: str | None = None
    """Another index of the same pool, asked afterwards."""
    planted: bool = False


CASES = {
    "pairs40": Case("SII", "cells", 40, 2_000, further="BII"),
    "triples128": Case("SII", "cells", 128, 5_000, order=3, further="BII"),
    "pairs1000": Case("SII", "cells", 1_000, 5_000, further="BII"),
    "sparse1000": Case("SII", "sparse_proxy", 1_000, 6_000, further="BII", planted=True),
    "sparse_triples1000": Case("SII", "sparse_proxy", 1_000, 10_000, order=3, planted=True),
    "leverage10000": Case("SV", "leverage", 10_000, 50_000),
    "permutation10000": Case("SV", "permutation", 10_000, 60_002),
}


def network(n: int, rows: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    inner, outer = rng.normal(size=(n, 16)) / np.sqrt(n), rng.normal(size=16)
    blocks = [np.tanh((2.0 * rows[at : at + 4_096] - 1.0) @ inner) @ outer for at in range(0, len(rows), 4_096)]
    return np.concatenate(blocks)[:, None]


def measured(case: Case, rounds: int) -> dict[str, object]:
    """One case, in this process."""
    question = Question(case.index, order=case.order)
    planned = plan([Ask(question, case.estimator)], case.players, case.evaluations, 0)
    step, game = max(1, 20_000_000 // case.players), planted if case.planted else network
    values = np.concatenate(
        [
            game(case.players, planned.design.draw(at, min(at + step, planned.draws)).coalitions)
            for at in range(0, planned.draws, step)
        ]
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pool, first, estimate = Pool(planned.design, planned.draws, values), [], None
    while len(first) < rounds and sum(first) < 10.0:
        adjusted._LAST.clear()
        pool = Pool(planned.design, planned.draws, values)
        began = time.perf_counter()
        estimate = pool.answer(question, case.estimator)
        first.append(time.perf_counter() - began)
    assert estimate is not None
    found: dict[str, object] = {
        "players": case.players,
        "evaluations": planned.evaluations,
        "answer": f"{case.index}{'' if case.order is None else f' of order {case.order}'} by {case.estimator}",
        "sets": len(estimate.coalitions),
        "first answer, s": float(f"{min(first):.3g}"),
        "peak MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "of which before the answer": round(before),
    }
    if case.further is not None:
        began = time.perf_counter()
        pool.answer(Question(case.further, order=case.order), case.estimator)
        found["further question, s"] = float(f"{time.perf_counter() - began:.3g}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help="cases by name: " + ", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.only.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; these are there: {', '.join(CASES)}")
    for name in names:
        if given.here:
            print(json.dumps(measured(CASES[name], given.rounds)))
        else:
            # A process each, so that one's memory is not another's.
            command = [sys.executable, __file__, "--only", name, "--rounds", str(given.rounds), "--here"]
            out = subprocess.run(command, check=True, capture_output=True, text=True)
            print(name, out.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
