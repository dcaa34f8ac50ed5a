"""How often nominal 95 % intervals of rows, and of means over rows, hold the truth of a dataset job.

    python benchmarks/row_means.py [--players 6,12,16] [--rows 100] [--seeds 12]

A function with interactions of three players and 12 background rows; each budget once with the whole background and once with it in
twelve parts; the truth is all 2^n coalitions. A line each: coverage of rows, coverage of means over rows, and the root mean square of the
error of a mean over its standard error, which is 1 where standard errors are right.
"""

from __future__ import annotations

import argparse

import numpy as np

import xai_ray as xr

BUDGETS = {6: (30, 50), 8: (40, 60), 10: (64, 200), 12: (84, 200), 16: (100, 300)}
"""Evaluations a row, by players."""
BACKGROUND = 12


def made(n: int, rows: int, parts: int) -> xr.RowsGame:
    """The game; the same rows, weights and background for every number of parts."""
    rng = np.random.default_rng(0)
    weights, background = rng.normal(size=n), rng.normal(size=(BACKGROUND, n))

    def model(x: np.ndarray) -> np.ndarray:
        return np.tanh(2 * x @ weights) + 4 * x.mean(axis=1) ** 3 + 2 * x[:, 0] * x[:, 1] * x[:, 2]

    removal = xr.Marginal(background)
    return xr.RowsGame(
        model,
        rng.normal(size=(rows, n)) + 1.0,
        players=xr.Columns(),
        removal=removal,
        behaviour=xr.Raw(),
        background_parts=parts,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--players", type=lambda text: [int(n) for n in text.split(",")], default=[6, 12, 16])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=12)
    given = parser.parse_args()
    print("| players | evaluations | parts | estimator | rows | means over rows | error / standard error of means |")
    print("|---|---|---|---|---|---|---|")
    for n in given.players:
        truth = xr.explain_rows(made(n, given.rows, 1), budget="exact").values
        for budget in BUDGETS[n]:
            for parts in (1, BACKGROUND):
                game = made(n, given.rows, parts)
                found = [xr.explain_rows(game, budget=budget, seed=seed) for seed in range(given.seeds)]
                of_rows = np.array([(one.values - truth) / one.std_errors for one in found])
                centre = truth.mean(axis=0)
                means = [(one.means[0].values.ravel(), one.means[0].std_errors.ravel()) for one in found]
                of_means = np.array([(values - centre) / errors for values, errors in means])
                within = [np.mean(abs(z) < 1.96) for z in (of_rows, of_means)]
                spread = np.sqrt(np.mean(of_means**2))
                name = found[0].asks[0].estimator
                print(
                    f"| {n} | {budget} | {parts} | {name} | {within[0]:.2f} | {within[1]:.2f} | {spread:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
