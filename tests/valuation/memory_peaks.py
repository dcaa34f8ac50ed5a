"""Run as a program: how much memory training games take beside what they say they will, as JSON on stdout."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from xai_ray.valuation import Network, TrainingGame


def perceptron() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))


CASES: dict[str, tuple[Any, tuple[int, int, int, int], dict[str, Any]]] = {
    "logistic": (LogisticRegression(C=0.1), (1500, 20, 1500, 2), {}),
    "logistic, no table": (LogisticRegression(C=0.01), (8500, 64, 1000, 2), {}),
    "softmax": (LogisticRegression(C=0.1), (2500, 12, 1500, 4), {}),
    "linear ridge": (RidgeClassifier(), (6000, 30, 1000, 3), {}),
    "ridge, more features than points": (RidgeClassifier(), (700, 800, 800, 3), {}),
    "kernel ridge": (KernelRidge(kernel="rbf"), (800, 10, 800, 0), {}),
    "neighbours": (KNeighborsClassifier(5), (3000, 8, 500, 4), {}),
    "network": (Network(perceptron, epochs=2), (3000, 20, 2000, 2), {}),
    "cut by a bound": (LogisticRegression(C=0.1), (12000, 12, 1000, 2), {"memory": 45_000_000}),
}
"""Estimator, (points, features, test points, classes or 0), and settings of the game."""


def status(key: str) -> int:
    """Bytes of an entry of the process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def peak_of(name: str) -> dict[str, float]:
    estimator, (n, d, m, classes), settings = CASES[name]
    rng = np.random.default_rng(0)
    X, tests = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    y, truth = (X[:, 0], tests[:, 0]) if not classes else (rng.integers(0, classes, n), rng.integers(0, classes, m))
    scores = ("accuracy", "neg_log_loss") if classes and hasattr(estimator, "predict_proba") else ("accuracy",)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    game = TrainingGame(estimator, X, y, tests, truth, scores=scores if classes else ("r2",), **settings)
    rows = rng.random((game.block, n)) < rng.random((game.block, 1))
    game.values(rows, np.zeros(len(rows), dtype=np.int64))
    if game.chains and not name.startswith(("network", "logistic, no", "cut")):
        game.chain_values(rng.permutation(n)[None], np.zeros(1, dtype=np.int64))
    return {"stated": game.need.total(game.block), "models": game.block, "peak": status("VmHWM") - before}


if __name__ == "__main__":
    json.dump({name: peak_of(name) for name in sys.argv[1:] or CASES}, sys.stdout)
