"""opendataval's protocols for every method: finding wrong labels, and removing and adding points by their values, on three data sets.

    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    python benchmarks/valuation_protocols.py [--seeds 5] [--data tumours,reviews] [--methods shapley,knn] [--out RUNS.jsonl]
        [--markdown] [--plot docs/images/valuation-curves.svg]
    python benchmarks/valuation_protocols.py --from RUNS.jsonl --markdown --plot FILE     # tables and plot of runs made before

Jiang, Liang, Zou and Kwon, "OpenDataVal: a unified benchmark for data valuation" (NeurIPS 2023). A split has training points of which one
in five has a wrong label, validation points that methods see, and test points that only the curves see. Detection: the area under the
ROC curve of low values for wrong labels, and the F1 of the lower of two clusters of values. Removal and addition: test accuracy of the
split's estimator, retrained, after each twentieth of the points; a figure is the mean over the steps up to half of the points (without
the common start). Five seeds (split, labels and draws are new), means with 95 % intervals by Student's t over the seeds. One JSON line a
run of a method.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from valuation_methods import METHODS
from valuation_splits import DATA, Split

from xai_ray.valuation import TrainingGame
from xai_ray.valuation.detection import detection
from xai_ray.valuation.point_curves import point_curves

KINDS = (("remove", "highest"), ("remove", "lowest"), ("add", "highest"), ("add", "lowest"))
FRACTIONS = tuple(step / 20 for step in range(21))
HALF = slice(1, 11)
"""Steps of 5 % to 50 % of the points."""
SHOWN = ("shapley", "beta", "banzhaf", "data_oob", "knn", "influence", "in_run", "trak", "lava", "random")
"""Methods of the plot."""
COLUMNS = {
    "auroc": "AUROC",
    "f1": "F1",
    "remove highest": "remove highest ↓",
    "remove lowest": "remove lowest ↑",
    "add highest": "add highest ↑",
    "add lowest": "add lowest ↓",
}
"""Figure -> heading; the arrow says which way is better."""
Run = dict[str, Any]


def runs(data: str, seed: int, names: Sequence[str]) -> Iterator[Run]:
    """All methods on one split."""
    split = DATA[data][0](seed)
    found: list[Run] = []
    values: list[np.ndarray] = []
    for name in names:
        began = time.process_time()
        mine, models = METHODS[name].values(split, seed)
        told = {"data": data, "seed": seed, "method": name, "models": models}
        found.append(told | {"processor_seconds": round(time.process_time() - began, 3)})
        values.append(mine)
    curves = _curves(split, np.stack(values))
    for row, (run, mine) in enumerate(zip(found, values, strict=True)):
        detected = detection(mine, split.problem.flipped)
        own = {f"{action} {order}": curves[action, order][row].round(4).tolist() for action, order in KINDS}
        yield run | {"auroc": round(detected.auroc, 4), "f1": round(detected.f1, 4), "curves": own}


def _curves(split: Split, values: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Test accuracies, (methods, steps) each."""
    game = TrainingGame(split.estimator, *split.test_arrays, scores=("accuracy",))
    found = point_curves(game, values, fractions=FRACTIONS, ranked=("highest", "lowest"))
    return {(action, order): found.of(action, order)[..., 0] for action, order in KINDS}


def figures(run: Run) -> dict[str, float]:
    """The six figures of a run."""
    halves = {kind: float(np.mean(run["curves"][kind][HALF])) for kind in run["curves"]}
    return {"auroc": run["auroc"], "f1": run["f1"]} | halves


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (0 for one sample)."""
    count = len(samples)
    if count < 2:
        return float(np.mean(samples)), 0.0
    width = float(student.ppf(0.975, count - 1)) * float(np.std(samples, ddof=1)) / count**0.5
    return float(np.mean(samples)), width


def markdown(every: Sequence[Run]) -> str:
    """A table a data set, methods by falling AUROC."""
    parts = []
    for data in dict.fromkeys(run["data"] for run in every):
        mine = [run for run in every if run["data"] == data]
        rows = {name: [run for run in mine if run["method"] == name] for name in METHODS}
        rows = {name: some for name, some in rows.items() if some}
        order = sorted(rows, key=lambda name: -np.mean([run["auroc"] for run in rows[name]]))
        parts += ["", f"**{data}**: {DATA[data][1]}; {len(rows[order[0]])} seeds.", ""]
        parts += [
            f"| method | {' | '.join(COLUMNS.values())} | models | processor s |",
            "|---" * (len(COLUMNS) + 3) + "|",
        ]
        parts += [_row(name, rows[name]) for name in order]
    return "\n".join(parts[1:])


def _row(name: str, some: Sequence[Run]) -> str:
    each = [figures(run) for run in some]
    cells = ["{:.3f} ± {:.3f}".format(*interval([one[key] for one in each])) for key in COLUMNS]
    models = "" if some[0]["models"] is None else f"{np.mean([run['models'] for run in some]):,.0f}"
    seconds = np.mean([run["processor_seconds"] for run in some])
    return f"| {METHODS[name].title} | {' | '.join(cells)} | {models} | {seconds:.2f} |"


def plot(every: Sequence[Run], path: Path) -> None:
    """Removal of the lowest and of the highest values: mean test accuracy over the seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "valuation", "svg.fonttype": "none", "font.size": 8}
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(run["data"] for run in every))
    kinds = ("remove lowest", "remove highest")
    figure, axes = plt.subplots(len(kinds), len(names), figsize=(3.1 * len(names), 5), squeeze=False, sharex=True)
    for column, data in enumerate(names):
        for row, kind in enumerate(kinds):
            ax = axes[row, column]
            for place, name in enumerate(SHOWN):
                mine = [run["curves"][kind] for run in every if (run["data"], run["method"]) == (data, name)]
                if mine:
                    style = {"color": "0.4", "linestyle": ":"} if name == "random" else {"color": f"C{place}"}
                    label, height = METHODS[name].title, np.mean(mine, axis=0)[:11]
                    ax.plot(100 * np.array(FRACTIONS)[:11], height, lw=1.2, label=label, **style)
            ax.set_title(f"{data}: {kind} values", fontsize=8)
            ax.set_xlim(0, 50)
            ax.grid(alpha=0.3)
        axes[-1, column].set_xlabel("% of the training points removed")
    for line in axes:
        line[0].set_ylabel("test accuracy")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def measured(options: argparse.Namespace) -> Iterable[Run]:
    import torch

    torch.set_num_threads(1)
    for data in options.data:
        for seed in range(options.seeds):
            yield from runs(data, seed, options.methods)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=lambda s: s.split(","), default=list(DATA))
    parser.add_argument("--methods", type=lambda s: s.split(","), default=list(METHODS))
    parser.add_argument("--out", type=Path, help="a file for the JSON lines, which else go to standard output")
    parser.add_argument("--from", dest="given", type=Path, help="the JSON lines of runs made before")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    for kind, asked, known in (("data set", options.data, DATA), ("method", options.methods, METHODS)):
        for name in asked:
            if name not in known:
                parser.error(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    if options.given:
        every = [json.loads(line) for line in options.given.read_text().splitlines()]
    else:
        every = []
        with options.out.open("w") if options.out else nullcontext(sys.stdout) as sink:
            for run in measured(options):
                every.append(run)
                print(json.dumps(run), file=sink, flush=True)
    if options.markdown:
        print(markdown(every))
    if options.plot:
        plot(every, options.plot)


if __name__ == "__main__":
    main()
