"""What maximum sample reuse costs beside the training itself: processor seconds an evaluation and player, one JSON line a figure.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_bookkeeping.py [--sizes 100,1000,10000,100000] [--peers-python PYTHON] [--markdown]

The utility is a number of the coalition's bits that costs one product, so that what is measured is drawing coalitions, keeping them and
turning them into Data Banzhaf values with standard errors. Every figure is the lesser of two runs, each in a process of its own. PYTHON has
`pip install "pydvl==0.10.*"`; its utility returns 0 at once. pyDVL rebuilds its result for each of the n updates of an evaluation, so its
sizes stop at --peer-most (10,000 players take half a minute an evaluation).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (100, 1_000, 10_000, 100_000)
ENTRIES = 50_000_000
"""Players times evaluations of one of our figures."""
PEER_ENTRIES = 30_000
"""The same of the peer: seconds to a minute."""

MSR_MOST = 1_000
"""Players of the largest figure of the `msr` estimator: it wants eight evaluations a player."""


class Weighted:
    """v(S) = sum of the weights of S: the cheapest utility whose Banzhaf values are known, and are the weights."""

    stochastic, n_outputs, output_names, block = False, 1, ("weight",), 1

    def __init__(self, n: int) -> None:
        self.n_players, self.player_names = n, tuple(map(str, range(n)))
        self.weights = np.random.default_rng(0).normal(size=n).astype(np.float32) / n
        self.digest = f"{n:064x}"

    def values(self, coalitions: Any, context: Any) -> Any:
        return (coalitions @ self.weights).astype(np.float64)[:, None]


def ours(n: int) -> dict[str, Any]:
    """Processor seconds of a whole call, and how far the values are from the truth in standard errors."""
    from xai_ray.valuation import banzhaf_values

    game, budget = Weighted(n), ENTRIES // n
    banzhaf_values(Weighted(50), evaluations=1000, seed=1)
    began = time.process_time()
    found = banzhaf_values(game, evaluations=budget, seed=0)
    seconds = time.process_time() - began
    return _told(found.values[:, 0], found.std_errors[:, 0], game, seconds, budget)


def msr(n: int) -> dict[str, Any]:
    """The same of the estimator behind `explain` and `value`, which keeps its coalitions so that a run can be extended and asked."""
    import xai_ray as xr

    game, budget = Weighted(n), max(8 * n + 2, ENTRIES // 20 // n)
    xr.explain(Weighted(50), "BV", estimator="msr", budget=402, seed=1)
    began = time.process_time()
    found = xr.explain(game, "BV", estimator="msr", budget=budget, seed=0)
    seconds = time.process_time() - began
    return _told(found.values, found.std_errors, game, seconds, found.evaluations)


def _told(values: Any, errors: Any, game: Weighted, seconds: float, evaluations: int) -> dict[str, Any]:
    ratio = float(np.sqrt(np.mean(((values - game.weights) / errors) ** 2)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "evaluations": evaluations, "error_ratio": round(ratio, 2), "peak_mib": round(peak)}


def pydvl(n: int) -> dict[str, Any]:
    """pyDVL's processor seconds for a few evaluations of a utility that returns 0; runs in the other interpreter."""
    import warnings

    warnings.filterwarnings("ignore")
    from pydvl.valuation import Dataset, MaxSamples, MSRBanzhafValuation, MSRSampler
    from pydvl.valuation.utility.base import UtilityBase

    class Nothing(UtilityBase):
        def __init__(self, data: Any = None) -> None:
            self._training_data = data

        def __call__(self, sample: Any) -> float:
            return 0.0

        def with_dataset(self, data: Any, copy: bool = True) -> Any:
            return Nothing(data)

    data = Dataset(np.zeros((n, 1)), np.zeros(n))
    count = max(2, PEER_ENTRIES // n if n <= 1000 else 2)
    sampler = MSRSampler(seed=0)
    valuation = MSRBanzhafValuation(Nothing(), MaxSamples(sampler, count), progress=False, show_warnings=False)
    valuation.sampler = sampler
    began = time.process_time()
    valuation.fit(data)
    seconds = time.process_time() - began
    return {"seconds": seconds, "evaluations": count}


SIDES = {"ours": ours, "msr": msr, "pydvl": pydvl}


def alone(python: str, side: str, n: int) -> dict[str, Any]:
    """One run in a process of its own."""
    command = [python, "-W", "ignore", str(Path(__file__)), "--one", side, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
    return json.loads(done.stdout.splitlines()[-1])


def figure(python: str, side: str, n: int, rounds: int = 2) -> dict[str, Any]:
    """The lesser of the rounds."""
    best = min((alone(python, side, n) for _ in range(rounds)), key=lambda one: one["seconds"])
    each = best["seconds"] / best["evaluations"]
    told = {"figure": f"msr_{side}", "players": n, "microseconds_an_evaluation": round(1e6 * each, 2)}
    told |= {"nanoseconds_an_evaluation_and_player": round(1e9 * each / n, 3), "load": round(os.getloadavg()[0], 1)}
    return told | {key: best[key] for key in ("evaluations", "seconds", "error_ratio", "peak_mib") if key in best}


def markdown(figures: list[dict[str, Any]]) -> str:
    """The table of `docs/valuation.md`."""
    lines = [
        "| players | `banzhaf_values`: evaluations | microseconds an evaluation | nanoseconds an evaluation and player "
        "| `msr`: microseconds an evaluation | pyDVL: the same |",
        "|---|---|---|---|---|---|",
    ]
    each = {(one["figure"], one["players"]): f"{one['microseconds_an_evaluation']:,.0f}" for one in figures}
    for one in figures:
        if one["figure"] != "msr_ours":
            continue
        n = one["players"]
        others = " | ".join(each.get((f"msr_{side}", n), "") for side in ("msr", "pydvl"))
        lines.append(
            f"| {n:,} | {one['evaluations']:,} | {one['microseconds_an_evaluation']:,.1f} | "
            f"{one['nanoseconds_an_evaluation_and_player']:.2f} | {others} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=list(SIZES))
    parser.add_argument("--peers-python", help="interpreter with pydvl 0.10")
    parser.add_argument("--peer-most", type=int, default=10_000)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        side, n = given.one
        print(json.dumps(SIDES[side](int(n))))
        return
    figures: list[dict[str, Any]] = []
    for n in given.sizes:
        figures.append(figure(sys.executable, "ours", n))
        print(json.dumps(figures[-1]), flush=True)
        if n <= MSR_MOST:
            figures.append(figure(sys.executable, "msr", n))
            print(json.dumps(figures[-1]), flush=True)
        if given.peers_python and n <= given.peer_most:
            figures.append(figure(given.peers_python, "pydvl", n, rounds=1 if n > 1000 else 2))
            print(json.dumps(figures[-1]), flush=True)
    if not given.peers_python:
        print(json.dumps({"figure": "msr_pydvl", "skipped": "no interpreter with pydvl 0.10: give --peers-python"}))
    if given.markdown:
        print(markdown(figures))


if __name__ == "__main__":
    main()
