"""One measurement of pyDVL on a stored problem; prints one JSON line. `valuation.py` calls it, round by round.

    PYTHON benchmarks/valuation_peer.py PROBLEM.npz METHOD [--permutations 20] [--seed 0] [--coalitions FILE.npy]

Needs numpy, scikit-learn and pydvl 0.10, and not xai_ray, so that PYTHON may be another interpreter; METHOD `network` needs torch.
`seconds` are processor seconds of the whole process between the start of `fit` and its end, after one permutation to warm up. With
`--coalitions` it prints pyDVL's utility of each row of a boolean array instead; with `--resume`, half of the permutations, saved and
continued to all of them, beside all of them at one go.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from pydvl.valuation import (
    Dataset,
    KNNShapleyValuation,
    MaxUpdates,
    ModelUtility,
    NoTruncation,
    PermutationSampler,
    ShapleyValuation,
    SupervisedScorer,
)
from pydvl.valuation.types import Sample
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier


def _network() -> Any:
    from valuation_network import TorchNetwork

    return TorchNetwork()


MODELS: dict[str, Callable[[], Any]] = {
    "logistic": LogisticRegression,
    "logistic_tight": lambda: LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000),
    "ridge": RidgeClassifier,
    "neighbours": lambda: KNeighborsClassifier(5),
    "network": _network,
}
"""The estimators whose training is the utility; `knn_shapley` is the closed form instead."""


def datasets(path: str) -> tuple[Dataset, Dataset]:
    """Training and test set of a stored problem."""
    with np.load(path) as stored:
        return Dataset(stored["X"], stored["y"]), Dataset(stored["X_test"], stored["y_test"])


def utility_of(method: str, test: Dataset) -> ModelUtility:
    """Accuracy on the test set; subsets without a fit have the score of a guess."""
    classes = len(np.unique(test.data().y))
    scorer = SupervisedScorer("accuracy", test, default=1.0 / classes, range=(0.0, 1.0))
    return ModelUtility(MODELS[method](), scorer, catch_errors=True, show_warnings=False)


def permutations(method: str, train: Dataset, test: Dataset, count: int, seed: int, before: Any = None) -> Any:
    """Shapley values by whole permutations, in this process; `before` is a result to continue from."""
    valuation = ShapleyValuation(
        utility_of(method, test),
        PermutationSampler(truncation=NoTruncation(), seed=seed),
        MaxUpdates(count),
        progress=False,
        show_warnings=False,
    )
    return valuation.fit(train, continue_from=before)


def closed_form(train: Dataset, test: Dataset) -> Any:
    """Exact KNN-Shapley."""
    return KNNShapleyValuation(KNeighborsClassifier(5), test, progress=False).fit(train)


def resumed(options: argparse.Namespace) -> dict[str, Any]:
    """Values, counts and standard errors of a run that was continued, beside those of one that was not."""
    train, test = datasets(options.problem)
    count, seed = options.permutations, options.seed
    straight = permutations(options.method, train, test, count, seed).result
    half = permutations(options.method, train, test, count // 2, seed).result
    half_values = half.values.copy()
    whole = permutations(options.method, train, test, count, seed, half).result
    for result in (straight, whole):
        result.sort(key="index")
    varied = straight.stderr > 0
    return {
        "counts": sorted(set(whole.counts.tolist())),
        "same_values_as_straight": bool(np.array_equal(whole.values, straight.values)),
        "difference_from_straight": float(np.abs(whole.values - straight.values).max()),
        "difference_from_first_half": float(np.abs(np.sort(whole.values) - np.sort(half_values)).max()),
        "std_error_ratio": float(np.median(whole.stderr[varied] / straight.stderr[varied])),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    if options.resume:
        return resumed(options)
    train, test = datasets(options.problem)
    if options.coalitions:
        utility = utility_of(options.method, test).with_dataset(train)
        rows = np.load(options.coalitions)
        found = [float(utility(Sample(None, np.flatnonzero(row)))) for row in rows]
        return {"values": found}
    exact = options.method == "knn_shapley"
    if exact:
        closed_form(train, test)
    else:
        permutations(options.method, train, test, 1, options.seed + 1)
    began, wall = time.process_time(), time.perf_counter()
    done = closed_form(train, test) if exact else None
    done = done or permutations(options.method, train, test, options.permutations, options.seed)
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    result = done.result
    result.sort(key="index")
    counts = [int(c) for c in result.counts]
    return {
        "seconds": seconds,
        "wall": wall,
        "evaluations": None if exact else sum(counts),
        "values": [float(v) for v in result.values],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem")
    parser.add_argument("method", choices=[*MODELS, "knn_shapley"])
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coalitions")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    versions = {name: version(name) for name in ("pydvl", "scikit-learn", "numpy")}
    print(json.dumps({"method": options.method, "versions": versions} | measure(options)))


if __name__ == "__main__":
    main()
