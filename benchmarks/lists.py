"""What answers over thousands of pairs are worth beside the truth: lists of `sparse_proxy`, all pairs by `proxy` and `cells`.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/lists.py [--only few120,airport300] [--tables FOLDER] [--markdown]

Games with exact answers: a linear function with planted pairs (five, or sixty, among 120 to 1,000 players), the airport game of 300
players (Littlechild and Owen 1973), whose pairs hardly interact, and the boosted trees of 60 and 100 players (`tables.py`). Error is
sum (estimate - truth)^2 / sum truth^2 over all pairs, a pair that is not listed counting as zero. Means over seeds, a JSON line a case.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from stored_games import load

from xai_ray.estimators import Ask, Pool, plan
from xai_ray.indices import Question

Pairs = dict[tuple[int, int], float]


def planted_pairs(n: int, count: int = 60) -> Pairs:
    rng = np.random.default_rng(1)
    members = np.sort(rng.permutation(n)[: 2 * count].reshape(count, 2), axis=1)
    return {(int(i), int(j)): float(v) for (i, j), v in zip(members, rng.normal(size=count) * 2, strict=True)}


def planted(n: int, rows: np.ndarray, count: int = 60) -> np.ndarray:
    """Values (c, 1) of coalitions (c, n)."""
    slopes = np.random.default_rng(0).normal(size=n) * 0.05
    return (rows @ slopes + sum(v * (rows[:, i] & rows[:, j]) for (i, j), v in planted_pairs(n, count).items()))[
        :, None
    ]


def airport_costs(n: int) -> np.ndarray:
    return 1.0 + (np.arange(n) * 37 % n) / n


def airport(n: int, rows: np.ndarray) -> np.ndarray:
    """The cost of the dearest player, values (c, 1)."""
    return np.where(rows, airport_costs(n), 0.0).max(axis=1)[:, None]


def airport_pairs(n: int) -> Pairs:
    """SII: a step of cost with r players at or above it gives two of them -step / (r - 1)."""
    costs = airport_costs(n)
    above = n - np.arange(n)
    steps = np.diff(np.r_[0.0, np.sort(costs)])
    shared = np.cumsum(np.where(above > 1, -steps / np.maximum(above - 1, 1), 0.0))
    rank = np.argsort(np.argsort(costs))
    return {(i, j): float(shared[min(rank[i], rank[j])]) for i, j in combinations(range(n), 2)}


@dataclass(frozen=True)
class Case:
    """A game with the SII of its pairs (those left out are zero), and what is asked of it."""

    players: int
    evaluations: int
    values: Callable[[np.ndarray], np.ndarray]
    truth: Pairs
    estimators: tuple[str, ...] = ("sparse_proxy",)
    seeds: int = 3


def few(n: int, evaluations: int, count: int = 5, seeds: int = 3) -> Case:
    return Case(n, evaluations, lambda rows: planted(n, rows, count), planted_pairs(n, count), ("sparse_proxy",), seeds)


def stored(folder: Path, name: str, factor: int) -> Case:
    (game,) = load(folder, [name])
    truth = dict(zip(combinations(range(game.n), 2), np.asarray(game.truth["SII"]).ravel().tolist(), strict=True))
    return Case(game.n, factor * game.n, lambda rows: game(rows)[:, None], truth, ("sparse_proxy", "proxy"), 2)


def cases(folder: Path) -> dict[str, Callable[[], Case]]:
    """By name; stored games are read when their turn comes."""
    return {
        "few120": lambda: few(120, 4_000),
        "few400": lambda: few(400, 12_000),
        "few1000": lambda: few(1_000, 6_000),
        "sixty1000": lambda: few(1_000, 6_000, 60, 1),
        "airport300": lambda: Case(300, 3_000, lambda rows: airport(300, rows), airport_pairs(300), ("cells",), 1),
        **{
            f"{name}_{factor}n": lambda name=name, factor=factor: stored(folder, name, factor)
            for name in ("trees60", "trees100")
            for factor in (40, 120)
        },
    }


def measured(case: Case, estimator: str) -> dict[str, object]:
    listed, held, errors, there = [], [], [], []
    for seed in range(case.seeds):
        planned = plan([Ask(Question("SII"), estimator)], case.players, case.evaluations, seed)
        values = case.values(planned.design.draw(0, planned.draws).coalitions)
        estimate = Pool(planned.design, planned.draws, values).answer(Question("SII"), estimator)
        pairs = [(s[0], s[1]) for s in estimate.coalitions]
        true = np.array([case.truth.get(pair, 0.0) for pair in pairs])
        low, high = estimate.intervals()
        whole = sum(v**2 for v in case.truth.values())
        # What is not listed is estimated as zero.
        lost = ((estimate.values[:, 0] - true) ** 2 - true**2).sum() + whole
        listed.append(len(pairs))
        held.append(float(((low[:, 0] <= true) & (true <= high[:, 0])).mean()))
        errors.append(float(lost / whole))
        there.append(len(set(pairs) & set(case.truth)) / len(case.truth))
    return {
        "players": case.players,
        "evaluations": case.evaluations,
        "seeds": case.seeds,
        "estimator": estimator,
        "listed": round(float(np.mean(listed))),
        "of": case.players * (case.players - 1) // 2,
        "interacting pairs listed, %": round(100 * float(np.mean(there)), 1),
        "intervals that hold, %": round(100 * float(np.mean(held)), 1),
        "error": float(f"{np.mean(errors):.3g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=Path(__file__).with_name(".tables"))
    parser.add_argument("--only", help="cases by name, with commas")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    known = cases(given.tables)
    names = given.only.split(",") if given.only else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; these are there: {', '.join(known)}")
    found: list[tuple[str, dict[str, object]]] = []
    for name in names:
        case = known[name]()
        for estimator in case.estimators:
            found.append((name, measured(case, estimator)))
            print(json.dumps({"case": name, **found[-1][1]}), flush=True)
    if given.markdown and found:
        heads = list(found[0][1])
        print(f"| case | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
        for name, one in found:
            print(f"| {name} | {' | '.join(f'{v:,}' if isinstance(v, int) else str(v) for v in one.values())} |")


if __name__ == "__main__":
    main()
