"""What data valuation costs as points grow: processor seconds of one thread and peak memory, one JSON line a figure.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_scale.py --methods [--sizes 1000,10000,100000] [--only data_oob,in_run]
    python benchmarks/valuation_scale.py --permutations      10,000 points by 40 orders over a ridge classifier, with a store
    python benchmarks/valuation_scale.py --errors            standard errors and seconds of estimators at equal numbers of models

Every size runs in a process of its own. Data are made: labels from a linear rule (or four classes), one in ten wrong; `auroc` says how well
low values find those.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifier

import xai_ray as xr
from xai_ray.valuation import data_oob_values, in_run_shapley, lava_values
from xai_ray.zoo import noisy_digits

SIZES = (1_000, 10_000, 100_000)
HELD = 300
"""Validation points of LAVA."""
Found = tuple[np.ndarray, np.ndarray, dict[str, Any]]
"""Values, which labels are wrong, and what else there is to tell."""


def data_oob(n: int) -> Found:
    """1,000 bootstraps of a logistic regression of 10 features."""
    rows, labels, wrong = _linear(n, 10)
    found = data_oob_values(LogisticRegression(random_state=0), rows, labels, bootstraps=1000)
    return found.values, wrong, {"mean_std_error": round(float(found.std_errors.mean()), 4)}


def in_run(n: int, order: int = 1) -> Found:
    """Three epochs of a perceptron 20-64-64-2 in batches of 64, 100 validation points."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    rows, labels, wrong = _linear(n + 100, 20, clean=100)
    rows = rows.astype(np.float32)
    found = in_run_shapley(
        model,
        lambda out, target: nn.functional.cross_entropy(out, target, reduction="none"),
        (rows[:n], labels[:n]),
        (rows[n:], labels[n:]),
        steps=3 * (n // 64),
        batch=64,
        learning_rate=0.1,
        order=order,
    )
    losses = found.facts["losses"]
    told = {"sum": round(float(found.values.sum()), 3), "fall_of_the_loss": round(float(losses[0] - losses[-1]), 3)}
    return found.values, wrong[:n], told


def in_run_2(n: int) -> Found:
    """The same, second order."""
    return in_run(n, 2)


def lava(n: int) -> Found:
    """Four classes in 16 features, 300 validation points."""
    generator = np.random.default_rng(0)
    true = np.arange(n + HELD) % 4
    rows = generator.normal(size=(n + HELD, 16)) + 2 * np.eye(4, 16)[true]
    labels, wrong = true[:n].copy(), generator.random(n) < 0.1
    labels[wrong] = (labels[wrong] + 1) % 4
    return lava_values(rows[:n], labels, rows[n:], true[n:]).values, wrong, {}


METHODS: dict[str, Callable[[int], Found]] = {
    "data_oob": data_oob,
    "in_run": in_run,
    "in_run_2": in_run_2,
    "lava": lava,
}


def one(name: str, n: int) -> dict[str, object]:
    """A method at a size, in this process."""
    began = time.process_time()
    values, wrong, told = METHODS[name](n)
    seconds = time.process_time() - began
    rank = values.argsort().argsort()
    area = 1 - (rank[wrong].mean() - (wrong.sum() - 1) / 2) / (n - wrong.sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "points": n,
        "processor_seconds": round(seconds, 2),
        "peak_mib": round(peak),
        "auroc": round(area, 3),
        **told,
    }


def methods(names: list[str], sizes: list[int]) -> Iterator[dict[str, object]]:
    """Each in a process of its own."""
    for name in names:
        for n in sizes:
            command = [sys.executable, __file__, "--one", name, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
            yield {"figure": name, **json.loads(done.stdout)}


def permutations() -> Iterator[dict[str, object]]:
    """10,000 points of 50 features, 500 test points: 20 orders and their reverses, utilities in Arrow files."""
    generator = np.random.default_rng(0)
    rows, tests, rule = generator.normal(size=(10_000, 50)), generator.normal(size=(500, 50)), generator.normal(size=50)
    labels = (rows @ rule + generator.normal(size=10_000) > 0).astype(int)
    with tempfile.TemporaryDirectory() as folder:
        wall, began = time.perf_counter(), time.process_time()
        store = f"file://{folder}"
        found = xr.value(
            RidgeClassifier(), rows, labels, tests, (tests @ rule > 0).astype(int), budget=400_000, store=store
        )
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
    told = {"models": found.evaluations, "processor_seconds": round(seconds, 1), "wall_seconds": round(wall, 1)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield {"figure": "10,000 points by permutations over ridge", **told, "peak_mib": round(peak)}


def errors() -> Iterator[dict[str, object]]:
    """Shapley values of 200 digits, ridge, 20,000 models: the root mean squared standard error."""
    data = noisy_digits(points=200, tests=300)
    arrays = (data[name] for name in ("X", "y", "X_test", "y_test"))
    game = xr.TrainingGame(RidgeClassifier(), *arrays, scores=("accuracy",))
    for estimator in ("permutation", "levelled", "msr"):
        began = time.process_time()
        found = xr.explain(game, "SV", estimator=estimator, budget=20_000, seed=0)
        seconds = round(time.process_time() - began, 2)
        error = float(np.sqrt((found.std_errors**2).mean()))
        told = {"models": found.evaluations, "processor_seconds": seconds}
        yield {"figure": f"standard error by {estimator}", **told, "value": round(error, 5)}


def _linear(n: int, features: int, clean: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, labels and which of them are wrong, none of the last `clean`."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(n, features))
    labels = (rows @ generator.normal(size=features) > 0).astype(np.int64)
    wrong = generator.random(n) < 0.1
    wrong[n - clean :] = False
    labels[wrong] ^= 1
    return rows, labels, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--only", default=",".join(METHODS))
    parser.add_argument("--permutations", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return
    asked: list[Iterator[dict[str, object]]] = []
    if given.methods:
        asked.append(methods(given.only.split(","), [int(n) for n in given.sizes.split(",")]))
    if given.permutations:
        asked.append(permutations())
    if given.errors:
        asked.append(errors())
    if not asked:
        parser.error("name what to measure: --methods, --permutations, --errors")
    for figures in asked:
        for figure in figures:
            print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
