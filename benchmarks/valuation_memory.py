"""How much memory training games take beside what they say they will, as JSON; what is shared between the workers of a node.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_memory.py [--only softmax]               # small games, which a test holds to what they state
    python benchmarks/valuation_memory.py --large [--markdown]           # 5,000 to 100,000 points
    python benchmarks/valuation_memory.py --actors 2                     # private memory of Ray's workers of a large ridge game

A peak is the highest resident memory of the process while the game is made and a batch of models, and a permutation where the game
has chains, are trained, less what it held before with the data. Workers: largest private and shared memory from /proc while a job runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
import time
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


Case = tuple[Any, tuple[int, int, int, int], dict[str, Any]]
"""Estimator, (points, features, test points, classes or 0), and settings of the game."""

CASES: dict[str, Case] = {
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
LARGE: dict[str, Case] = {
    "ridge, 100,000 points of 50 features": (RidgeClassifier(), (100_000, 50, 2_000, 2), {}),
    "the same, ten classes": (RidgeClassifier(), (100_000, 50, 2_000, 10), {}),
    "logistic regression, 100,000 points of 50 features": (
        LogisticRegression(C=1e-3, tol=1e-3),
        (100_000, 50, 2_000, 2),
        {},
    ),
    "neighbours, 20,000 points, 1,000 tests, ten classes": (KNeighborsClassifier(5), (20_000, 20, 1_000, 10), {}),
    "kernel ridge, 5,000 points": (KernelRidge(kernel="rbf"), (5_000, 20, 2_000, 0), {}),
}
_NO_CHAIN = ("network", "logistic, no", "cut", "logistic regression, 100")
"""Begin names of games of which no permutation is trained: it would take minutes."""


def status(key: str) -> int:
    """Bytes of an entry of the process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def peak_of(name: str) -> dict[str, Any]:
    estimator, (n, d, m, classes), settings = (CASES | LARGE)[name]
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
    chain = game.chains and not name.startswith(_NO_CHAIN)
    if chain:
        game.chain_values(rng.permutation(n)[None], np.zeros(1, dtype=np.int64))
    peak = status("VmHWM") - before
    return {"stated": game.need.total(game.block), "models": game.block, "chain": chain, "peak": peak}


def alone(name: str) -> dict[str, Any]:
    """In a process of its own, in which freed arrays go back at once."""
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, __file__, "--only", name]
    done = subprocess.run(command, check=True, env={**os.environ, **settings}, capture_output=True, text=True)
    return json.loads(done.stdout)[name]


def markdown(found: dict[str, dict[str, Any]]) -> str:
    """The table of `docs/valuation.md`."""
    lines = ["| game | batch | stated | peak |", "|---|---|---|---|"]
    for name, one in found.items():
        what = f"{name}, a permutation" if one["chain"] else name
        lines.append(f"| {what} | {one['models']} | {one['stated'] / 1e9:.2f} GB | {one['peak'] / 1e9:.2f} GB |")
    return "\n".join(lines)


def workers(actors: int) -> dict[str, Any]:
    """Largest private and shared megabytes of each worker of ridge with 100,000 points of 50 features, in forty groups."""
    import ray

    from xai_ray.coalitions import Permutations
    from xai_ray.engine import RayEngine
    from xai_ray.stores import Segment

    # A token in the environment keeps Ray from writing one into the home directory.
    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    rng = np.random.default_rng(0)
    X, tests = rng.normal(size=(100_000, 50)), rng.normal(size=(500, 50))
    y, truth = (X[:, 0] > 0).astype(int), (tests[:, 0] > 0).astype(int)
    groups = np.arange(len(X)) % 40
    game = TrainingGame(RidgeClassifier(random_state=0), X, y, tests, truth, scores=("accuracy",), groups=groups)
    ray.init(address="local", num_cpus=actors, include_dashboard=False, log_to_driver=False, logging_level=40)
    peaks: dict[int, tuple[float, float]] = {}
    watcher = threading.Thread(target=_watch, args=(peaks, done := threading.Event()), daemon=True)
    watcher.start()
    RayEngine(actors=actors).run(
        game, Permutations(40, 0), list(Segment(0, 3, 1).units()), lambda record: None, lambda: False
    )
    done.set()
    watcher.join()
    ray.shutdown()
    return {"private_mb": [round(p) for p, _ in peaks.values()], "shared_mb": [round(s) for _, s in peaks.values()]}


def _watch(peaks: dict[int, tuple[float, float]], done: threading.Event) -> None:
    while not done.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if "Evaluator" not in (process / "cmdline").read_text():
                    continue
                rollup = (process / "smaps_rollup").read_text().splitlines()[1:]
            except OSError:
                continue
            held = {line.split()[0]: int(line.split()[1]) / 1000 for line in rollup}
            private, shared = (held[f"{kind}_Clean:"] + held[f"{kind}_Dirty:"] for kind in ("Private", "Shared"))
            before = peaks.get(int(process.name), (0.0, 0.0))
            peaks[int(process.name)] = (max(before[0], private), max(before[1], shared))
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="one game by name, may be repeated")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--actors", type=int, help="measure so many workers on Ray instead")
    given = parser.parse_args()
    if given.actors:
        print(json.dumps(workers(given.actors)))
        return
    found = {name: alone(name) for name in LARGE} if given.large else {n: peak_of(n) for n in given.only or CASES}
    print(json.dumps(found))
    if given.markdown:
        print(markdown(found))


if __name__ == "__main__":
    main()
