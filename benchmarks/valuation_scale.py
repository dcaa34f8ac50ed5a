"""What data valuation costs as points grow: processor seconds of one thread and peak memory, one JSON line a figure.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_scale.py --methods [--sizes 100,1000,10000,100000] [--only data_oob,in_run] [--out RUNS.jsonl]
        [--markdown] [--plot docs/images/valuation-scale.svg]
    python benchmarks/valuation_scale.py --from RUNS.jsonl --markdown --plot FILE     # table and plot of figures measured before
    python benchmarks/valuation_scale.py --permutations      10,000 points by 40 orders over a ridge classifier, with a store
    python benchmarks/valuation_scale.py --errors            standard errors and seconds of estimators at equal numbers of models

Every size runs in a process of its own, after 100 points to warm up; peak memory is that of the process, of which `idle` is imports and the
warm-up. What a method is given at n points is said where it is written (also `valuation_scale_methods.py`). Data are made: labels from a
linear rule (or four classes), one in ten wrong; `auroc` says how well low values find those.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from valuation_scale_methods import METHODS as OTHERS
from valuation_scale_methods import Found, linear

import xai_ray as xr
from xai_ray.valuation import data_oob_values, in_run_shapley, lava_values
from xai_ray.zoo import noisy_digits

SIZES = (100, 1_000, 10_000, 100_000)
HELD = 300
"""Validation points of LAVA."""


def data_oob(n: int) -> Found:
    """1,000 bootstraps of a logistic regression of 10 features."""
    rows, labels, wrong = linear(n, 10)
    found = data_oob_values(LogisticRegression(random_state=0), rows, labels, bootstraps=1000)
    return found.values, wrong, {"mean_std_error": round(float(found.std_errors.mean()), 4)}


def in_run(n: int, order: int = 1) -> Found:
    """Three epochs of a perceptron 20-64-64-2 in batches of 64, 100 validation points."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    rows, labels, wrong = linear(n + 100, 20, clean=100)
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


METHODS: dict[str, tuple[Callable[[int], Found], int]] = {
    "data_oob": (data_oob, 100_000),
    "in_run": (in_run, 100_000),
    "in_run_2": (in_run_2, 100_000),
    "lava": (lava, 100_000),
} | OTHERS
"""Name -> method, and the most points it is asked for."""


def one(name: str, n: int) -> dict[str, object]:
    """A method at a size, in this process."""
    METHODS[name][0](100)
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.process_time()
    values, wrong, told = METHODS[name][0](n)
    seconds = time.process_time() - began
    rank = values.argsort().argsort()
    area = 1 - (rank[wrong].mean() - (wrong.sum() - 1) / 2) / (n - wrong.sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "points": n,
        "processor_seconds": round(seconds, 3),
        "peak_mib": round(peak),
        "idle_mib": round(idle),
        "auroc": round(area, 3),
        **told,
    }


def methods(names: list[str], sizes: list[int]) -> Iterator[dict[str, object]]:
    """Each in a process of its own."""
    for name in names:
        for n in sizes:
            if n > METHODS[name][1]:
                continue
            command = [sys.executable, __file__, "--one", name, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3600)
            yield {"figure": name, **json.loads(done.stdout), "load": round(os.getloadavg()[0], 1)}


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


def markdown(every: list[dict[str, Any]]) -> str:
    """Processor seconds and, beyond imports, memory: a row a method, a column a size."""
    sizes = sorted({one["points"] for one in every})
    lines = [f"| method | given | {' | '.join(f'{n:,}' for n in sizes)} |", "|---" * (2 + len(sizes)) + "|"]
    for name in dict.fromkeys(one["figure"] for one in every):
        mine = {one["points"]: one for one in every if one["figure"] == name}
        cells = [
            f"{mine[n]['processor_seconds']:.2g} s, {max(mine[n]['peak_mib'] - mine[n]['idle_mib'], 0)} MiB"
            if n in mine
            else ""
            for n in sizes
        ]
        told = (METHODS[name][0].__doc__ or "").rstrip(".")
        lines.append(f"| `{name}` | {told} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(every: list[dict[str, Any]], path: Path) -> None:
    """Processor seconds and memory beyond imports as points grow, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "valuation", "svg.fonttype": "none", "font.size": 8}
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2))
    names = list(dict.fromkeys(one["figure"] for one in every))
    for place, name in enumerate(names):
        mine = sorted((one for one in every if one["figure"] == name), key=lambda one: one["points"])
        n = [one["points"] for one in mine]
        style = {"color": f"C{place % 10}", "linestyle": ("-", "--")[place // 10 % 2], "lw": 1.2, "marker": "."}
        axes[0].plot(n, [max(one["processor_seconds"], 1e-3) for one in mine], label=name, **style)
        axes[1].plot(n, [max(one["peak_mib"] - one["idle_mib"], 1) for one in mine], **style)
    for ax, words in zip(axes, ("processor seconds", "MiB beyond imports (1 or less: 1)"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel="training points", ylabel=words)
        ax.grid(alpha=0.3)
    figure.legend(loc="center right", frameon=False)
    figure.tight_layout(rect=(0, 0, 0.87, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--only", default=",".join(METHODS))
    parser.add_argument("--permutations", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--out", type=Path, help="a file for the JSON lines too")
    parser.add_argument("--from", dest="given", type=Path, help="the JSON lines of figures measured before")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--plot", type=Path)
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
    every = [json.loads(line) for line in given.given.read_text().splitlines()] if given.given else []
    if not asked and not every:
        parser.error("name what to measure: --methods, --permutations, --errors")
    with given.out.open("w") if given.out else nullcontext() as sink:
        for figure in (figure for figures in asked for figure in figures):
            every.append(figure)
            print(json.dumps(figure), flush=True)
            if sink:
                print(json.dumps(figure), file=sink, flush=True)
    by_size = [figure for figure in every if "points" in figure]
    if given.markdown:
        print(markdown(by_size))
    if given.plot:
        plot(by_size, given.plot)


if __name__ == "__main__":
    main()
